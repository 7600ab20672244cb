//! One test for each rule of the follower; `model` runs them against each other.

mod model;

use std::time::Duration;

use seal::{Address, Mist, NodeClaim, ObjectId, SealRecord, SealStatus, Tier, Unusable};

use super::*;
use crate::contract::{Cause, Config};
use crate::directory::chain::{Key, RowRead};
use crate::directory::ends::Ends;
use crate::directory::shared::Cached;
use crate::directory::unavailable::Unavailable;
use crate::frame::{ConfigChanged, NodeClaimed, SealChanged, Undecodable};

const START: u64 = 1_700_000_000_000;

fn hash(n: u8) -> CredentialHash {
    CredentialHash::from_bytes([n; 32])
}

fn record(seq: u64, status: SealStatus) -> SealRecord {
    SealRecord {
        seq,
        seal_id: ObjectId::from_bytes([1; 32]),
        owner: Address::from_bytes([2; 32]),
        stake: Mist(2_000_000_000),
        restore_at: Mist(0),
        node_id: None,
        namespace_wish: None,
        issued_at: UnixMillis(START),
        expires_at: UnixMillis(START + 3_600_000),
        unbonding_ends_at: UnixMillis(0),
        status,
        slashed_total: Mist(0),
        last_slashed_at: UnixMillis(0),
        generation: 0,
    }
}

fn changed(n: u8, cause: Cause, record: SealRecord) -> ContractEvent {
    ContractEvent::Seal(SealChanged {
        seq: record.seq,
        cause,
        reason: String::new(),
        hash: hash(n),
        record,
    })
}

fn slashed(n: u8, seq: u64) -> ContractEvent {
    changed(n, Cause::Slash, record(seq, SealStatus::Slashed))
}

fn undecodable() -> ContractEvent {
    ContractEvent::Undecodable(Undecodable {
        event: None,
        error: None,
    })
}

fn config(viewer: u64) -> Config {
    Config {
        viewer,
        developer: 2_000_000_000,
        admin: 5_000_000_000,
        super_: 10_000_000_000,
        slash_pct: 10,
        slash_interval_ms: 0,
        config_delay_ms: 0,
        unbonding_ms: 60_000,
        validity_min_ms: 60_000,
        validity_max_ms: 3_600_000,
        validity_default_ms: 3_600_000,
    }
}

/// A core and the time, which both clocks share unless a test parts them.
struct Rig {
    core: Core,
    mono: u64,
    wall: u64,
}

impl Rig {
    fn new() -> Self {
        Self::with(&DirectoryConfig::default())
    }

    fn with(config: &DirectoryConfig) -> Self {
        let shared = Arc::new(Shared::new(config, Ends::new(config.max_ends, [])));
        Self {
            core: Core::new(config, shared),
            mono: 0,
            wall: START,
        }
    }

    /// Open since checkpoint 100 and number 10.
    fn live() -> Self {
        let mut rig = Self::new();
        rig.open();
        rig
    }

    fn open(&mut self) {
        self.frame(100, []);
        self.sync(10).unwrap();
        assert_eq!(self.check(), Ok(()));
    }

    fn now(&self) -> Now {
        Now {
            mono: Duration::from_millis(self.mono),
            wall: UnixMillis(self.wall),
        }
    }

    fn pass(&mut self, millis: u64) {
        self.mono += millis;
        self.wall += millis;
    }

    fn frame<const N: usize>(&mut self, sequence: u64, events: [ContractEvent; N]) -> Progress {
        let frame = Frame {
            sequence,
            timestamp: UnixMillis(self.wall),
            events: events.into(),
        };
        self.core.frame(frame, self.now())
    }

    fn pool(&self, seq: u64) -> PoolRead {
        PoolRead {
            seq,
            thresholds: Thresholds::default(),
            height: u64::MAX,
            at: UnixMillis(self.wall),
        }
    }

    fn sync(&mut self, seq: u64) -> Result<(), SyncRefused> {
        let ticket = self.core.sync_ticket().unwrap();
        self.core.offer_sync(ticket, &self.pool(seq), self.now())
    }

    fn fill(&mut self, n: u8, row: Option<SealRecord>, pool: u64) -> Result<Found, FillRefused> {
        let pool = self.pool(pool);
        let key = Key::Seal(hash(n));
        self.core
            .offer_fill(&key, RowRead::Seal(row), &pool, self.now())
    }

