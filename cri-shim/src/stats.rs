//! What the machine, its pods and their containers use.

pub(crate) mod cgroup;
pub(crate) mod node;
pub(crate) mod snapshot;

pub use snapshot::{
    ContainerUsage, Io, MOST_CONTAINERS, MOST_PODS, NodeUsage, PodUsage, Snapshot, Summary,
    Traffic, Usage,
};
