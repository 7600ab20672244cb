//! A seal directory that the test writes.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::SystemTime;

use node_admission::NodeDirectory;
use seal::testing::active_record;
use seal::{
    Address, CredentialHash, NodeClaim, NodeName, ObjectId, SealRecord, SealStatus, Thresholds,
    Tier, UnixMillis,
};
use sui_ledger::directory::{Change, End, SealDirectory, Unavailable, Why};
use tokio::sync::broadcast;

/// Far enough for every test, in ms.
pub(crate) const FAR: u64 = 3_600_000;

#[derive(Default)]
struct Rows {
    claims: HashMap<String, NodeClaim>,
    seals: HashMap<CredentialHash, Arc<SealRecord>>,
    hidden: HashSet<String>,
}

pub(crate) struct Chain {
    rows: Mutex<Rows>,
    changes: broadcast::Sender<Change>,
    seq: AtomicU64,
    held: Arc<AtomicUsize>,
}

/// A hold that is counted.
pub(crate) struct Hold(Arc<AtomicUsize>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) fn owner(number: u8) -> Address {
    Address::from_bytes([number; 32])
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self {
            rows: Mutex::default(),
            changes: broadcast::Sender::new(1_024),
            seq: AtomicU64::new(1),
            held: Arc::default(),
        }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap()
    }

    /// A usable seal of this owner holds the name, for so many ms.
    pub(crate) fn stake(&self, node: &str, number: u8, for_ms: u64) -> CredentialHash {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [number; 32];
        bytes[..8].copy_from_slice(&seq.to_be_bytes());
        let hash = CredentialHash::from_bytes(bytes);
        let record = SealRecord {
            seq,
            seal_id: ObjectId::from_bytes(bytes),
            owner: owner(number),
            node_id: Some(node.parse().unwrap()),
            expires_at: UnixMillis(self.now().0 + for_ms),
            ..active_record()
        };
        let claim = NodeClaim {
            owner: owner(number),
            hash,
        };
        {
            let mut rows = self.rows();
            rows.hidden.remove(node);
            rows.claims.insert(node.to_owned(), claim);
        }
        self.put(hash, record);
        hash
    }

    pub(crate) fn hash(&self, node: &str) -> CredentialHash {
        self.rows().claims[node].hash
    }

    pub(crate) fn record(&self, node: &str) -> Arc<SealRecord> {
        let hash = self.hash(node);
        Arc::clone(&self.rows().seals[&hash])
    }

    /// Changes the record of the seal that holds the name, and tells.
    pub(crate) fn change(&self, node: &str, change: impl FnOnce(&mut SealRecord)) {
        let hash = self.hash(node);
        let mut record = SealRecord::clone(&self.record(node));
        change(&mut record);
        record.seq = self.seq.fetch_add(1, Ordering::Relaxed);
        self.put(hash, record);
    }

    pub(crate) fn set(&self, node: &str, status: SealStatus) {
        self.change(node, |record| record.status = status);
    }

    pub(crate) fn expire(&self, node: &str) {
        let now = self.now();
        self.change(node, |record| record.expires_at = now);
    }

    /// The same owner's other seal takes over; the old one is retired, and told of first.
    pub(crate) fn refresh(&self, node: &str, number: u8) -> CredentialHash {
        let old = self.hash(node);
        let mut record = SealRecord::clone(&self.record(node));
        record.status = SealStatus::Retired;
        let new = self.stake(node, number, FAR);
        self.put(old, record);
        new
    }

    /// The operator takes the name away, or gives it to another.
    pub(crate) fn claim_goes(&self, node: &str, to: Option<u8>) {
        {
            let mut rows = self.rows();
            match to {
                None => drop(rows.claims.remove(node)),
                Some(number) => {
                    rows.claims.get_mut(node).unwrap().owner = owner(number);
                }
            }
        }
    }

    /// Nothing of it can be read.
    pub(crate) fn hide(&self, node: &str) {
        self.rows().hidden.insert(node.to_owned());
        self.tell_of(node);
    }

    pub(crate) fn unhide(&self, node: &str) {
        self.rows().hidden.remove(node);
    }

    /// Says that something happened; what, is to be looked up.
    pub(crate) fn tell_of(&self, node: &str) {
        let record = self.record(node);
        self.tell(self.hash(node), record);
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn put(&self, hash: CredentialHash, record: SealRecord) {
        let record = Arc::new(record);
        self.rows().seals.insert(hash, Arc::clone(&record));
        self.tell(hash, record);
    }

    fn tell(&self, hash: CredentialHash, record: Arc<SealRecord>) {
        let after = record.usable(self.now(), &self.thresholds());
        let _ = self.changes.send(Change {
            hash,
            record,
            why: Why::Read,
            before: Some(Tier::Developer),
            after,
        });
    }
}

impl SealDirectory for Chain {
    async fn seal(&self, hash: CredentialHash) -> Result<Option<Arc<SealRecord>>, Unavailable> {
        let rows = self.rows();
        let found = rows.seals.get(&hash).cloned();
        let node = found.as_ref().and_then(|record| record.node_id.clone());
        if node.is_some_and(|node| rows.hidden.contains(node.as_str())) {
            return Err(Unavailable::ReadFailed);
        }
        Ok(found)
    }

    async fn claim(&self, name: &NodeName) -> Result<Option<NodeClaim>, Unavailable> {
        let rows = self.rows();
        if rows.hidden.contains(name.as_str()) {
            return Err(Unavailable::ReadFailed);
        }
        Ok(rows.claims.get(name.as_str()).copied())
    }

    async fn owner_seals(&self, _owner: Address) -> Result<Arc<[CredentialHash]>, Unavailable> {
        Err(Unavailable::Starting)
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

impl NodeDirectory for Chain {
    type Hold = Hold;

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    fn hold(&self, _hash: CredentialHash) -> Result<Hold, Unavailable> {
        self.held.fetch_add(1, Ordering::Relaxed);
        Ok(Hold(Arc::clone(&self.held)))
    }
}