    fn active(&mut self, n: u8, seq: u64, pool: u64) -> Result<Found, FillRefused> {
        self.fill(n, Some(record(seq, SealStatus::Active)), pool)
    }

    fn check(&self) -> Result<(), Unavailable> {
        self.core.shared.check(self.now())
    }

    fn cached(&self, n: u8) -> Cached<Arc<SealRecord>> {
        self.core.shared.cached_seal(&hash(n), self.now())
    }

    fn status(&self, n: u8) -> Option<SealStatus> {
        match self.cached(n) {
            Cached::Is(record) => Some(record.status),
            Cached::Absent | Cached::Unknown => None,
        }
    }

    fn watch(&mut self, n: u8) -> bool {
        let now = self.now();
        self.core.watch(hash(n), now)
    }

    fn told(&mut self) -> Vec<(u8, Why, Result<Tier, Unusable>)> {
        let changes = self.core.take_changes();
        changes
            .into_iter()
            .map(|change| (change.hash.as_bytes()[0], change.why, change.after))
            .collect()
    }
}

// Starting.

#[test]
fn gives_no_answer_before_the_first_frame_and_before_the_pool_was_read() {
    let mut rig = Rig::new();
    assert_eq!(rig.check(), Err(Unavailable::Starting));
    assert!(rig.core.sync_ticket().is_none());
    rig.frame(100, []);
    assert_eq!(rig.check(), Err(Unavailable::Starting));
    rig.sync(10).unwrap();
    assert_eq!(rig.check(), Ok(()));
}

#[test]
fn a_pool_read_from_a_node_behind_the_first_frame_does_not_open() {
    let mut rig = Rig::new();
    rig.frame(100, []);
    let ticket = rig.core.sync_ticket().unwrap();
    let behind = PoolRead {
        height: 99,
        ..rig.pool(10)
    };
    let refused = rig.core.offer_sync(ticket, &behind, rig.now());
    assert_eq!(refused, Err(SyncRefused::Behind));
    assert_eq!(rig.check(), Err(Unavailable::Starting));
}

#[test]
fn a_pool_read_that_lacks_a_streamed_event_does_not_open() {
    let mut rig = Rig::new();
    rig.frame(100, []);
    let ticket = rig.core.sync_ticket().unwrap();
    rig.frame(101, [slashed(1, 11)]);
    let pool = rig.pool(10);
    let refused = rig.core.offer_sync(ticket, &pool, rig.now());
    assert_eq!(refused, Err(SyncRefused::Behind));
}

#[test]
fn a_pool_read_begun_before_an_unreadable_event_does_not_open() {
    let mut rig = Rig::new();
    rig.frame(100, []);
    let ticket = rig.core.sync_ticket().unwrap();
    rig.frame(101, [undecodable()]);
    let pool = rig.pool(10);
    let refused = rig.core.offer_sync(ticket, &pool, rig.now());
    assert_eq!(refused, Err(SyncRefused::Superseded));
}

#[test]
fn an_old_pool_read_does_not_open() {
    let mut rig = Rig::new();
    rig.frame(100, []);
    let ticket = rig.core.sync_ticket().unwrap();
    let old = rig.pool(10);
    rig.pass(15_000);
    let refused = rig.core.offer_sync(ticket, &old, rig.now());
    assert_eq!(refused, Err(SyncRefused::Stale));
}

#[test]
fn events_that_the_pool_read_covers_already_are_no_gap() {
    let mut rig = Rig::new();
    rig.frame(100, []);
    rig.sync(12).unwrap();
    rig.frame(101, [slashed(1, 11), slashed(2, 12)]);
    rig.frame(102, [slashed(3, 13)]);
    assert_eq!(rig.check(), Ok(()));
}

// The fence.

#[test]
fn a_fill_as_of_the_fence_is_stored() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    assert_eq!(rig.status(1), Some(SealStatus::Active));
}

#[test]
fn a_fill_from_before_the_fence_is_refused() {
    let mut rig = Rig::live();
    rig.frame(101, [slashed(1, 11)]);
    assert_eq!(rig.active(1, 5, 10), Err(FillRefused::Behind));
    assert_eq!(rig.cached(1), Cached::Unknown);
}

