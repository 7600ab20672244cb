//! A chain in memory that behaves like a real one and its node: checkpoints with events, rows as
//! of a height, streams that start at the next checkpoint, and the ways a node can fail.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::Stream;
use seal::{
    Address, CredentialHash, Mist, NodeClaim, NodeName, ObjectId, SealRecord, SealStatus,
    Thresholds, UnixMillis,
};
use sui_ledger::chain_id::ChainId;
use sui_ledger::contract::Cause;
use sui_ledger::directory::WallClock;
use sui_ledger::directory::chain::{
    Answer, Chain, ChainError, Key, NodeInfo, PoolRead, RowRead, UnknownForm,
};
use sui_ledger::frame::{ContractEvent, Frame, NodeClaimed, SealChanged, Undecodable};
use sui_ledger::manifest::ContractIds;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

pub(crate) const START: u64 = 1_700_000_000_000;
pub(crate) const CHAIN: ChainId = ChainId::from_bytes([7; 32]);

pub(crate) fn hash(n: u64) -> CredentialHash {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    CredentialHash::from_bytes(bytes)
}

pub(crate) fn owner() -> Address {
    Address::from_bytes([2; 32])
}

pub(crate) fn ids() -> ContractIds {
    let id = |n| ObjectId::from_bytes([n; 32]);
    ContractIds {
        endpoint: "http://127.0.0.1:1".into(),
        chain_id: CHAIN,
        original_package: id(1),
        latest_package: id(1),
        pool: id(2),
        pool_initial_version: 1,
        seals_table: id(3),
        nodes_table: id(4),
        owners_table: id(5),
        caps: sui_ledger::manifest::CapIds::default(),
    }
}

#[derive(Debug, Clone, Default)]
struct Height {
    at: u64,
    seq: u64,
    records: BTreeMap<CredentialHash, SealRecord>,
    claims: BTreeMap<NodeName, NodeClaim>,
    owned: Vec<CredentialHash>,
    events: Vec<ContractEvent>,
}

/// How the node behaves.
#[derive(Debug, Clone)]
// Each is a switch of its own.
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct Faults {
    /// Reads see the chain as of this many checkpoints ago.
    pub(crate) reads_lag: u64,
    /// So does everything else of the node.
    pub(crate) node_lags: u64,
    /// Reads are refused.
    pub(crate) reads_fail: bool,
    /// Reads never answer.
    pub(crate) reads_hang: bool,
    /// Streams stay open and bring nothing.
    pub(crate) silent: bool,
    /// The node can't be reached at all.
    pub(crate) down: bool,
    /// Older checkpoints can't be had.
    pub(crate) pruned: bool,
    /// The chain the node follows.
    pub(crate) chain: ChainId,
    /// How long a read takes.
    pub(crate) read_time: Duration,
    /// Rows that can't be decoded.
    pub(crate) unknown_form: BTreeSet<CredentialHash>,
    /// No new checkpoints are made.
    pub(crate) halted: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            reads_lag: 0,
            node_lags: 0,
            reads_fail: false,
            reads_hang: false,
            silent: false,
            down: false,
            pruned: false,
            chain: CHAIN,
            read_time: Duration::from_millis(5),
            unknown_form: BTreeSet::new(),
            halted: false,
        }
    }
}

struct World {
    heights: Vec<Height>,
    next: Height,
    faults: Faults,
}

/// The chain and its node; clones are handles.
#[derive(Clone)]
pub(crate) struct Ledger {
    world: Arc<Mutex<World>>,
    head: watch::Sender<u64>,
    /// Streams of older generations end cleanly.
    cut: watch::Sender<u64>,
    base: Instant,
    pub(crate) reads: Arc<AtomicUsize>,
    pub(crate) keys_read: Arc<AtomicUsize>,
    pub(crate) reading: Arc<AtomicUsize>,
    pub(crate) most_reading: Arc<AtomicUsize>,
    pub(crate) fetched: Arc<AtomicUsize>,
    pub(crate) streams: Arc<AtomicUsize>,
}

