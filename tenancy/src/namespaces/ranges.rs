//! Which addresses tenants' pods can't reach.
//!
//! Shape:  the configured ranges, and the addresses of nodes and of the API server that no range
//!         covers, as single addresses. Sorted and merged, so that the same set is the same text.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Single addresses kept; a network policy of more is a burden for every node.
pub(super) const MAX_ADDRESSES: usize = 500;

/// The closed ranges, by family, in the order of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Closed {
    /// IPv4.
    pub(super) v4: Vec<Ipv4Net>,
    /// IPv6.
    pub(super) v6: Vec<Ipv6Net>,
    /// Addresses that were left out since there are too many.
    pub(super) left_out: usize,
}

/// Merges what is configured and what was found, the more important addresses first.
pub(super) fn closed(configured: &[IpNet], found: &[IpAddr]) -> Closed {
    let mut v4: Vec<Ipv4Net> = Vec::new();
    let mut v6: Vec<Ipv6Net> = Vec::new();
    for range in configured {
        match range.trunc() {
            IpNet::V4(range) => v4.push(range),
            IpNet::V6(range) => match range.network().to_ipv4_mapped() {
                None => v6.push(range),
                Some(address) => v4.extend(mapped(address, range)),
            },
        }
    }
    let uncovered = |address: &IpAddr| !configured.iter().any(|range| range.contains(address));
    let mut left_out = 0_usize;
    let mut kept = 0_usize;
    for address in found.iter().map(IpAddr::to_canonical) {
        if !uncovered(&address) {
            continue;
        }
        if kept >= MAX_ADDRESSES {
            left_out = left_out.saturating_add(1);
            continue;
        }
        kept = kept.saturating_add(1);
        match IpNet::from(address) {
            IpNet::V4(range) => v4.push(range),
            IpNet::V6(range) => v6.push(range),
        }
    }
    Closed {
        v4: Ipv4Net::aggregate(&v4),
        v6: Ipv6Net::aggregate(&v6),
        left_out,
    }
}

/// An IPv4 range in IPv6 clothes, which no network policy takes and no packet wears: the range
/// that is meant, or nothing where it is all of them.
fn mapped(address: Ipv4Addr, range: Ipv6Net) -> Option<Ipv4Net> {
    let prefix = range.prefix_len().checked_sub(96)?;
    Ipv4Net::new(address, prefix)
        .ok()
        .filter(|range| range.prefix_len() > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn shown(closed: &Closed) -> Vec<String> {
        let v4 = closed.v4.iter().map(ToString::to_string);
        v4.chain(closed.v6.iter().map(ToString::to_string))
            .collect()
    }

    #[test]
    fn what_no_range_covers_is_closed_alone() {
        let closed = closed(
            &nets(&["10.0.0.0/8", "fc00::/7"]),
            &addresses(&[
                "10.1.2.3",
                "203.0.113.7",
                "2001:db8::1",
                "fd00::1",
                "::ffff:198.51.100.1",
            ]),
        );
        assert_eq!(
            shown(&closed),
            [
                "10.0.0.0/8",
                "198.51.100.1/32",
                "203.0.113.7/32",
                "2001:db8::1/128",
                "fc00::/7"
            ]
        );
        assert_eq!(closed.left_out, 0);
    }

    #[test]
    fn ranges_that_no_policy_takes_are_turned_into_those_that_are_meant() {
        let closed = closed(&nets(&["::ffff:0:0/96", "::ffff:8.0.0.0/104"]), &[]);
        assert_eq!(shown(&closed), ["8.0.0.0/8"]);
    }

    #[test]
    fn the_same_set_is_the_same_text() {
        let one = closed(&nets(&["10.0.0.1/8", "10.0.0.0/8", "192.168.0.0/16"]), &[]);
        let other = closed(
            &nets(&["192.168.0.0/16", "10.0.0.0/9", "10.128.0.0/9"]),
            &[],
        );
        assert_eq!(one, other);
    }

    #[test]
    fn too_many_addresses_are_cut_and_counted() {
        let many: Vec<IpAddr> = (0..510_u32)
            .map(|n| IpAddr::from((0xCB00_7100_u32 + n * 2).to_be_bytes()))
            .collect();
        let closed = closed(&[], &many);
        assert_eq!(closed.left_out, 10);
        assert_eq!(closed.v4.len(), 500);
    }

    proptest! {
        #[test]
        fn every_found_address_is_closed(found in proptest::collection::vec(any::<u32>(), 0..20), net: u32, prefix in 0_u8..=32) {
            let found: Vec<IpAddr> = found.into_iter().map(|n| IpAddr::from(n.to_be_bytes())).collect();
            let configured = [IpNet::new(IpAddr::from(net.to_be_bytes()), prefix).unwrap()];
            let closed = closed(&configured, &found);
            for address in &found {
                let IpAddr::V4(address) = address else { continue };
                prop_assert!(closed.v4.iter().any(|range| range.contains(address)));
            }
        }
    }
}