#[test]
fn an_absence_from_before_the_fence_is_refused() {
    let mut rig = Rig::live();
    rig.frame(
        101,
        [changed(1, Cause::Mint, record(11, SealStatus::Active))],
    );
    assert_eq!(rig.fill(1, None, 10), Err(FillRefused::Behind));
    assert_eq!(rig.cached(1), Cached::Unknown);
}

#[test]
fn a_read_raises_the_fence_for_the_next_one() {
    let mut rig = Rig::live();
    rig.active(1, 5, 12).unwrap();
    assert_eq!(rig.active(2, 5, 11), Err(FillRefused::Behind));
}

#[test]
fn a_record_newer_than_its_pool_raises_the_fence_too() {
    let mut rig = Rig::live();
    rig.fill(1, Some(record(12, SealStatus::Slashed)), 11)
        .unwrap();
    rig.core.evict(&Key::Seal(hash(1)));
    assert_eq!(rig.active(1, 5, 11), Err(FillRefused::Behind));
}

#[test]
fn claims_and_lists_from_before_the_fence_are_refused() {
    let mut rig = Rig::live();
    rig.frame(101, [slashed(1, 11)]);
    let pool = rig.pool(10);
    let now = rig.now();
    let name: seal::NodeName = "worker".parse().unwrap();
    let node = rig
        .core
        .offer_fill(&Key::Node(name), RowRead::Node(None), &pool, now);
    assert_eq!(node, Err(FillRefused::Behind));
    let owner = Key::Owner(Address::from_bytes([2; 32]));
    let list = rig
        .core
        .offer_fill(&owner, RowRead::Owner(Vec::new()), &pool, now);
    assert_eq!(list, Err(FillRefused::Behind));
}

#[test]
fn an_old_unary_answer_is_refused() {
    let mut rig = Rig::live();
    let old = rig.pool(10);
    rig.pass(15_000);
    rig.frame(101, []);
    let row = RowRead::Seal(Some(record(5, SealStatus::Active)));
    let now = rig.now();
    let refused = rig.core.offer_fill(&Key::Seal(hash(1)), row, &old, now);
    assert_eq!(refused, Err(FillRefused::Stale));
}

#[test]
fn a_row_that_vanishes_is_not_believed() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    assert_eq!(rig.fill(1, None, 10), Err(FillRefused::Contradiction));
    assert_eq!(rig.status(1), Some(SealStatus::Active));
}

// Events and the cache.

#[test]
fn an_event_changes_the_cached_record() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.frame(101, [slashed(1, 11)]);
    assert_eq!(rig.status(1), Some(SealStatus::Slashed));
}

#[test]
fn an_older_event_does_not_take_a_record_back() {
    let mut rig = Rig::live();
    rig.fill(1, Some(record(13, SealStatus::Revoked)), 13)
        .unwrap();
    rig.frame(101, [slashed(1, 11)]);
    assert_eq!(rig.status(1), Some(SealStatus::Revoked));
    assert_eq!(rig.told(), []);
}

#[test]
fn an_older_read_does_not_take_a_record_back() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.frame(101, [slashed(1, 11)]);
    let found = rig.active(1, 5, 11).unwrap();
    assert!(
        matches!(found, Found::Seal(Some(record)) if record.status == SealStatus::Slashed),
        "the newer record is the answer"
    );
}

#[test]
fn a_mint_ends_a_cached_absence() {
    let mut rig = Rig::live();
    rig.fill(1, None, 10).unwrap();
    assert_eq!(rig.cached(1), Cached::Absent);
    rig.frame(
        101,
        [changed(1, Cause::Mint, record(11, SealStatus::Active))],
    );
    assert_eq!(rig.status(1), Some(SealStatus::Active));
}

#[test]
fn an_absence_does_not_come_back_when_the_record_is_evicted() {
    let mut rig = Rig::live();
    rig.fill(1, None, 10).unwrap();
    rig.frame(
        101,
        [changed(1, Cause::Mint, record(11, SealStatus::Active))],
    );
    rig.core.shared.records.remove(&hash(1));
    assert_eq!(rig.cached(1), Cached::Unknown);
}

#[test]
fn an_absence_is_believed_for_its_time_only() {
    let mut rig = Rig::live();
    rig.fill(1, None, 10).unwrap();
    rig.pass(29_999);
    assert_eq!(rig.cached(1), Cached::Absent);
    rig.pass(1);
    assert_eq!(rig.cached(1), Cached::Unknown);
}

