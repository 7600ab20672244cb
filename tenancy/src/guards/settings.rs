//! What the operator chooses about the guards.

use std::collections::BTreeSet;

/// All that the text of the guards depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GuardSettings {
    /// The operator's protected namespaces, besides those that always are (`kube-*`, `default`,
    /// our own): nobody below super makes a namespace of such a name before the operator does.
    pub protected_namespaces: BTreeSet<String>,
    /// Nodes of the control plane: they create their own Nodes, and are not held to what strangers'
    /// machines are.
    pub control_plane_nodes: BTreeSet<String>,
}