impl Ledger {
    /// A chain with one checkpoint; makes another every 250 ms.
    pub(crate) fn start() -> Self {
        let genesis = Height {
            at: START,
            ..Height::default()
        };
        let ledger = Self {
            world: Arc::new(Mutex::new(World {
                next: genesis.clone(),
                heights: vec![genesis],
                faults: Faults::default(),
            })),
            head: watch::Sender::new(0),
            cut: watch::Sender::new(0),
            base: Instant::now(),
            reads: Arc::default(),
            keys_read: Arc::default(),
            reading: Arc::default(),
            most_reading: Arc::default(),
            fetched: Arc::default(),
            streams: Arc::default(),
        };
        let ticking = ledger.clone();
        tokio::spawn(async move {
            loop {
                sleep(Duration::from_millis(250)).await;
                if !ticking.world().faults.halted {
                    ticking.checkpoint_now();
                }
            }
        });
        ledger
    }

    pub(crate) fn wall(&self) -> WallClock {
        let base = self.base;
        Arc::new(move || UnixMillis(START + u64::try_from(base.elapsed().as_millis()).unwrap()))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub(crate) fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.world().faults);
    }

    /// Ends all streams cleanly.
    pub(crate) fn cut_streams(&self) {
        self.cut.send_modify(|generation| *generation += 1);
    }

    /// Closes the pending checkpoint.
    pub(crate) fn checkpoint_now(&self) {
        let mut world = self.world();
        let mut closed = world.next.clone();
        closed.at = (self.wall())().0;
        world.next.events.clear();
        world.heights.push(closed);
        let head = world.heights.len() as u64 - 1;
        drop(world);
        self.head.send_replace(head);
    }

    /// Changes a record (a new one is active with 2 SUI for an hour) and says so in the next
    /// checkpoint; the event's number is returned.
    pub(crate) fn change(&self, n: u64, cause: Cause, change: impl FnOnce(&mut SealRecord)) -> u64 {
        let now = (self.wall())();
        let mut world = self.world();
        let next = &mut world.next;
        next.seq += 1;
        let mut record = next
            .records
            .get(&hash(n))
            .cloned()
            .unwrap_or_else(|| SealRecord {
                seq: 0,
                seal_id: ObjectId::from_bytes([1; 32]),
                owner: owner(),
                stake: Mist(2_000_000_000),
                restore_at: Mist(0),
                node_id: None,
                namespace_wish: None,
                issued_at: now,
                expires_at: UnixMillis(now.0 + 3_600_000),
                unbonding_ends_at: UnixMillis(0),
                status: SealStatus::Active,
                slashed_total: Mist(0),
                last_slashed_at: UnixMillis(0),
                generation: 0,
            });
        change(&mut record);
        record.seq = next.seq;
        if !next.records.contains_key(&hash(n)) {
            next.owned.push(hash(n));
        }
        next.records.insert(hash(n), record.clone());
        next.events.push(ContractEvent::Seal(SealChanged {
            seq: next.seq,
            cause,
            reason: String::new(),
            hash: hash(n),
            record,
        }));
        next.seq
    }

    pub(crate) fn mint(&self, n: u64) -> u64 {
        self.change(n, Cause::Mint, |_| {})
    }

    pub(crate) fn slash(&self, n: u64) -> u64 {
        self.change(n, Cause::Slash, |record| {
            record.status = SealStatus::Slashed;
        })
    }

    pub(crate) fn claim(&self, name: &NodeName, claim: NodeClaim) {
        let mut world = self.world();
        let next = &mut world.next;
        next.seq += 1;
        next.claims.insert(name.clone(), claim);
        next.events.push(ContractEvent::Node(NodeClaimed {
            seq: next.seq,
            name: name.clone(),
            claim,
        }));
    }

    /// The next checkpoint's events can't be read.
    pub(crate) fn garble_next(&self) {
        let mut world = self.world();
        for event in &mut world.next.events {
            *event = ContractEvent::Undecodable(Undecodable {
                event: None,
                error: None,
            });
        }
    }

    fn frame(&self, number: u64) -> Option<Frame> {
        let world = self.world();
        let height = world.heights.get(usize::try_from(number).ok()?)?;
        Some(Frame {
            sequence: number,
            timestamp: UnixMillis(height.at),
            events: height.events.clone(),
        })
    }

    fn node_height(&self) -> u64 {
        let head = *self.head.borrow();
        head.saturating_sub(self.world().faults.node_lags)
    }

    fn reachable(&self) -> Result<(), ChainError> {
        if self.world().faults.down {
            return Err(ChainError::Unreachable);
        }
        Ok(())
    }

    async fn next_frame(self, number: u64, generation: u64) -> Option<(Frame, u64)> {
        let mut head = self.head.subscribe();
        let mut cut = self.cut.subscribe();
        loop {
            if *cut.borrow_and_update() != generation {
                return None;
            }
            let silent = self.world().faults.silent;
            if !silent && number <= self.node_height() {
                return Some((self.frame(number)?, number + 1));
            }
            tokio::select! {
                _ = head.changed() => {}
                _ = cut.changed() => {}
            }
        }
    }
}