#[test]
fn events_of_one_frame_are_taken_in_the_order_of_their_numbers() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    let restored = changed(1, Cause::Restake, record(12, SealStatus::Active));
    rig.frame(101, [restored, slashed(1, 11)]);
    assert_eq!(rig.check(), Ok(()));
    assert_eq!(rig.status(1), Some(SealStatus::Active));
}

#[test]
fn a_claim_follows_its_events_and_a_voided_one_is_none() {
    let mut rig = Rig::live();
    let name: seal::NodeName = "worker".parse().unwrap();
    let claim = |owner: u8, n: u8| NodeClaim {
        owner: Address::from_bytes([owner; 32]),
        hash: hash(n),
    };
    let (pool, now) = (rig.pool(10), rig.now());
    let row = RowRead::Node(Some(claim(2, 1)));
    rig.core
        .offer_fill(&Key::Node(name.clone()), row, &pool, now)
        .unwrap();
    let event = |seq, claim| {
        ContractEvent::Node(NodeClaimed {
            seq,
            name: name.clone(),
            claim,
        })
    };
    rig.frame(101, [event(11, claim(2, 9))]);
    let cached = rig.core.shared.cached_claim(&name, rig.now());
    assert_eq!(cached, Cached::Is(claim(2, 9)));
    rig.frame(102, [event(12, claim(0, 9))]);
    let cached = rig.core.shared.cached_claim(&name, rig.now());
    assert_eq!(cached, Cached::Absent);
}

#[test]
fn a_change_of_an_owners_seals_drops_the_cached_list() {
    let mut rig = Rig::live();
    let owner = Address::from_bytes([2; 32]);
    let (pool, now) = (rig.pool(10), rig.now());
    let row = RowRead::Owner(vec![hash(1)]);
    rig.core
        .offer_fill(&Key::Owner(owner), row, &pool, now)
        .unwrap();
    rig.frame(
        101,
        [changed(2, Cause::Mint, record(11, SealStatus::Active))],
    );
    let cached = rig.core.shared.cached_owner(&owner, rig.now());
    assert_eq!(cached, Cached::Unknown);
}

// Gaps.

#[test]
fn a_skipped_number_closes_the_door_and_empties_the_cache() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.fill(2, None, 10).unwrap();
    rig.frame(101, [slashed(3, 12)]);
    assert_eq!(rig.check(), Err(Unavailable::Gap));
    assert_eq!(
        (rig.cached(1), rig.cached(2)),
        (Cached::Unknown, Cached::Unknown)
    );
    assert_eq!(rig.active(1, 5, 12), Err(FillRefused::NotLive));
    rig.sync(12).unwrap();
    assert_eq!(rig.check(), Ok(()));
}

#[test]
fn an_unreadable_event_is_a_gap() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.frame(101, [undecodable()]);
    assert_eq!(rig.check(), Err(Unavailable::Gap));
    assert_eq!(rig.cached(1), Cached::Unknown);
    assert_eq!(rig.core.sync_ticket().unwrap().min_height, 101);
}

#[test]
fn a_gap_is_mended_only_by_a_node_that_has_the_frame_that_showed_it() {
    let mut rig = Rig::live();
    rig.frame(101, [slashed(3, 12)]);
    let ticket = rig.core.sync_ticket().unwrap();
    let behind = PoolRead {
        height: 100,
        ..rig.pool(12)
    };
    let refused = rig.core.offer_sync(ticket, &behind, rig.now());
    assert_eq!(refused, Err(SyncRefused::Behind));
}

#[test]
fn known_frames_change_nothing_and_are_no_progress() {
    let mut rig = Rig::live();
    rig.pass(14_999);
    assert_eq!(rig.frame(100, [slashed(1, 99)]), Progress::Old);
    assert_eq!(rig.frame(50, []), Progress::Old);
    assert_eq!(rig.check(), Ok(()));
    rig.pass(1);
    assert!(matches!(rig.check(), Err(Unavailable::Stale { .. })));
}

