//! How a node stands in the cluster, beside what the chain says of its seal.

use crate::UnixMillis;

/// What the cluster remembers of a node that joined with a seal. It holds when the chain can't be
/// asked, and it tells a node that is being drained from one that is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeStanding {
    /// Nothing is known of a node of this name.
    Unknown,
    /// Its seal was usable when it was last looked at.
    Active,
    /// Its seal ended without fault; it may go on until then, so that its pods can be moved.
    Draining {
        /// When it is cut off.
        until: UnixMillis,
    },
    /// It has no place in the cluster.
    Cut,
}
