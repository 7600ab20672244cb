//! The Node of a machine that joins, made while its credential's review is answered.
//!
//! K3s signs a node's certificate only where a Node of that name exists, and only the server may
//! create Nodes. So here, unlike with a holder's namespace, making is a condition: a machine
//! whose Node can't be made is not authenticated, and its agent asks again some seconds later.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;

use seal::{CredentialHash, NodeName, SealRecord};

use crate::decide::Refusal;

/// Makes Nodes. Implemented where there is a client of the API server.
pub trait NodeJoin: Send + Sync + 'static {
    /// Makes sure that a machine which may join has its Node. Its record is usable, names it, and
    /// holds the claim of its name. What is there already is a success. An agent asks some six
    /// times while it joins: coalescing and bounding is the implementation's, and an attempt may
    /// outlive a caller that gives up.
    fn admit(
        &self,
        name: &NodeName,
        hash: CredentialHash,
        record: &Arc<SealRecord>,
    ) -> impl Future<Output = Result<(), NodeJoinError>> + Send;
}

/// Why a machine has no Node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeJoinError {
    /// The name is the control plane's.
    #[error("the name is reserved")]
    Reserved,
    /// A node of that name did not join with a seal of this owner. It is left alone.
    #[error("a node of this name did not join with a seal of this owner")]
    Taken,
    /// The API server refused or could not be reached. May be tried again.
    #[error("the API server did not make the Node")]
    Api(#[source] Box<dyn Error + Send + Sync>),
}

impl NodeJoinError {
    pub(crate) const fn refusal(&self) -> Refusal {
        match self {
            Self::Reserved => Refusal::NodeReserved,
            Self::Taken => Refusal::NodeTaken,
            Self::Api(_) => Refusal::NodeNotMade,
        }
    }
}

/// Lets no machine join: for a server that has no client of the API server.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoNodes;

/// There is nobody who could make a Node.
#[derive(Debug, thiserror::Error)]
#[error("this server makes no Nodes")]
struct MakesNone;

impl NodeJoin for NoNodes {
    async fn admit(
        &self,
        _name: &NodeName,
        _hash: CredentialHash,
        _record: &Arc<SealRecord>,
    ) -> Result<(), NodeJoinError> {
        Err(NodeJoinError::Api(Box::new(MakesNone)))
    }
}