#[test]
fn missing_checkpoints_are_asked_for_and_the_frame_is_kept() {
    let mut rig = Rig::live();
    let Progress::Missing { from, to, frame } = rig.frame(105, [slashed(1, 11)]) else {
        panic!("105 does not follow 100");
    };
    assert_eq!((from, to, frame.sequence), (101, 104, 105));
    assert_eq!(rig.core.fence(), 10, "it was not applied");
    for sequence in 101..=104 {
        assert_eq!(rig.frame(sequence, []), Progress::Advanced);
    }
    let now = rig.now();
    assert_eq!(rig.core.frame(*frame, now), Progress::Advanced);
    assert_eq!(rig.check(), Ok(()));
}

#[test]
fn too_many_missing_checkpoints_are_not_asked_for() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    assert!(matches!(
        rig.frame(100 + 3_001, []),
        Progress::Missing { .. }
    ));
    assert_eq!(rig.frame(100 + 3_002, []), Progress::Advanced);
    assert_eq!(rig.check(), Err(Unavailable::Gap));
    assert_eq!(rig.cached(1), Cached::Unknown);
    assert_eq!(rig.core.sync_ticket().unwrap().min_height, 3_102);
}

#[test]
fn another_chain_closes_the_door_until_the_right_one_is_back() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.core.set_wrong_chain(true);
    assert_eq!(rig.check(), Err(Unavailable::WrongChain));
    assert_eq!(rig.active(2, 5, 10), Err(FillRefused::NotLive));
    rig.core.set_wrong_chain(false);
    assert_eq!(rig.check(), Ok(()));
}

// Age.

#[test]
fn the_view_is_stale_when_no_checkpoint_came_in_time() {
    let mut rig = Rig::live();
    rig.mono += 14_999;
    assert_eq!(rig.check(), Ok(()));
    rig.mono += 1;
    assert_eq!(rig.check(), Err(Unavailable::Stale { for_ms: 15_000 }));
}

#[test]
fn the_view_is_stale_when_the_newest_checkpoint_is_old_although_frames_come() {
    let mut rig = Rig::live();
    rig.wall += 15_000;
    let frame = Frame {
        sequence: 101,
        timestamp: UnixMillis(rig.wall - 15_000),
        events: Vec::new(),
    };
    let now = rig.now();
    rig.core.frame(frame, now);
    assert_eq!(rig.check(), Err(Unavailable::Stale { for_ms: 15_000 }));
    rig.wall -= 1;
    assert_eq!(rig.check(), Ok(()));
}

#[test]
fn a_clock_set_back_hides_no_staleness() {
    let mut rig = Rig::live();
    rig.mono += 15_000;
    rig.wall -= 1_000;
    assert!(matches!(rig.check(), Err(Unavailable::Stale { .. })));
}

#[test]
fn a_clock_far_behind_the_chain_is_told() {
    let mut rig = Rig::live();
    rig.wall -= 10_000;
    assert_eq!(rig.check(), Ok(()));
    rig.wall -= 1;
    let skewed = Err(Unavailable::ClockSkew { behind_ms: 10_001 });
    assert_eq!(rig.check(), skewed);
}

#[test]
fn grace_prolongs_the_bound_by_exactly_itself() {
    let mut rig = Rig::with(&DirectoryConfig {
        grace: Duration::from_mins(1),
        ..DirectoryConfig::default()
    });
    rig.open();
    rig.pass(74_999);
    assert_eq!(rig.check(), Ok(()));
    rig.pass(1);
    assert!(matches!(rig.check(), Err(Unavailable::Stale { .. })));
}

// Listeners.

#[test]
fn every_event_is_told_once_known_or_not() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.frame(101, [slashed(1, 11), slashed(9, 12)]);
    let slash = Why::Event(Cause::Slash);
    let ended = Err(Unusable::Slashed);
    assert_eq!(rig.told(), [(1, slash, ended), (9, slash, ended)]);
    assert_eq!(rig.told(), []);
}

#[test]
fn a_change_says_what_the_tier_was() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    let mut lower = record(11, SealStatus::Active);
    lower.stake = Mist(500_000_000);
    rig.frame(101, [changed(1, Cause::Slash, lower)]);
    let change = rig.core.take_changes().remove(0);
    assert_eq!(change.before, Some(Tier::Developer));
    assert_eq!(change.after, Ok(Tier::Viewer));
    assert!(change.is_loss() && change.end().is_none());
}