impl Chain for Ledger {
    type Frames = Pin<Box<dyn Stream<Item = Result<Frame, ChainError>> + Send>>;

    async fn info(&self) -> Result<NodeInfo, ChainError> {
        self.reachable()?;
        let chain = self.world().faults.chain;
        Ok(NodeInfo {
            chain,
            height: self.node_height(),
        })
    }

    async fn subscribe(&self) -> Result<Self::Frames, ChainError> {
        self.reachable()?;
        self.streams.fetch_add(1, Ordering::Relaxed);
        let generation = *self.cut.borrow();
        let from = (self.clone(), self.node_height() + 1, generation);
        Ok(Box::pin(futures::stream::unfold(
            from,
            |(ledger, number, generation)| async move {
                let (frame, next) = ledger.clone().next_frame(number, generation).await?;
                Some((Ok(frame), (ledger, next, generation)))
            },
        )))
    }

    async fn checkpoint(&self, number: u64) -> Result<Frame, ChainError> {
        self.reachable()?;
        self.fetched.fetch_add(1, Ordering::Relaxed);
        let pruned = self.world().faults.pruned;
        if pruned || number > self.node_height() {
            return Err(ChainError::NotFound);
        }
        self.frame(number).ok_or(ChainError::NotFound)
    }

    async fn read(&self, keys: &[Key]) -> Result<Answer, ChainError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.keys_read.fetch_add(keys.len(), Ordering::Relaxed);
        let reading = self.reading.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_reading.fetch_max(reading, Ordering::Relaxed);
        let faults = self.world().faults.clone();
        // Read first, answered later: what happens meanwhile is not in it.
        let answer = self.answer(keys, &faults);
        sleep(faults.read_time).await;
        if faults.reads_hang {
            // Cut short by the caller's deadline.
            sleep(Duration::from_hours(1)).await;
        }
        self.reading.fetch_sub(1, Ordering::Relaxed);
        self.reachable()?;
        if faults.reads_fail {
            return Err(ChainError::Unreachable);
        }
        Ok(answer)
    }
}

impl Ledger {
    fn answer(&self, keys: &[Key], faults: &Faults) -> Answer {
        let at = self.node_height().saturating_sub(faults.reads_lag);
        let world = self.world();
        let height = &world.heights[usize::try_from(at).unwrap()];
        let rows = keys
            .iter()
            .map(|key| match key {
                Key::Seal(hash) if faults.unknown_form.contains(hash) => Err(UnknownForm),
                Key::Seal(hash) => Ok(RowRead::Seal(height.records.get(hash).cloned())),
                Key::Node(name) => Ok(RowRead::Node(height.claims.get(name).copied())),
                Key::Owner(asked) if *asked == owner() => Ok(RowRead::Owner(height.owned.clone())),
                Key::Owner(_) => Ok(RowRead::Owner(Vec::new())),
            })
            .collect();
        Answer {
            pool: PoolRead {
                seq: height.seq,
                thresholds: Thresholds::default(),
                height: at,
                at: UnixMillis(height.at),
            },
            rows,
        }
    }
}
