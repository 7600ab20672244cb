//! Records as a chain would have them. Nodes' way in asks it for thresholds alone.

use std::sync::Arc;

use node_admission::NodeDirectory;
use seal::testing::active_record;
use seal::{
    Address, CredentialHash, NodeClaim, NodeName, ObjectId, SealRecord, Thresholds, UnixMillis,
};
use sui_ledger::directory::{Change, End, SealDirectory, Unavailable};
use tokio::sync::broadcast;

pub(crate) struct Chain {
    changes: broadcast::Sender<Change>,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self {
            changes: broadcast::Sender::new(16),
        }
    }
}

/// A usable record of this owner for this node.
pub(crate) fn record(owner: u8, name: &NodeName) -> SealRecord {
    SealRecord {
        seq: 7,
        seal_id: ObjectId::from_bytes([owner; 32]),
        owner: Address::from_bytes([owner; 32]),
        node_id: Some(name.clone()),
        expires_at: UnixMillis(1_924_992_000_000),
        ..active_record()
    }
}

pub(crate) fn hash(number: u8) -> CredentialHash {
    CredentialHash::from_bytes([number; 32])
}

impl SealDirectory for Chain {
    async fn seal(&self, _hash: CredentialHash) -> Result<Option<Arc<SealRecord>>, Unavailable> {
        Err(Unavailable::Starting)
    }

    async fn claim(&self, _name: &NodeName) -> Result<Option<NodeClaim>, Unavailable> {
        Err(Unavailable::Starting)
    }

    async fn owner_seals(&self, _owner: Address) -> Result<Arc<[CredentialHash]>, Unavailable> {
        Err(Unavailable::Starting)
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(0)
    }

    fn thresholds(&self) -> Thresholds {
        Thresholds::default()
    }

    fn last_known_end(&self, _hash: &CredentialHash) -> Option<End> {
        None
    }
}

impl NodeDirectory for Chain {
    type Hold = ();

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    fn hold(&self, _hash: CredentialHash) -> Result<(), Unavailable> {
        Ok(())
    }
}
