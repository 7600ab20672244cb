//! A seal directory that the test writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use seal::testing::active_record;
use seal::{
    Address, CredentialHash, Mist, NodeClaim, NodeName, ObjectId, SealRecord, SealStatus,
    Thresholds, Tier, UnixMillis,
};
use sui_ledger::directory::{Change, End, SealDirectory, Unavailable, Why};
use tenancy::namespaces::TenantDirectory;
use tokio::sync::broadcast;

/// Far enough for every test, in ms.
pub(crate) const FAR: u64 = 3_600_000;

/// What stands on the chain of one owner.
#[derive(Clone)]
enum Owner {
    Seals(Vec<Arc<SealRecord>>),
    Unreadable,
}

pub(crate) struct Chain {
    owners: Mutex<HashMap<Address, Owner>>,
    changes: broadcast::Sender<Change>,
    seq: AtomicU64,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self {
            owners: Mutex::default(),
            changes: broadcast::Sender::new(1_024),
            seq: AtomicU64::new(1),
        }
    }

    /// One usable seal of this stake, for so many ms, and nothing else.
    pub(crate) fn stake(&self, owner: Address, sui: u64, for_ms: u64) {
        let record = self.record(owner, sui, for_ms, SealStatus::Active);
        self.set(owner, record);
    }

    /// Its seal is slashed.
    pub(crate) fn slash(&self, owner: Address) {
        let record = self.record(owner, 2, FAR, SealStatus::Slashed);
        self.set(owner, record);
    }

    /// Nothing of it can be read.
    pub(crate) fn hide(&self, owner: Address) {
        self.owners.lock().unwrap().insert(owner, Owner::Unreadable);
        // Somebody tells of a change that can't be looked up.
        let record = self.record(owner, 2, FAR, SealStatus::Slashed);
        self.tell(record);
    }

    fn set(&self, owner: Address, record: SealRecord) {
        let seals = Owner::Seals(vec![Arc::new(record.clone())]);
        self.owners.lock().unwrap().insert(owner, seals);
        self.tell(record);
    }

    fn tell(&self, record: SealRecord) {
        let after = record.usable(self.now(), &self.thresholds());
        let _ = self.changes.send(Change {
            hash: hash(&record.owner),
            record: Arc::new(record),
            why: Why::Read,
            before: Some(Tier::Developer),
            after,
        });
    }

    fn record(&self, owner: Address, sui: u64, for_ms: u64, status: SealStatus) -> SealRecord {
        SealRecord {
            seq: self.seq.fetch_add(1, Ordering::Relaxed),
            seal_id: ObjectId::from_bytes(*owner.as_bytes()),
            owner,
            stake: Mist(sui * Mist::PER_SUI),
            expires_at: UnixMillis(self.now().0 + for_ms),
            status,
            ..active_record()
        }
    }
}

fn hash(owner: &Address) -> CredentialHash {
    CredentialHash::from_bytes(*owner.as_bytes())
}

impl SealDirectory for Chain {
    async fn seal(&self, hash: CredentialHash) -> Result<Option<Arc<SealRecord>>, Unavailable> {
        let owners = self.owners.lock().unwrap();
        for (owner, found) in owners.iter() {
            if self::hash(owner) == hash {
                return match found {
                    Owner::Seals(seals) => Ok(seals.first().cloned()),
                    Owner::Unreadable => Err(Unavailable::ReadFailed),
                };
            }
        }
        Ok(None)
    }

    async fn claim(&self, _name: &NodeName) -> Result<Option<NodeClaim>, Unavailable> {
        Ok(None)
    }

    async fn owner_seals(&self, owner: Address) -> Result<Arc<[CredentialHash]>, Unavailable> {
        match self.owners.lock().unwrap().get(&owner) {
            Some(Owner::Seals(seals)) => Ok(seals.iter().map(|_| hash(&owner)).collect()),
            Some(Owner::Unreadable) => Err(Unavailable::ReadFailed),
            None => Ok(Arc::from([])),
        }
    }

    fn now(&self) -> UnixMillis {
        let passed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        UnixMillis(u64::try_from(passed.unwrap().as_millis()).unwrap())
    }

    fn thresholds(&self) -> Thresholds {
        Thresholds::default()
    }

    fn last_known_end(&self, _hash: &CredentialHash) -> Option<End> {
        None
    }
}

impl TenantDirectory for Chain {
    fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }
}
