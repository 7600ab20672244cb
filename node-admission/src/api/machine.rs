//! What an operator says of a machine: its address and how much it has.

use std::net::IpAddr;

use ipnet::IpNet;
use tenancy::namespaces::Quantity;

use crate::admit::unusable;

/// Characters, as the definition of SealedNodes has it.
const MOST_CAPACITY: usize = 32;

/// Why a text is no address of a machine in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddressError {
    #[error("expected an IPv4 or IPv6 address, such as 10.0.1.5")]
    Shape,
    #[error("no machine can be reached under this kind of address")]
    Kind,
    #[error("this address lies in one of the cluster's own ranges")]
    ClusterRange,
}

/// Why a text is no capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum CapacityError {
    #[error("expected a Kubernetes quantity, such as 4, 500m or 16Gi")]
    Shape,
    #[error("must be more than nothing")]
    Nothing,
}

/// Reads the address of a machine; IPv4 within IPv6 becomes IPv4.
pub(super) fn address(text: &str, cluster_ranges: &[IpNet]) -> Result<IpAddr, AddressError> {
    let address = text
        .parse::<IpAddr>()
        .map_err(|_| AddressError::Shape)?
        .to_canonical();
    if unusable(address).is_some() {
        return Err(AddressError::Kind);
    }
    if cluster_ranges.iter().any(|range| range.contains(&address)) {
        return Err(AddressError::ClusterRange);
    }
    Ok(address)
}

/// Checks a quantity; what is kept is the text as it was given.
pub(super) fn capacity(text: &str) -> Result<(), CapacityError> {
    if text.len() > MOST_CAPACITY {
        return Err(CapacityError::Shape);
    }
    let quantity: Quantity = text.parse().map_err(|_| CapacityError::Shape)?;
    if quantity.is_negative() || quantity.is_zero() {
        return Err(CapacityError::Nothing);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::settings::NodeSettings;

    fn read(text: &str) -> Result<String, AddressError> {
        address(text, &NodeSettings::default().cluster_ranges).map(|address| address.to_string())
    }

    #[test]
    fn addresses_that_a_machine_can_have_are_taken() {
        for (text, shown) in [
            ("10.0.1.5", "10.0.1.5"),
            ("192.168.0.1", "192.168.0.1"),
            ("203.0.113.9", "203.0.113.9"),
            ("2001:db8::5", "2001:db8::5"),
            ("FD00::0005", "fd00::5"),
            ("::ffff:10.0.1.5", "10.0.1.5"),
        ] {
            assert_eq!(read(text), Ok(shown.to_owned()), "{text}");
        }
    }

    #[test]
    fn all_other_addresses_are_refused() {
        for (text, why) in [
            ("", AddressError::Shape),
            ("worker-001", AddressError::Shape),
            ("10.0.1", AddressError::Shape),
            ("10.0.1.256", AddressError::Shape),
            ("010.0.1.5", AddressError::Shape),
            (" 10.0.1.5", AddressError::Shape),
            ("10.0.1.5/24", AddressError::Shape),
            ("10.0.1.5:6443", AddressError::Shape),
            ("[fd00::1]", AddressError::Shape),
            ("fe80::1%eth0", AddressError::Shape),
            (&"1".repeat(10_000), AddressError::Shape),
            ("0.0.0.0", AddressError::Kind),
            ("0.1.2.3", AddressError::Kind),
            ("127.0.0.1", AddressError::Kind),
            ("169.254.169.254", AddressError::Kind),
            ("224.0.0.1", AddressError::Kind),
            ("240.0.0.1", AddressError::Kind),
            ("255.255.255.255", AddressError::Kind),
            ("::", AddressError::Kind),
            ("::1", AddressError::Kind),
            ("fe80::1", AddressError::Kind),
            ("ff02::1", AddressError::Kind),
            ("::ffff:127.0.0.1", AddressError::Kind),
            // As /admit has it: these pass for other addresses.
            ("64:ff9b::10.0.1.5", AddressError::Kind),
            ("2002:a00:105::", AddressError::Kind),
            ("::10.0.1.5", AddressError::Kind),
            ("10.42.0.1", AddressError::ClusterRange),
            ("10.43.0.1", AddressError::ClusterRange),
            ("::ffff:10.43.255.255", AddressError::ClusterRange),
        ] {
            assert_eq!(read(text), Err(why), "{text}");
        }
    }

    #[test]
    fn capacities_are_quantities_of_more_than_nothing() {
        for good in ["4", "500m", "16Gi", "100Gi", "1.5", "1e3"] {
            assert_eq!(capacity(good), Ok(()), "{good}");
        }
        for bad in ["", "four", "16GB", "16 Gi", "NaN", &"9".repeat(33)] {
            assert_eq!(capacity(bad), Err(CapacityError::Shape), "{bad}");
        }
        for nothing in ["0", "0Gi", "-4", ".", "+", "-"] {
            assert_eq!(capacity(nothing), Err(CapacityError::Nothing), "{nothing}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[-+.:0-9a-fA-FGiKMm%/]{0,60}|.{0,60}") {
            let _ = read(&text);
            let _ = capacity(&text);
        }

        #[test]
        fn what_is_taken_reads_as_the_same_again(bits: u32) {
            let text = Ipv4Addr::from(bits).to_string();
            if let Ok(shown) = read(&text) {
                prop_assert_eq!(read(&shown), Ok(shown.clone()));
                prop_assert_eq!(shown, text);
            }
        }
    }
}