#[test]
fn expiry_is_told_at_its_instant_by_local_time() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.wall = START + 3_599_999;
    assert!(!rig.core.expire(10, rig.now()));
    assert_eq!(rig.told(), []);
    rig.wall += 1;
    rig.core.expire(10, rig.now());
    assert_eq!(rig.told(), [(1, Why::Expired, Err(Unusable::Expired))]);
    rig.core.expire(10, rig.now());
    assert_eq!(rig.told(), []);
}

#[test]
fn expiry_is_told_by_the_chains_time_where_that_is_later() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    let frame = Frame {
        sequence: 101,
        timestamp: UnixMillis(START + 3_600_000),
        events: Vec::new(),
    };
    let now = rig.now();
    rig.core.frame(frame, now);
    rig.core.expire(10, now);
    assert_eq!(rig.told(), [(1, Why::Expired, Err(Unusable::Expired))]);
}

#[test]
fn a_seal_that_ended_otherwise_does_not_expire_as_well() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.frame(101, [slashed(1, 11)]);
    rig.told();
    rig.wall += 3_600_000;
    rig.core.expire(10, rig.now());
    assert_eq!(rig.told(), []);
}

#[test]
fn a_watched_seal_expires_even_when_it_left_the_cache() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.active(2, 5, 10).unwrap();
    assert!(rig.watch(1));
    rig.core.evict(&Key::Seal(hash(1)));
    rig.core.evict(&Key::Seal(hash(2)));
    rig.wall += 3_600_000;
    rig.core.expire(10, rig.now());
    assert_eq!(rig.told(), [(1, Why::Expired, Err(Unusable::Expired))]);
}

#[test]
fn what_left_cache_and_watch_leaves_the_expiry_queue() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    assert!(rig.watch(1));
    assert!(rig.watch(1));
    rig.core.evict(&Key::Seal(hash(1)));
    rig.core.unwatch(&hash(1));
    assert_eq!(rig.core.expiries.len(), 1);
    rig.core.unwatch(&hash(1));
    assert_eq!((rig.core.expiries.len(), rig.core.watched()), (0, 0));
}

#[test]
fn no_more_seals_are_pinned_than_the_bound() {
    let mut rig = Rig::with(&DirectoryConfig {
        max_watched: 1,
        ..DirectoryConfig::default()
    });
    assert!(rig.watch(1));
    assert!(!rig.watch(2));
    assert!(rig.watch(1));
}

#[test]
fn what_happened_in_a_gap_is_told_when_it_is_read_again() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.active(2, 6, 10).unwrap();
    assert!(rig.watch(1) && rig.watch(2));
    assert!(rig.core.to_reread(9).is_empty());
    rig.core.lose(Loss::History);
    assert!(
        rig.core.to_reread(9).is_empty(),
        "not before the pool was read"
    );
    rig.sync(20).unwrap();
    assert_eq!(rig.core.to_reread(9).len(), 2);
    rig.fill(1, Some(record(15, SealStatus::Revoked)), 20)
        .unwrap();
    rig.active(2, 6, 20).unwrap();
    assert!(rig.core.to_reread(9).is_empty());
    assert_eq!(rig.told(), [(1, Why::Read, Err(Unusable::Revoked))]);
}

#[test]
fn a_seal_watched_before_it_was_known_is_read_and_its_end_told() {
    let mut rig = Rig::live();
    assert!(rig.watch(1));
    assert_eq!(rig.core.to_reread(9), [hash(1)]);
    rig.fill(1, Some(record(5, SealStatus::Revoked)), 10)
        .unwrap();
    assert_eq!(rig.told(), [(1, Why::Read, Err(Unusable::Revoked))]);
}

#[test]
fn a_seal_that_ended_before_it_was_watched_is_told() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.frame(101, [slashed(1, 11)]);
    rig.told();
    assert!(rig.watch(1));
    assert_eq!(rig.told(), [(1, Why::Read, Err(Unusable::Slashed))]);
}

#[test]
fn an_ordinary_fill_is_no_news() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.fill(2, Some(record(6, SealStatus::Revoked)), 10)
        .unwrap();
    assert_eq!(rig.told(), []);
}

// Thresholds.

