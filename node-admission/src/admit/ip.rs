//! Addresses as Kubernetes reads them.
//!
//! Source: Go's `ParseIPSloppy`, which Kubernetes reads addresses of Nodes with: decimal parts of
//!         IPv4 may have leading zeros, and IPv4 within IPv6 is IPv4. Two texts of one address are
//!         one address here too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longer than any address is written.
const MAX_TEXT: usize = 64;

/// Reads an address; `None` for what is none, and for one with a zone.
pub(super) fn parse(text: &str) -> Option<IpAddr> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let Some((head, tail)) = text.rsplit_once(':') else {
        return v4(text).map(IpAddr::V4);
    };
    let address: Ipv6Addr = if tail.contains('.') {
        let tail = u32::from(v4(tail)?);
        format!("{head}:{:x}:{:x}", tail >> 16, tail & 0xffff)
            .parse()
            .ok()?
    } else {
        text.parse().ok()?
    };
    Some(IpAddr::V6(address).to_canonical())
}

fn v4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        // `parse` would take a sign.
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = part.trim_start_matches('0');
        *octet = if digits.is_empty() {
            0
        } else {
            digits.parse().ok()?
        };
    }
    parts.next().is_none().then(|| octets.into())
}

/// Why no machine can have an address, whatever the cluster looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    Unspecified,
    Loopback,
    LinkLocal,
    Multicast,
    /// Reserved, or IPv4 in a coat by which it would pass for another address.
    Reserved,
}

impl Unusable {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Unspecified => "no address at all",
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address",
            Self::Multicast => "a multicast address",
            Self::Reserved => "a reserved or translated address",
        }
    }
}

/// Whether an address is one that a machine can be reached at.
pub(crate) fn unusable(address: IpAddr) -> Option<Unusable> {
    match address {
        IpAddr::V4(v4) => unusable_v4(v4),
        IpAddr::V6(v6) => unusable_v6(v6),
    }
}

fn unusable_v4(address: Ipv4Addr) -> Option<Unusable> {
    let [first, ..] = address.octets();
    if address.is_unspecified() {
        Some(Unusable::Unspecified)
    } else if address.is_loopback() {
        Some(Unusable::Loopback)
    } else if address.is_link_local() {
        Some(Unusable::LinkLocal)
    } else if address.is_multicast() {
        Some(Unusable::Multicast)
    } else if first == 0 || first >= 240 {
        Some(Unusable::Reserved)
    } else {
        None
    }
}

fn unusable_v6(address: Ipv6Addr) -> Option<Unusable> {
    let segments = address.segments();
    if address.is_unspecified() {
        Some(Unusable::Unspecified)
    } else if address.is_loopback() {
        Some(Unusable::Loopback)
    } else if address.is_unicast_link_local() {
        Some(Unusable::LinkLocal)
    } else if address.is_multicast() {
        Some(Unusable::Multicast)
    } else {
        // IPv4-compatible and -mapped, NAT64, 6to4, Teredo, discard-only.
        let compatible = matches!(segments, [0, 0, 0, 0, 0, 0 | 0xffff, ..]);
        let translated = matches!(
            segments,
            [0x64, 0xff9b, ..] | [0x2002, ..] | [0x2001, 0, ..]
        );
        let discarded = matches!(segments, [0x100, 0, 0, 0, ..]);
        (compatible || translated || discarded).then_some(Unusable::Reserved)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_one_however_it_is_written() {
        for (text, address) in [
            ("10.0.0.1", "10.0.0.1"),
            ("010.000.00000.001", "10.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("::ffff:010.0.0.01", "10.0.0.1"),
            ("::ffff:a00:1", "10.0.0.1"),
            ("0:0:0:0:0:FFFF:0a00:0001", "10.0.0.1"),
            ("2001:DB8:0:0::0001", "2001:db8::1"),
            ("64:ff9b::010.0.0.1", "64:ff9b::a00:1"),
        ] {
            let expected: IpAddr = address.parse().unwrap();
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in [
            "",
            " 10.0.0.1",
            "10.0.0.1 ",
            "10.0.0",
            "10.0.0.1.2",
            "10.0.0.256",
            "10..0.1",
            "+10.0.0.1",
            "-1.0.0.1",
            "0x0a.0.0.1",
            "10.0.0.1/32",
            "10.0.0.1:80",
            "[::1]",
            "fe80::1%eth0",
            "::ffff:10.0.0",
            "1:2:3:4:5:6:7:8:9",
            ":::",
            "worker-001",
            "१०.0.0.1",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&format!("{}1.1.1.1", "0".repeat(100))), None);
    }

    #[test]
    fn only_what_a_machine_can_be_reached_at_is_usable() {
        for (text, expected) in [
            ("10.0.1.5", None),
            ("192.168.0.1", None),
            ("100.64.0.1", None),
            ("203.0.113.7", None),
            ("2001:db8::1", None),
            ("fd00::1", None),
            ("0.0.0.0", Some(Unusable::Unspecified)),
            ("::", Some(Unusable::Unspecified)),
            ("127.0.0.1", Some(Unusable::Loopback)),
            ("127.255.0.1", Some(Unusable::Loopback)),
            ("::1", Some(Unusable::Loopback)),
            ("::ffff:127.0.0.1", Some(Unusable::Loopback)),
            ("169.254.169.254", Some(Unusable::LinkLocal)),
            ("fe80::1", Some(Unusable::LinkLocal)),
            ("febf::1", Some(Unusable::LinkLocal)),
            ("224.0.0.1", Some(Unusable::Multicast)),
            ("ff02::1", Some(Unusable::Multicast)),
            ("0.1.2.3", Some(Unusable::Reserved)),
            ("240.0.0.1", Some(Unusable::Reserved)),
            ("255.255.255.255", Some(Unusable::Reserved)),
            ("::10.0.0.1", Some(Unusable::Reserved)),
            ("64:ff9b::10.0.0.1", Some(Unusable::Reserved)),
            ("2002:a00:1::", Some(Unusable::Reserved)),
            ("2001::1", Some(Unusable::Reserved)),
            ("100::1", Some(Unusable::Reserved)),
        ] {
            assert_eq!(unusable(parse(text).unwrap()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            let _ = parse(&text).map(unusable);
        }

        #[test]
        fn addresses_are_read_back(address: IpAddr) {
            prop_assert_eq!(parse(&address.to_string()), Some(address.to_canonical()));
        }

        #[test]
        fn zeros_and_coats_change_nothing(octets: [u8; 4], zeros in 0_usize..6) {
            let [a, b, c, d] = octets;
            let pad = "0".repeat(zeros);
            let plain = Some(IpAddr::from(octets));
            let padded = format!("{pad}{a}.{pad}{b}.{pad}{c}.{pad}{d}");
            prop_assert_eq!(parse(&padded), plain);
            prop_assert_eq!(parse(&format!("::ffff:{padded}")), plain);
        }
    }
}
