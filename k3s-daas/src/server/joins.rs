//! What the reviews need of nodes: a Node for whoever joins, and how each node stands.

use std::sync::Arc;

use authn_webhook::{NodeJoin, NodeJoinError};
use authz_webhook::NodeStandings;
use node_admission::{JoinError, Nodes};
use seal::{Address, CredentialHash, NodeName, NodeStanding, SealRecord};
use sui_ledger::directory::Directory;

use super::kube_client::KubeClient;

/// Nodes as the webhooks know them, once there is an API server.
#[derive(Debug, Clone)]
pub(super) struct Joins {
    kube: KubeClient,
    nodes: Nodes<Directory>,
}

impl Joins {
    pub(super) fn new(kube: KubeClient, nodes: Nodes<Directory>) -> Self {
        Self { kube, nodes }
    }
}

/// There is no client of the API server yet.
#[derive(Debug, thiserror::Error)]
#[error("there is no API server yet")]
struct NoClient;

impl NodeJoin for Joins {
    async fn admit(
        &self,
        name: &NodeName,
        hash: CredentialHash,
        record: &Arc<SealRecord>,
    ) -> Result<(), NodeJoinError> {
        let Some(client) = self.kube.get() else {
            return Err(NodeJoinError::Api(Box::new(NoClient)));
        };
        match Box::pin(self.nodes.admit(&client, name, hash, record)).await {
            Ok(()) => Ok(()),
            Err(JoinError::Reserved) => Err(NodeJoinError::Reserved),
            Err(JoinError::Taken) => Err(NodeJoinError::Taken),
            Err(error) => Err(NodeJoinError::Api(Box::new(error))),
        }
    }
}

impl NodeStandings for Joins {
    fn standing(&self, name: &str) -> NodeStanding {
        self.nodes.standing(name)
    }

    fn owner(&self, name: &str) -> Option<Address> {
        self.nodes.sealed_node(name)?.spec.owner.parse().ok()
    }
}
