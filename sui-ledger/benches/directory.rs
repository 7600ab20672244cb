//! The seal directory's costs: a warm look-up alone and against another core, and the memory of
//! a cached seal. The last one prints a JSON line for the summary.

// A bench fails as a test does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    clippy::print_stdout
)]

use std::hint::black_box;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use futures::{FutureExt, Stream, StreamExt};
use prometheus_client::registry::Registry;
use seal::{
    Address, CredentialHash, Mist, ObjectId, SealRecord, SealStatus, Thresholds, UnixMillis,
};
use sui_ledger::chain_id::ChainId;
use sui_ledger::directory::chain::{
    Answer, Chain, ChainError, Key, NodeInfo, PoolRead, RowRead, UnknownForm,
};
use sui_ledger::directory::{Directory, DirectoryConfig, Running, SealDirectory, system_time};
use sui_ledger::frame::Frame;
use sui_ledger::manifest::{CapIds, ContractIds};

/// What the design promises for one cached seal.
const TARGET_BYTES: f64 = 1_024.0;
const SEALS: u64 = 100_000;

/// A chain on which every hash is an active seal with a node.
struct Everyone(Arc<Mutex<u64>>);

impl Everyone {
    fn frame(&self) -> Frame {
        let mut height = self.0.lock().unwrap();
        *height += 1;
        Frame {
            sequence: *height,
            timestamp: system_time(),
            events: Vec::new(),
        }
    }

    fn record(hash: &CredentialHash) -> SealRecord {
        SealRecord {
            seq: 1,
            seal_id: ObjectId::from_bytes(*hash.as_bytes()),
            owner: Address::from_bytes(*hash.as_bytes()),
            stake: Mist(2_000_000_000),
            restore_at: Mist(0),
            node_id: "worker-000000-eu-central".parse().ok(),
            namespace_wish: Some("a-namespace-of-some-length".into()),
            issued_at: UnixMillis(0),
            expires_at: UnixMillis(u64::MAX),
            unbonding_ends_at: UnixMillis(0),
            status: SealStatus::Active,
            slashed_total: Mist(0),
            last_slashed_at: UnixMillis(0),
            generation: 0,
        }
    }
}

impl Chain for Everyone {
    type Frames = Pin<Box<dyn Stream<Item = Result<Frame, ChainError>> + Send>>;

    async fn info(&self) -> Result<NodeInfo, ChainError> {
        Ok(NodeInfo {
            chain: ChainId::from_bytes([7; 32]),
            height: u64::MAX,
        })
    }

    async fn subscribe(&self) -> Result<Self::Frames, ChainError> {
        let chain = Self(self.0.clone());
        Ok(Box::pin(futures::stream::unfold(chain, |chain| async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Some((Ok(chain.frame()), chain))
        })))
    }

    async fn checkpoint(&self, _: u64) -> Result<Frame, ChainError> {
        Err(ChainError::NotFound)
    }

    async fn read(&self, keys: &[Key]) -> Result<Answer, ChainError> {
        let row = |key: &Key| match key {
            Key::Seal(hash) => Ok(RowRead::Seal(Some(Self::record(hash)))),
            Key::Node(_) | Key::Owner(_) => Err(UnknownForm),
        };
        Ok(Answer {
            pool: PoolRead {
                seq: 1,
                thresholds: Thresholds::default(),
                height: u64::MAX,
                at: system_time(),
            },
            rows: keys.iter().map(row).collect(),
        })
    }
}

fn hash(n: u64) -> CredentialHash {
    let mut bytes = [0; 32];
    bytes
        .get_mut(..8)
        .unwrap()
        .copy_from_slice(&n.to_be_bytes());
    CredentialHash::from_bytes(bytes)
}

async fn start() -> (Directory, Running) {
    let id = ObjectId::from_bytes([1; 32]);
    let ids = ContractIds {
        endpoint: "http://127.0.0.1:1".into(),
        chain_id: ChainId::from_bytes([7; 32]),
        original_package: id,
        latest_package: id,
        pool: id,
        pool_initial_version: 1,
        seals_table: id,
        nodes_table: id,
        owners_table: id,
        caps: CapIds::default(),
    };
    let config = DirectoryConfig::default();
    let chain = Everyone(Arc::default());
    let (directory, running) =
        Directory::start(chain, &ids, config, &mut Registry::default()).unwrap();
    let live = directory.wait_until_live(Duration::from_secs(10)).await;
    live.expect("the chain in memory answers");
    (directory, running)
}

async fn fill(directory: &Directory, seals: u64) {
    futures::stream::iter(0..seals)
        .for_each_concurrent(400, |n| async move {
            directory.seal(hash(n)).await.expect("a record");
        })
        .await;
}

fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096.0
}

fn warm_look_up(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (directory, _running) = runtime.block_on(start());
    // One look-up first: what starting costs is no matter of the seals.
    runtime.block_on(fill(&directory, 1_000));
    let before = resident_bytes();
    runtime.block_on(fill(&directory, SEALS));
    let added = resident_bytes() - before;
    #[allow(clippy::cast_precision_loss)]
    let per_seal = added / (SEALS - 1_000) as f64;
    println!(
        "{{\"name\":\"memory_per_cached_seal\",\"value\":{per_seal:.0},\"unit\":\"bytes\",\
         \"baseline\":null,\"ratio\":null,\"target\":{TARGET_BYTES},\"met\":{}}}",
        per_seal < TARGET_BYTES
    );

    let mut n = 0;
    let mut look_up = || {
        n = (n + 7_919) % SEALS;
        // A hit never waits.
        directory.seal(black_box(hash(n))).now_or_never().unwrap()
    };
    let mut group = criterion.benchmark_group("directory");
    group.bench_function("warm look-up", |bencher| bencher.iter(&mut look_up));

    let stop = Arc::new(AtomicBool::new(false));
    let other = std::thread::spawn({
        let (directory, stop) = (directory.clone(), stop.clone());
        move || {
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                n = (n + 104_729) % SEALS;
                black_box(directory.seal(hash(n)).now_or_never());
            }
        }
    });
    group.bench_function("warm look-up beside another core", |bencher| {
        bencher.iter(&mut look_up);
    });
    group.finish();
    stop.store(true, Ordering::Relaxed);
    other.join().unwrap();
}

criterion_group!(benches, warm_look_up);
criterion_main!(benches);
