//! A chain with as many seals as one likes, for measuring what stands before it.
//!
//! It follows the rules of a chain (contiguous checkpoints, rows as of the pool), knows seal
//! `n` by the token whose bytes are `n`, counts its reads, and takes a set time for each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use seal::{
    Address, CredentialHash, Mist, ObjectId, SealRecord, SealStatus, SealToken, Thresholds,
    UnixMillis,
};
use sui_ledger::chain_id::ChainId;
use sui_ledger::directory::Chain;
use sui_ledger::directory::chain::{Answer, ChainError, Key, NodeInfo, PoolRead, RowRead};
use sui_ledger::frame::Frame;
use sui_ledger::manifest::ContractIds;

/// The time between checkpoints, that of a real network.
const INTERVAL: Duration = Duration::from_millis(210);

/// The chain. Clones are handles of the same one.
#[derive(Clone)]
pub struct SyntheticChain {
    seals: Arc<std::collections::HashMap<CredentialHash, u64>>,
    reads: Arc<AtomicU64>,
    read_time: Duration,
    epoch: std::time::Instant,
}

impl SyntheticChain {
    /// A chain with `seals` seals; each read takes `read_time`.
    pub fn new(seals: u64, read_time: Duration) -> Self {
        let seals = (0..seals)
            .map(|n| (token(n).credential_hash(), n))
            .collect();
        Self {
            seals: Arc::new(seals),
            reads: Arc::default(),
            read_time,
            epoch: std::time::Instant::now(),
        }
    }

    /// How many reads there were.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// The ids that a directory of this chain is started with.
    pub fn ids() -> ContractIds {
        let id = |n: u8| ObjectId::from_bytes([n; 32]);
        ContractIds {
            endpoint: "http://127.0.0.1:1".to_owned(),
            chain_id: ChainId::from_bytes([7; 32]),
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

    fn height(&self) -> u64 {
        1 + u64::try_from(self.epoch.elapsed().as_millis() / INTERVAL.as_millis()).unwrap_or(0)
    }
}

/// The token of seal `n`.
pub fn token(n: u64) -> SealToken {
    let mut bytes = [0u8; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    SealToken::from_bytes(bytes)
}

/// The owner of seal `n`.
pub fn owner(n: u64) -> Address {
    let mut bytes = [1u8; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Address::from_bytes(bytes)
}

/// The seal's object id.
pub fn seal_id(n: u64) -> ObjectId {
    let mut bytes = [2u8; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    ObjectId::from_bytes(bytes)
}

fn record(n: u64) -> SealRecord {
    let now = now();
    SealRecord {
        seq: n + 1,
        seal_id: seal_id(n),
        owner: owner(n),
        stake: Mist(2_000_000_000),
        restore_at: Mist(0),
        node_id: None,
        namespace_wish: None,
        issued_at: now,
        expires_at: UnixMillis(now.0 + 30 * 24 * 3_600_000),
        unbonding_ends_at: UnixMillis(0),
        status: SealStatus::Active,
        slashed_total: Mist(0),
        last_slashed_at: UnixMillis(0),
        generation: 0,
    }
}

fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Chain for SyntheticChain {
    type Frames = BoxStream<'static, Result<Frame, ChainError>>;

    async fn info(&self) -> Result<NodeInfo, ChainError> {
        Ok(NodeInfo {
            chain: Self::ids().chain_id,
            height: self.height(),
        })
    }

    async fn subscribe(&self) -> Result<Self::Frames, ChainError> {
        let first = self.height() + 1;
        let epoch = self.epoch;
        Ok(futures::stream::iter(first..)
            .then(move |sequence| async move {
                let due = epoch + INTERVAL * u32::try_from(sequence - 1).unwrap_or(u32::MAX);
                tokio::time::sleep_until(due.into()).await;
                Ok(Frame {
                    sequence,
                    timestamp: now(),
                    events: Vec::new(),
                })
            })
            .boxed())
    }

    async fn checkpoint(&self, number: u64) -> Result<Frame, ChainError> {
        Ok(Frame {
            sequence: number,
            timestamp: now(),
            events: Vec::new(),
        })
    }

    async fn read(&self, keys: &[Key]) -> Result<Answer, ChainError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(self.read_time).await;
        let rows = keys
            .iter()
            .map(|key| {
                Ok(match key {
                    Key::Seal(hash) => RowRead::Seal(self.seals.get(hash).map(|n| record(*n))),
                    Key::Node(_) => RowRead::Node(None),
                    Key::Owner(_) => RowRead::Owner(Vec::new()),
                })
            })
            .collect();
        let pool = PoolRead {
            seq: self.seals.len() as u64,
            thresholds: Thresholds::default(),
            height: self.height(),
            at: now(),
        };
        Ok(Answer { pool, rows })
    }
}
