//! The seal directory from outside, on a chain in memory and a clock that waits for nobody.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "directory/ledger.rs"]
mod ledger;

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use ledger::{Ledger, START, hash, ids, owner};
use prometheus_client::registry::Registry;
use seal::{NodeClaim, NodeName, SealStatus, Tier, UnixMillis, Unusable};
use sui_ledger::chain_id::ChainId;
use sui_ledger::contract::Cause;
use sui_ledger::directory::{
    Change, Directory, DirectoryConfig, Running, SealDirectory, StartError, Unavailable, Why,
};
use tokio::sync::broadcast;
use tokio::time::{sleep, timeout};

struct Rig {
    ledger: Ledger,
    directory: Directory,
    running: Running,
    registry: Registry,
}

impl Rig {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A directory that gives answers.
    async fn with(configure: impl FnOnce(&mut DirectoryConfig)) -> Self {
        let rig = Self::start(Ledger::start(), configure);
        let live = rig.directory.wait_until_live(Duration::from_secs(5)).await;
        assert_eq!(live, Ok(()));
        rig
    }

    fn start(ledger: Ledger, configure: impl FnOnce(&mut DirectoryConfig)) -> Self {
        let mut config = DirectoryConfig {
            wall_clock: ledger.wall(),
            ..DirectoryConfig::default()
        };
        configure(&mut config);
        let mut registry = Registry::default();
        let started = Directory::start(ledger.clone(), &ids(), config, &mut registry);
        let (directory, running) = started.unwrap();
        Self {
            ledger,
            directory,
            running,
            registry,
        }
    }

    async fn status(&self, n: u64) -> Result<Option<SealStatus>, Unavailable> {
        let record = self.directory.seal(hash(n)).await?;
        Ok(record.map(|record| record.status))
    }

    /// Waits until the seal is answered so.
    async fn until(&self, n: u64, wanted: Result<Option<SealStatus>, Unavailable>) {
        let reached = timeout(Duration::from_mins(1), async {
            while self.status(n).await != wanted {
                sleep(Duration::from_millis(20)).await;
            }
        });
        let what = self.status(n).await;
        assert!(reached.await.is_ok(), "{wanted:?}, not {what:?}");
    }

    async fn event(&self, seq: u64) {
        let seen = self.directory.wait_for(seq, Duration::from_secs(30)).await;
        assert_eq!(seen, Ok(()));
    }

    async fn minted(n: u64) -> Self {
        let rig = Self::new().await;
        let seq = rig.ledger.mint(n);
        rig.event(seq).await;
        rig
    }

