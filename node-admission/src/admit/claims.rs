//! What a Node says of its addresses, in all places that something believes.
//!
//! Source: `status.addresses` (the API server and K3s's tunnel connect there); K3s's annotations,
//!         and labels of the same names in older versions, from which its cloud controller writes
//!         `status.addresses`; flannel's, from which every machine routes; kubelet's `--node-ip`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Node;

use super::ip;

/// Annotations (and labels) that hold addresses, one or several with commas between.
pub(super) const ADDRESSES: [&str; 7] = [
    "k3s.io/internal-ip",
    "k3s.io/external-ip",
    "alpha.kubernetes.io/provided-node-ip",
    "flannel.alpha.coreos.com/public-ip",
    "flannel.alpha.coreos.com/public-ip-overwrite",
    "flannel.alpha.coreos.com/public-ipv6",
    "flannel.alpha.coreos.com/public-ipv6-overwrite",
];
/// Annotations (and labels) that hold host names.
pub(super) const NAMES: [&str; 3] = [
    "k3s.io/hostname",
    "k3s.io/internal-dns",
    "k3s.io/external-dns",
];
/// More than a machine has. Each one is remembered.
pub(super) const MOST: usize = 32;
/// The longest DNS name.
const LONGEST_NAME: usize = 253;

/// The addresses that a Node claims, in every place that something believes. Whoever writes what a
/// machine once said, instead of the machine, compares them with those of all other Nodes: the
/// webhook is not asked about trusted writers.
#[must_use]
pub fn addresses(node: &Node) -> BTreeSet<IpAddr> {
    Claims::of(node).addresses
}

/// What a Node claims.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) addresses: BTreeSet<IpAddr>,
    /// In lower case.
    pub(super) names: BTreeSet<String>,
    /// What is neither, as much of it as may be repeated.
    pub(super) nonsense: Option<String>,
}

impl Claims {
    /// Of a Node's `status.addresses` (type and address), and its annotations and labels.
    pub(super) fn gather<'a>(
        addresses: impl IntoIterator<Item = (&'a str, &'a str)>,
        marks: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut claims = Self::default();
        for (kind, address) in addresses {
            match kind {
                "InternalIP" | "ExternalIP" => claims.address(address),
                "Hostname" | "InternalDNS" | "ExternalDNS" => claims.name(address),
                other => claims.nonsense(other),
            }
        }
        for (key, value) in marks {
            // An empty one is as good as none to all that read them.
            let parts = value
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty());
            if ADDRESSES.contains(&key) {
                parts.for_each(|part| claims.address(part));
            } else if NAMES.contains(&key) {
                parts.for_each(|part| claims.name(part));
            }
        }
        claims
    }

    /// Of a Node as the API server has it.
    pub(super) fn of(node: &Node) -> Self {
        let addresses = node.status.iter().flat_map(|status| &status.addresses);
        let metadata = &node.metadata;
        let marks = metadata
            .annotations
            .iter()
            .chain(&metadata.labels)
            .flatten();
        Self::gather(
            addresses
                .flatten()
                .map(|one| (one.type_.as_str(), one.address.as_str())),
            marks.map(|(key, value)| (key.as_str(), value.as_str())),
        )
    }

    fn address(&mut self, text: &str) {
        match ip::parse(text) {
            Some(address) => drop(self.addresses.insert(address)),
            None => self.nonsense(text),
        }
    }

    fn name(&mut self, text: &str) {
        // Whoever connects to a host name that is an address, connects to that address.
        if let Some(address) = ip::parse(text) {
            self.addresses.insert(address);
            return;
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        // A dot at its end makes no other name of it.
        let name = text.trim_end_matches('.');
        if name.is_empty() || text.len() > LONGEST_NAME || !name.bytes().all(plain) {
            self.nonsense(text);
        } else {
            self.names.insert(name.to_ascii_lowercase());
        }
    }

    fn nonsense(&mut self, text: &str) {
        let repeatable = text.chars().filter(char::is_ascii_graphic).take(64);
        self.nonsense.get_or_insert_with(|| repeatable.collect());
    }

    pub(super) fn len(&self) -> usize {
        self.addresses.len().saturating_add(self.names.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ips(claims: &Claims) -> Vec<String> {
        claims.addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_place_that_something_believes_is_read() {
        for key in ADDRESSES {
            let claims = Claims::gather([], [(key, "10.0.0.1, 2001:db8::1,")]);
            assert_eq!(ips(&claims), ["10.0.0.1", "2001:db8::1"], "{key}");
            assert_eq!(claims.nonsense, None);
        }
        for key in NAMES {
            let claims = Claims::gather([], [(key, "Host-1,db.example.com.")]);
            assert_eq!(claims.names.len(), 2, "{key}");
            assert!(claims.names.contains("host-1") && claims.names.contains("db.example.com"));
        }
        for kind in ["InternalIP", "ExternalIP"] {
            assert_eq!(ips(&Claims::gather([(kind, "10.0.0.1")], [])), ["10.0.0.1"]);
        }
        for kind in ["Hostname", "InternalDNS", "ExternalDNS"] {
            assert_eq!(
                ips(&Claims::gather([(kind, "010.0.0.1")], [])),
                ["10.0.0.1"]
            );
            assert_eq!(Claims::gather([(kind, "w1")], []).names.len(), 1);
        }
    }

    #[test]
    fn what_is_neither_address_nor_name_is_told() {
        for (kind, address) in [
            ("InternalIP", "worker-001"),
            ("InternalIP", ""),
            ("ExternalIP", "fe80::1%eth0"),
            ("Hostname", ""),
            ("Hostname", "."),
            ("Hostname", "a b"),
            ("Hostname", "a/b"),
            ("internalip", "10.0.0.1"),
            ("Other", "10.0.0.1"),
        ] {
            let claims = Claims::gather([(kind, address)], []);
            assert!(claims.nonsense.is_some(), "{kind} {address}");
        }
        let long = "x\u{7}\n".repeat(1000);
        let told = Claims::gather([("InternalIP", long.as_str())], []).nonsense;
        assert_eq!(told, Some("x".repeat(64)));
    }

    #[test]
    fn other_annotations_claim_nothing() {
        let claims = Claims::gather([], [("k3s.io/node-args", "10.0.0.1"), ("note", "w1")]);
        assert_eq!(claims, Claims::default());
    }

    #[test]
    fn a_node_of_the_api_server_is_read_alike() {
        let node: Node = serde_json::from_value(serde_json::json!({
            "metadata": {"annotations": {"k3s.io/internal-ip": "10.0.0.1"},
                "labels": {"k3s.io/external-ip": "203.0.113.7"}},
            "status": {"addresses": [{"type": "Hostname", "address": "w1"}]},
        }))
        .unwrap();
        let claims = Claims::of(&node);
        assert_eq!(ips(&claims), ["10.0.0.1", "203.0.113.7"]);
        assert!(claims.names.contains("w1"));
        assert_eq!(addresses(&node), claims.addresses);
        assert_eq!(Claims::of(&Node::default()), Claims::default());
    }

    proptest! {
        #[test]
        fn nothing_panics(kind in "\\PC{0,20}", address in "\\PC{0,300}", key in 0_usize..10) {
            let key = ADDRESSES.iter().chain(&NAMES).nth(key).copied().unwrap_or_default();
            let claims = Claims::gather([(kind.as_str(), address.as_str())], [(key, address.as_str())]);
            prop_assert!(claims.nonsense.is_none_or(|told| told.len() <= 64));
        }
    }
}
