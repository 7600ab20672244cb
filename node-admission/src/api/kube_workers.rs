//! [`Nodes`] as the API needs them, once there is an API server to ask.

use std::fmt;
use std::sync::Arc;

use seal::{CredentialHash, NodeName, SealRecord};

use super::workers::{WorkerError, WorkerRegistry};
use crate::join::JoinError;
use crate::nodes::{NodeDirectory, Nodes};
use crate::sealed_node::{Heartbeat, Registration, SealedNode};

/// Keeps what is said of workers in the cluster that `client` gives, which may come later than
/// the process.
pub struct KubeWorkers<D, F> {
    nodes: Nodes<D>,
    client: F,
}

impl<D, F> KubeWorkers<D, F>
where
    D: NodeDirectory,
    F: Fn() -> Option<kube::Client> + Send + Sync + 'static,
{
    /// Workers among these nodes.
    pub fn new(nodes: Nodes<D>, client: F) -> Self {
        Self { nodes, client }
    }

    fn client(&self) -> Result<kube::Client, WorkerError> {
        (self.client)().ok_or(WorkerError::Unavailable)
    }
}

impl<D, F> fmt::Debug for KubeWorkers<D, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubeWorkers").finish_non_exhaustive()
    }
}

impl<D, F> WorkerRegistry for KubeWorkers<D, F>
where
    D: NodeDirectory,
    F: Fn() -> Option<kube::Client> + Send + Sync + 'static,
{
    async fn register(
        &self,
        name: &NodeName,
        hash: CredentialHash,
        record: &SealRecord,
        registration: Registration,
    ) -> Result<(), WorkerError> {
        let client = self.client()?;
        self.nodes
            .register(&client, name, hash, record, registration)
            .await
            .map_err(|error| told("register", &error))
    }

    async fn heartbeat(&self, name: &NodeName, heartbeat: Heartbeat) -> Result<(), WorkerError> {
        let client = self.client()?;
        self.nodes
            .heartbeat(&client, name, heartbeat)
            .await
            .map_err(|error| told("heartbeat", &error))
    }

    fn is_known(&self) -> bool {
        self.nodes.view_age().is_some()
    }

    fn sealed_nodes(&self) -> Vec<Arc<SealedNode>> {
        self.nodes.sealed_nodes()
    }

    fn sealed_node(&self, name: &str) -> Option<Arc<SealedNode>> {
        self.nodes.sealed_node(name)
    }
}

/// What the caller is told; what the API server said is for the log alone.
fn told(call: &'static str, error: &JoinError) -> WorkerError {
    let told = match error {
        JoinError::Reserved => WorkerError::Reserved,
        JoinError::Taken => WorkerError::Taken,
        JoinError::Missing => WorkerError::Missing,
        JoinError::Invalid { what } => WorkerError::Invalid(what),
        JoinError::Ending | JoinError::Overloaded | JoinError::Contended => WorkerError::Busy,
        JoinError::Late { .. } | JoinError::Api { .. } => WorkerError::Unavailable,
    };
    if told == WorkerError::Unavailable {
        tracing::warn!(
            call,
            error = error as &dyn std::error::Error,
            "the API server did not keep what a worker said"
        );
    }
    told
}