    fn reads(&self) -> usize {
        self.ledger.reads.load(Ordering::Relaxed)
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

async fn told(changes: &mut broadcast::Receiver<Change>) -> Change {
    let change = timeout(Duration::from_mins(5), changes.recv()).await;
    change.expect("a change in time").unwrap()
}

const ACTIVE: Result<Option<SealStatus>, Unavailable> = Ok(Some(SealStatus::Active));
const SLASHED: Result<Option<SealStatus>, Unavailable> = Ok(Some(SealStatus::Slashed));

#[tokio::test(start_paused = true)]
async fn a_seal_is_read_once_and_then_served_from_the_cache() {
    let rig = Rig::minted(1).await;
    let before = rig.reads();
    for _ in 0..100 {
        assert_eq!(rig.status(1).await, ACTIVE);
    }
    assert_eq!(rig.reads() - before, 1);
    let metrics = rig.metrics();
    assert!(metrics.contains("k3s_daas_directory_lookups_total{result=\"hit\"} 99"));
    assert!(metrics.contains("k3s_daas_directory_lookups_total{result=\"miss\"} 1"));
}

#[tokio::test(start_paused = true)]
async fn an_absence_is_remembered_until_the_mint() {
    let rig = Rig::new().await;
    let before = rig.reads();
    assert_eq!(rig.status(1).await, Ok(None));
    assert_eq!(rig.status(1).await, Ok(None));
    assert_eq!(rig.reads() - before, 1);
    let seq = rig.ledger.mint(1);
    rig.event(seq).await;
    assert_eq!(rig.status(1).await, ACTIVE);
    assert_eq!(rig.reads() - before, 1, "the event told all");
}

#[tokio::test(start_paused = true)]
async fn misses_of_one_key_share_one_read() {
    let rig = Rig::minted(1).await;
    let before = rig.reads();
    let answers = join_all((0..200).map(|_| rig.status(1))).await;
    assert!(answers.iter().all(|answer| *answer == ACTIVE));
    assert_eq!(rig.reads() - before, 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_cancels_nothing_for_the_others() {
    let rig = Rig::minted(1).await;
    rig.ledger
        .faults(|faults| faults.read_time = Duration::from_millis(500));
    let (first, second) = tokio::join!(
        timeout(Duration::from_millis(10), rig.status(1)),
        rig.status(1)
    );
    assert!(first.is_err());
    assert_eq!(second, ACTIVE);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_random_tokens_costs_few_reads_and_no_hit_waits_for_it() {
    let rig = Rig::minted(1).await;
    assert_eq!(rig.status(1).await, ACTIVE);
    rig.ledger
        .faults(|faults| faults.read_time = Duration::from_millis(100));
    let before = rig.reads();
    let flood = join_all((1_000..5_000).map(|n| rig.status(n)));
    let valid = async {
        let started = tokio::time::Instant::now();
        for _ in 0..1_000 {
            assert_eq!(rig.status(1).await, ACTIVE);
        }
        started.elapsed()
    };
    let (answers, waited) = tokio::join!(flood, valid);
    assert!(answers.iter().all(|answer| *answer == Ok(None)));
    assert_eq!(waited, Duration::ZERO);
    let reads = rig.reads() - before;
    assert!(reads <= 4_000 / 49 + 16, "{reads} reads for 4,000 tokens");
    assert!(rig.ledger.most_reading.load(Ordering::Relaxed) <= 8);
}

#[tokio::test(start_paused = true)]
async fn what_the_queue_cannot_hold_is_refused_at_once() {
    let rig = Rig::with(|config| {
        config.read_queue = 10;
        config.read_concurrency = 1;
        config.read_batch = 5;
    })
    .await;
    rig.ledger
        .faults(|faults| faults.read_time = Duration::from_millis(100));
    let answers = join_all((0..100).map(|n| rig.status(n))).await;
    let refused = answers
        .iter()
        .filter(|answer| **answer == Err(Unavailable::Overloaded))
        .count();
    assert!((80..=90).contains(&refused), "{refused} of 100");
    assert_eq!(rig.status(1).await, Ok(None), "and it is over afterwards");
}

#[tokio::test(start_paused = true)]
async fn no_more_callers_wait_than_the_bound() {
    let rig = Rig::with(|config| config.max_waiters = 10).await;
    let answers = join_all((0..15).map(|_| rig.status(1))).await;
    let refused = |answer: &&Result<_, _>| **answer == Err(Unavailable::Overloaded);
    assert_eq!(answers.iter().filter(refused).count(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_slash_arrives_with_its_checkpoint_and_is_told() {
    let rig = Rig::minted(1).await;
    assert_eq!(rig.status(1).await, ACTIVE);
    let mut changes = rig.directory.subscribe();
    let reads = rig.reads();
    let seq = rig.ledger.slash(1);
    rig.event(seq).await;
    assert_eq!(rig.status(1).await, SLASHED);
    assert_eq!(rig.reads(), reads, "no read is needed after an event");
    let change = told(&mut changes).await;
    assert_eq!(
        (change.hash, change.why),
        (hash(1), Why::Event(Cause::Slash))
    );
    assert_eq!(change.before, Some(Tier::Developer));
    assert_eq!(change.end(), Some(Unusable::Slashed));
    let end = rig.directory.last_known_end(&hash(1)).unwrap();
    assert_eq!((end.how, end.seq), (Unusable::Slashed, seq));
}

#[tokio::test(start_paused = true)]
async fn claims_and_owners_are_served_and_followed() {
    let rig = Rig::minted(1).await;
    let name: NodeName = "worker-1".parse().unwrap();
    assert_eq!(rig.directory.claim(&name).await, Ok(None));
    let claim = NodeClaim {
        owner: owner(),
        hash: hash(1),
    };
    rig.ledger.claim(&name, claim);
    rig.event(2).await;
    assert_eq!(rig.directory.claim(&name).await, Ok(Some(claim)));

    let seals = rig.directory.owner_seals(owner()).await.unwrap();
    assert_eq!(*seals, [hash(1)]);
    let seq = rig.ledger.mint(2);
    rig.event(seq).await;
    let seals = rig.directory.owner_seals(owner()).await.unwrap();
    assert_eq!(*seals, [hash(1), hash(2)]);
    let nobody = seal::Address::from_bytes([9; 32]);
    assert!(rig.directory.owner_seals(nobody).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_makes_the_view_stale_and_service_comes_back_by_itself() {
    let rig = Rig::minted(1).await;
    assert_eq!(rig.status(1).await, ACTIVE);
    rig.ledger.faults(|faults| faults.silent = true);
    sleep(Duration::from_secs(14)).await;
    assert_eq!(rig.status(1).await, ACTIVE);
    sleep(Duration::from_secs(2)).await;
    let stale = rig.status(1).await.unwrap_err();
    assert!(matches!(stale, Unavailable::Stale { for_ms } if for_ms >= 15_000));
    assert!(rig.ledger.streams.load(Ordering::Relaxed) > 2, "it tried");
    rig.ledger.slash(1);
    rig.ledger.faults(|faults| faults.silent = false);
    rig.until(1, SLASHED).await;
}

#[tokio::test(start_paused = true)]
async fn a_stalled_chain_makes_the_view_stale_too() {
    let rig = Rig::minted(1).await;
    assert_eq!(rig.status(1).await, ACTIVE);
    rig.ledger.faults(|faults| faults.halted = true);
    sleep(Duration::from_secs(16)).await;
    assert!(matches!(
        rig.status(1).await,
        Err(Unavailable::Stale { .. })
    ));
    assert!(!rig.directory.status().fresh());
    rig.ledger.faults(|faults| faults.halted = false);
    rig.until(1, ACTIVE).await;
}

#[tokio::test(start_paused = true)]
async fn grace_keeps_serving_and_shows_itself() {
    let rig = Rig::with(|config| config.grace = Duration::from_mins(1)).await;
    let seq = rig.ledger.mint(1);
    rig.event(seq).await;
    assert_eq!(rig.status(1).await, ACTIVE);
    rig.ledger.faults(|faults| faults.halted = true);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(rig.status(1).await, ACTIVE);
    assert!(
        rig.metrics()
            .contains("k3s_daas_directory_grace_seconds 60.0")
    );
    sleep(Duration::from_secs(16)).await;
    assert!(matches!(
        rig.status(1).await,
        Err(Unavailable::Stale { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_clean_end_is_followed_by_another_stream_and_nothing_is_lost() {
    let rig = Rig::minted(1).await;
    assert_eq!(rig.status(1).await, ACTIVE);
    let reads = rig.reads();
    rig.ledger.faults(|faults| faults.down = true);
    rig.ledger.cut_streams();
    rig.ledger.slash(1);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(rig.status(1).await, ACTIVE, "still within the bound");
    rig.ledger.faults(|faults| faults.down = false);
    rig.until(1, SLASHED).await;
    assert!(rig.ledger.fetched.load(Ordering::Relaxed) >= 8);
    assert_eq!(
        rig.reads(),
        reads,
        "what was missed was fetched, not read anew"
    );
}

#[tokio::test(start_paused = true)]
async fn checkpoints_that_are_gone_lead_to_a_rebuild_that_tells_the_difference() {
    let rig = Rig::minted(1).await;
    assert_eq!(rig.status(1).await, ACTIVE);
    let mut changes = rig.directory.subscribe();
    let watch = rig.directory.watch(hash(1)).unwrap();
    rig.ledger
        .faults(|faults| (faults.down, faults.pruned) = (true, true));
    rig.ledger.cut_streams();
    rig.ledger.slash(1);
    sleep(Duration::from_secs(3)).await;
    rig.ledger.faults(|faults| faults.down = false);
    let change = told(&mut changes).await;
    assert_eq!(
        (change.why, change.end()),
        (Why::Read, Some(Unusable::Slashed))
    );
    assert_eq!(rig.status(1).await, SLASHED);
    let rebuilt = "k3s_daas_directory_rebuilds_total{reason=\"missed_checkpoints\"} 1";
    assert!(rig.metrics().contains(rebuilt));
    drop(watch);
    assert_eq!(rig.directory.status().watched, 0);
}

#[tokio::test(start_paused = true)]
async fn too_long_a_gap_is_not_fetched_one_by_one() {
    let rig = Rig::with(|config| config.max_gap = 10).await;
    let seq = rig.ledger.mint(1);
    rig.event(seq).await;
    assert_eq!(rig.status(1).await, ACTIVE);
    rig.ledger.faults(|faults| faults.down = true);
    rig.ledger.cut_streams();
    rig.ledger.slash(1);
    sleep(Duration::from_secs(10)).await;
    rig.ledger.faults(|faults| faults.down = false);
    rig.until(1, SLASHED).await;
    assert_eq!(rig.ledger.fetched.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_read_leads_to_a_rebuild() {
    let rig = Rig::minted(1).await;
    assert_eq!(rig.status(1).await, ACTIVE);
    rig.ledger.slash(1);
    rig.ledger.garble_next();
    rig.until(1, SLASHED).await;
    let rebuilt = "k3s_daas_directory_rebuilds_total{reason=\"undecodable_event\"} 1";
    assert!(rig.metrics().contains(rebuilt));
}

#[tokio::test(start_paused = true)]
async fn a_lagging_node_cannot_revive_a_slashed_seal() {
    let rig = Rig::minted(1).await;
    let seq = rig.ledger.slash(1);
    rig.event(seq).await;
    // Not cached: only the fence stands between the old row and a yes.
    rig.ledger.faults(|faults| faults.reads_lag = 40);
    let reads = rig.reads();
    assert_eq!(rig.status(1).await, Err(Unavailable::ReadBehind));
    assert_eq!(rig.reads() - reads, 3, "three tries");
    rig.ledger.faults(|faults| faults.reads_lag = 0);
    assert_eq!(rig.status(1).await, SLASHED);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_lags_by_more_than_the_bound_is_not_believed() {
    let rig = Rig::minted(1).await;
    sleep(Duration::from_secs(30)).await;
    rig.ledger.faults(|faults| faults.reads_lag = 61);
    assert!(matches!(
        rig.status(1).await,
        Err(Unavailable::Stale { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_stream_from_a_lagging_node_is_no_progress() {
    let rig = Rig::minted(1).await;
    assert_eq!(rig.status(1).await, ACTIVE);
    sleep(Duration::from_secs(30)).await;
    rig.ledger.faults(|faults| faults.node_lags = 100);
    rig.ledger.cut_streams();
    sleep(Duration::from_secs(16)).await;
    assert!(matches!(
        rig.status(1).await,
        Err(Unavailable::Stale { .. })
    ));
    rig.ledger.faults(|faults| faults.node_lags = 0);
    rig.until(1, ACTIVE).await;
}

#[tokio::test(start_paused = true)]
async fn at_the_start_a_pool_of_a_lagging_node_is_not_taken() {
    let ledger = Ledger::start();
    sleep(Duration::from_secs(5)).await;
    ledger.faults(|faults| faults.reads_lag = 5);
    let rig = Rig::start(ledger, |_| {});
    sleep(Duration::from_secs(3)).await;
    assert_eq!(rig.status(1).await, Err(Unavailable::Starting));
    rig.ledger.faults(|faults| faults.reads_lag = 0);
    rig.until(1, Ok(None)).await;
}

#[tokio::test(start_paused = true)]
async fn another_chain_is_refused_until_the_right_one_is_back() {
    let rig = Rig::minted(1).await;
    assert_eq!(rig.status(1).await, ACTIVE);
    let wrong = ChainId::from_bytes([8; 32]);
    rig.ledger.faults(|faults| faults.chain = wrong);
    rig.ledger.cut_streams();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.status(1).await, Err(Unavailable::WrongChain));
    rig.ledger.faults(|faults| faults.chain = ledger::CHAIN);
    rig.until(1, ACTIVE).await;
}

#[tokio::test(start_paused = true)]
async fn reads_that_hang_time_out_and_open_the_circuit() {
    let rig = Rig::minted(1).await;
    rig.ledger.faults(|faults| faults.reads_hang = true);
    for n in 10..15 {
        assert_eq!(rig.status(n).await, Err(Unavailable::ReadTimedOut));
    }
    assert_eq!(rig.status(15).await, Err(Unavailable::CircuitOpen));
    assert!(rig.directory.status().circuit_open);
    rig.ledger.faults(|faults| faults.reads_hang = false);
    rig.until(1, ACTIVE).await;
    assert!(!rig.directory.status().circuit_open);
}

#[tokio::test(start_paused = true)]
async fn reads_that_fail_are_tried_again_and_then_told() {
    let rig = Rig::minted(1).await;
    rig.ledger.faults(|faults| faults.reads_fail = true);
    let reads = rig.reads();
    assert_eq!(rig.status(1).await, Err(Unavailable::ReadFailed));
    assert_eq!(rig.reads() - reads, 3);
    rig.ledger.faults(|faults| faults.reads_fail = false);
    assert_eq!(rig.status(1).await, ACTIVE);
}

#[tokio::test(start_paused = true)]
async fn a_row_of_unknown_form_concerns_nobody_else() {
    let rig = Rig::minted(1).await;
    rig.ledger.faults(|faults| {
        faults.unknown_form.insert(hash(2));
    });
    let (one, two) = tokio::join!(rig.status(1), rig.status(2));
    assert_eq!((one, two), (ACTIVE, Err(Unavailable::Undecodable)));
}

#[tokio::test(start_paused = true)]
async fn expiry_is_told_when_the_time_comes() {
    let rig = Rig::new().await;
    let expires_at = UnixMillis(START + 120_000);
    let seq = rig
        .ledger
        .change(1, Cause::Mint, |record| record.expires_at = expires_at);
    rig.event(seq).await;
    assert_eq!(rig.status(1).await, ACTIVE);
    let mut changes = rig.directory.subscribe();
    let change = told(&mut changes).await;
    assert_eq!((change.hash, change.why), (hash(1), Why::Expired));
    let late = rig.directory.now().0 - expires_at.0;
    assert!(late <= 500, "{late} ms late");
    let end = rig.directory.last_known_end(&hash(1)).unwrap();
    assert_eq!((end.how, end.at), (Unusable::Expired, expires_at));
}

#[tokio::test(start_paused = true)]
async fn ends_hold_after_a_restart_while_the_chain_cannot_be_asked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let rig = Rig::with(|config| config.state_dir = Some(path.clone())).await;
    rig.ledger.mint(1);
    rig.ledger.mint(2);
    let seq = rig.ledger.slash(1);
    rig.event(seq).await;
    let Rig {
        ledger,
        running,
        directory: handle,
        ..
    } = rig;
    running.stop().await;
    drop(handle);

    ledger.faults(|faults| faults.down = true);
    let again = Rig::start(ledger, |config| config.state_dir = Some(path));
    assert_eq!(again.status(1).await, Err(Unavailable::Starting));
    let end = again.directory.last_known_end(&hash(1)).unwrap();
    assert_eq!((end.how, end.seq), (Unusable::Slashed, seq));
    assert_eq!(again.directory.last_known_end(&hash(2)), None);
}

#[tokio::test(start_paused = true)]
async fn a_kill_loses_no_end_that_was_followed_by_a_pause() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let rig = Rig::with(|config| config.state_dir = Some(path.clone())).await;
    rig.ledger.mint(1);
    let seq = rig.ledger.slash(1);
    rig.event(seq).await;
    let log = path.join("ends.log");
    let written = async {
        while !std::fs::read_to_string(&log).unwrap().contains("slashed") {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(5), written).await.unwrap();
    // As a kill would: the tail of a line that was being written.
    let mut bytes = std::fs::read(&log).unwrap();
    bytes.extend_from_slice(b"revoked 99 17000");
    let copy = tempfile::tempdir().unwrap();
    std::fs::write(copy.path().join("ends.log"), bytes).unwrap();

    let ledger = rig.ledger.clone();
    ledger.faults(|faults| faults.down = true);
    let again = Rig::start(ledger, |config| {
        config.state_dir = Some(copy.path().to_owned());
    });
    let end = again.directory.last_known_end(&hash(1)).unwrap();
    assert_eq!(end.how, Unusable::Slashed);
    assert_eq!(again.directory.status().ends, 1);
}

#[tokio::test(start_paused = true)]
async fn a_state_directory_belongs_to_one_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let rig = Rig::with(|config| config.state_dir = Some(path.clone())).await;
    let config = DirectoryConfig {
        state_dir: Some(path),
        ..DirectoryConfig::default()
    };
    let second = Directory::start(rig.ledger.clone(), &ids(), config, &mut Registry::default());
    assert!(matches!(second, Err(StartError::InUse { .. })));
}

#[tokio::test(start_paused = true)]
async fn stopping_leaves_nothing_behind() {
    let rig = Rig::minted(1).await;
    let Rig {
        directory,
        running,
        ledger,
        ..
    } = rig;
    timeout(Duration::from_secs(30), running.stop())
        .await
        .expect("all tasks end");
    let streams = ledger.streams.load(Ordering::Relaxed);
    ledger.cut_streams();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(ledger.streams.load(Ordering::Relaxed), streams);
    assert_eq!(directory.seal(hash(1)).await, Err(Unavailable::ReadFailed));
    sleep(Duration::from_secs(15)).await;
    let refused = directory.seal(hash(1)).await;
    assert!(matches!(refused, Err(Unavailable::Stale { .. })));
}

#[tokio::test(start_paused = true)]
async fn the_status_says_how_things_stand() {
    let rig = Rig::minted(1).await;
    rig.status(1).await.unwrap();
    rig.status(2).await.unwrap();
    let _watch = rig.directory.watch(hash(1)).unwrap();
    let status = rig.directory.status();
    assert!(status.fresh() && status.last_checkpoint.is_some());
    assert_eq!((status.records, status.absences, status.watched), (1, 1, 1));
    assert_eq!((status.stream_seq, status.highest_seq), (1, 1));
    assert!(status.staleness < Duration::from_millis(300));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_an_event_that_does_not_come_ends_with_the_reason() {
    let rig = Rig::new().await;
    let waited = rig.directory.wait_for(1, Duration::from_secs(2)).await;
    assert_eq!(waited, Err(Unavailable::ReadTimedOut));
    rig.ledger.faults(|faults| faults.halted = true);
    let waited = rig.directory.wait_for(1, Duration::from_secs(20)).await;
    assert!(matches!(waited, Err(Unavailable::Stale { .. })));
}
