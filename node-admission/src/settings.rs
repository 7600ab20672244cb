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
