//! What the operator chooses about nodes.

use std::collections::BTreeSet;
use std::time::Duration;

use ipnet::IpNet;

/// The operator's choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSettings {
    /// Nodes of the control plane: they need no seal, and create their own Nodes.
    pub control_plane_nodes: BTreeSet<String>,
    /// Nodes that pods of protected namespaces may run on.
    pub trusted_nodes: BTreeSet<String>,
    /// Names that no seal's node may bear, besides those of the control plane's nodes: host
    /// names of the servers and every name in the API server's certificate.
    pub reserved_names: BTreeSet<String>,
    /// How long a node whose seal ended without fault may go on, to be drained.
    pub drain_grace: Duration,
    /// How long before a seal's expiry its node's owner is warned.
    pub warn_before: Duration,
    /// Ranges that no node's address may lie in: the cluster's pods and services.
    pub cluster_ranges: Vec<IpNet>,
}

/// Names that every cluster's certificate speaks for.
const ALWAYS_RESERVED: [&str; 2] = ["kubernetes", "localhost"];

impl NodeSettings {
    /// Whether no seal's node may bear this name: a node is known by it, and so is a server.
    #[must_use]
    pub fn is_reserved(&self, name: &str) -> bool {
        let is = |reserved: &str| reserved.eq_ignore_ascii_case(name);
        ALWAYS_RESERVED.into_iter().any(is)
            || self.control_plane_nodes.iter().any(|reserved| is(reserved))
            || self.reserved_names.iter().any(|reserved| is(reserved))
    }
}

/// The design's drain grace.
const DRAIN_GRACE: Duration = Duration::from_mins(5);
/// When warnings begin.
const WARN_BEFORE: Duration = Duration::from_hours(24);

impl Default for NodeSettings {
    fn default() -> Self {
        // K3s's own ranges: `cluster-cidr` and `service-cidr`.
        let range = |a, b| IpNet::V4(ipnet::Ipv4Net::new_assert([a, b, 0, 0].into(), 16));
        Self {
            control_plane_nodes: BTreeSet::new(),
            trusted_nodes: BTreeSet::new(),
            reserved_names: BTreeSet::new(),
            drain_grace: DRAIN_GRACE,
            warn_before: WARN_BEFORE,
            cluster_ranges: vec![range(10, 42), range(10, 43)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_control_plane_are_reserved_however_they_are_spelled() {
        let settings = NodeSettings {
            control_plane_nodes: BTreeSet::from(["master".to_owned()]),
            reserved_names: BTreeSet::from(["API".to_owned()]),
            ..NodeSettings::default()
        };
        for name in ["localhost", "kubernetes", "master", "api"] {
            assert!(settings.is_reserved(name), "{name}");
        }
        assert!(!settings.is_reserved("worker-001"));
    }
}