#[test]
fn thresholds_follow_their_event_and_tell_whom_they_hit() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    let raised = ContractEvent::Config(ConfigChanged {
        seq: 11,
        config: Config {
            developer: 3_000_000_000,
            ..config(2_000_000_001)
        },
    });
    rig.frame(101, [raised]);
    assert_eq!(rig.core.shared.thresholds().viewer, Mist(2_000_000_001));
    let ended = Err(Unusable::StakeTooLow);
    assert_eq!(rig.told(), [(1, Why::Thresholds, ended)]);
}

#[test]
fn thresholds_are_taken_from_the_pool_at_the_start() {
    let mut rig = Rig::new();
    rig.frame(100, []);
    let ticket = rig.core.sync_ticket().unwrap();
    let pool = PoolRead {
        thresholds: config(7).thresholds(),
        ..rig.pool(10)
    };
    rig.core.offer_sync(ticket, &pool, rig.now()).unwrap();
    assert_eq!(rig.core.shared.thresholds().viewer, Mist(7));
}

// Ends.

#[test]
fn an_end_is_remembered_through_a_loss_and_lifted_by_a_restoration() {
    let mut rig = Rig::live();
    rig.frame(101, [slashed(1, 11)]);
    rig.core.lose(Loss::History);
    let end = |rig: &Rig| rig.core.shared.last_known_end(&hash(1), rig.now());
    assert_eq!(end(&rig).unwrap().how, Unusable::Slashed);
    rig.sync(11).unwrap();
    rig.frame(
        102,
        [changed(1, Cause::Restake, record(12, SealStatus::Active))],
    );
    assert_eq!(end(&rig), None);
}

#[test]
fn an_expiry_is_remembered() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.wall += 3_600_000;
    rig.core.expire(10, rig.now());
    rig.core.lose(Loss::History);
    let end = rig.core.shared.last_known_end(&hash(1), rig.now()).unwrap();
    assert_eq!(end.how, Unusable::Expired);
    assert_eq!(end.at, UnixMillis(START + 3_600_000));
}

#[test]
fn an_end_that_is_only_read_is_remembered_too() {
    let mut rig = Rig::live();
    rig.fill(1, Some(record(5, SealStatus::Revoked)), 10)
        .unwrap();
    rig.core.lose(Loss::History);
    let end = rig.core.shared.last_known_end(&hash(1), rig.now());
    assert_eq!(end.unwrap().how, Unusable::Revoked);
}

fn announced(rig: &Rig, seq: u64, height: u64) -> PoolRead {
    PoolRead {
        height,
        ..rig.pool(seq)
    }
}

#[test]
fn a_stream_that_withholds_what_the_pool_announced_loses_the_view() {
    for by_fill in [false, true] {
        let mut rig = Rig::live();
        let (pool, now) = (announced(&rig, 11, 105), rig.now());
        if by_fill {
            let row = RowRead::Seal(Some(record(3, SealStatus::Active)));
            rig.core
                .offer_fill(&Key::Seal(hash(7)), row, &pool, now)
                .unwrap();
        } else {
            rig.core.offer_audit(&pool, now);
        }
        for sequence in 101..105 + LATE {
            rig.frame(sequence, []);
            assert_eq!(
                rig.check(),
                Ok(()),
                "a little later is no offence: {sequence}"
            );
        }
        rig.frame(105 + LATE, []);
        assert_eq!(rig.core.take_losses(), [Loss::Withheld]);
        assert!(rig.check().is_err());
    }
}

#[test]
fn what_comes_in_time_is_not_withheld() {
    let mut rig = Rig::live();
    let (pool, now) = (announced(&rig, 11, 105), rig.now());
    rig.core.offer_audit(&pool, now);
    for sequence in 101..103 {
        rig.frame(sequence, []);
    }
    rig.frame(103, [slashed(1, 11)]);
    for sequence in 104..200 {
        rig.frame(sequence, []);
    }
    assert_eq!(rig.check(), Ok(()));
}

#[test]
fn an_audit_by_a_lagging_or_outdated_node_says_nothing() {
    let mut rig = Rig::live();
    let behind = announced(&rig, 9, 50);
    let outdated = PoolRead {
        at: UnixMillis(START - 60_000),
        ..announced(&rig, 99, 50)
    };
    for pool in [behind, outdated] {
        let now = rig.now();
        rig.core.offer_audit(&pool, now);
        assert_eq!(rig.core.fence(), 10);
    }
    for sequence in 101..200 {
        rig.frame(sequence, []);
    }
    assert_eq!(rig.check(), Ok(()));
}
