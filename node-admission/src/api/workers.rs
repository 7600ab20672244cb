//! What the API needs of the cluster.

use std::future::Future;
use std::sync::Arc;

use seal::{CredentialHash, NodeName, SealRecord};

use super::problem::{Problem, ProblemKind};
use crate::sealed_node::{Heartbeat, Registration, SealedNode};

/// Why what was said of a worker is not kept. Never the seal's fault: that was judged before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The name is the control plane's, or one that its certificates speak for.
    #[error("the name is reserved")]
    Reserved,
    /// A node of that name is there which did not join with a seal of this owner.
    #[error("a node of this name is there that did not join with a seal of this owner")]
    Taken,
    /// Nothing is known of a node of this name.
    #[error("the node is neither registered nor joined")]
    Missing,
    /// What was said of the machine can't be kept.
    #[error("not valid: {0}")]
    Invalid(&'static str),
    /// The same may succeed in a moment.
    #[error("the cluster can't take it now")]
    Busy,
    /// The API server is not known yet, or did not do it.
    #[error("the cluster can't be asked")]
    Unavailable,
}

/// Keeps what operators say of their workers, and knows what is known of them.
pub trait WorkerRegistry: Send + Sync + 'static {
    /// Keeps a registration. The record is usable, names the node and holds its name's claim.
    fn register(
        &self,
        name: &NodeName,
        hash: CredentialHash,
        record: &SealRecord,
        registration: Registration,
    ) -> impl Future<Output = Result<(), WorkerError>> + Send;

    /// Keeps a worker's newest heartbeat.
    fn heartbeat(
        &self,
        name: &NodeName,
        heartbeat: Heartbeat,
    ) -> impl Future<Output = Result<(), WorkerError>> + Send;

    /// Whether all nodes are known: not before the first list of them is in.
    fn is_known(&self) -> bool;

    /// All nodes that are known, by name.
    fn sealed_nodes(&self) -> Vec<Arc<SealedNode>>;

    /// What is known of one.
    fn sealed_node(&self, name: &str) -> Option<Arc<SealedNode>>;
}

impl From<WorkerError> for Problem {
    fn from(error: WorkerError) -> Self {
        let pause = std::time::Duration::from_secs(2);
        let problem = |kind| Self::new(kind, error.to_string());
        match error {
            WorkerError::Reserved => problem(ProblemKind::NameReserved),
            WorkerError::Taken => problem(ProblemKind::NameTaken),
            WorkerError::Missing => problem(ProblemKind::NotRegistered),
            WorkerError::Invalid(_) => problem(ProblemKind::InvalidValue),
            WorkerError::Busy => problem(ProblemKind::ClusterUnavailable)
                .because("busy")
                .retry_after(pause),
            WorkerError::Unavailable => problem(ProblemKind::ClusterUnavailable)
                .because("unavailable")
                .retry_after(pause),
        }
    }
}
