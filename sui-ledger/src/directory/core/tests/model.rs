//! The follower against a reference that knows the truth.
//!
//! A chain makes checkpoints; three nodes lag behind it as they like; the follower's stream hops
//! between them, skips, replays and shows events it can't read; reads are answered by any node
//! and arrive late; entries are evicted; the local clock is off. Whatever the order:
//! - no "yes" is given that had not been true within the staleness bound;
//! - when things calm down, every answer is the truth, and whoever watches a seal that ended
//!   was told so.

// Checkpoint numbers and times of the model are small.
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const KEYS: u8 = 4;
const NODES: usize = 3;
const BOUND: u64 = 15_000;
/// How far behind the local clock may be; a lagging node can hide for that much longer.
const MAX_BEHIND: u64 = 5_000;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A checkpoint with up to two events on these keys.
    Make(Option<(u8, Deed)>, Option<(u8, Deed)>),
    /// All is well: time passes, a checkpoint is made and the follower's node shows it.
    Flow(u64, Option<(u8, Deed)>),
    /// A node catches up by this many checkpoints.
    CatchUp(usize, u64),
    /// The stream delivers a frame; one of its events may be unreadable.
    Deliver {
        unreadable: bool,
        fetch: Fetch,
    },
    /// The stream is opened at a node, this many checkpoints before its next one.
    Connect(usize, u64),
    /// The stream skips this many frames.
    Skip(u64),
    /// A read of a key begins at a node; the row may be this much newer than the pool.
    Read(usize, u8, u64),
    /// A read that began arrives.
    Arrive(usize),
    /// The pool is asked for at a node.
    ReadPool(usize),
    /// And arrives.
    PoolArrives,
    Evict(u8),
    Watch(u8),
    Unwatch(u8),
    Pass(u64),
    /// The local clock is set: behind (negative) or ahead of the true time by this.
    SetClock(i64),
    /// The view is lost for a reason outside.
    Lose,
}

#[derive(Debug, Clone, Copy)]
enum Deed {
    Mint,
    Slash,
    Restake,
    Revoke,
    Unstake,
    Withdraw,
    Raise,
    Lower,
}

#[derive(Debug, Clone, Copy)]
enum Fetch {
    /// Missing checkpoints are had.
    Whole,
    /// The stream breaks after some.
    Part,
    /// They can't be had.
    None,
}

/// The chain's state after a checkpoint.
#[derive(Debug, Clone)]
struct Truth {
    at: u64,
    seq: u64,
    records: BTreeMap<u8, SealRecord>,
    thresholds: Thresholds,
    events: Vec<ContractEvent>,
}

impl Truth {
    fn usable(&self, key: u8, at: u64) -> Option<Tier> {
        let record = self.records.get(&key)?;
        record.usable(UnixMillis(at), &self.thresholds).ok()
    }

    fn act(&mut self, key: u8, deed: Deed) {
        let seq = self.seq + 1;
        let known = self.records.get(&key).cloned();
        let active = known
            .as_ref()
            .is_some_and(|record| record.status == SealStatus::Active);
        let (cause, status, stake) = match (deed, &known) {
            (Deed::Mint, None) => (Cause::Mint, SealStatus::Active, 2_000_000_000),
            (Deed::Slash, Some(record)) if record.status != SealStatus::Retired => {
                let status = if active {
                    SealStatus::Slashed
                } else {
                    record.status
                };
                (Cause::Slash, status, record.stake.0 / 10 * 9)
            }
            (Deed::Restake, Some(record)) if active || record.status == SealStatus::Slashed => (
                Cause::Restake,
                SealStatus::Active,
                record.stake.0 + 1_000_000_000,
            ),
            (Deed::Revoke, Some(record)) if active || record.status == SealStatus::Slashed => {
                (Cause::Revoke, SealStatus::Revoked, record.stake.0)
            }
            (Deed::Unstake, Some(record)) if record.status != SealStatus::Retired => {
                (Cause::Unstake, SealStatus::Unbonding, record.stake.0)
            }
            (Deed::Withdraw, Some(record)) if record.status == SealStatus::Unbonding => {
                (Cause::Withdraw, SealStatus::Retired, 0)
            }
            (Deed::Raise | Deed::Lower, _) => {
                let viewer = if matches!(deed, Deed::Raise) {
                    1_900_000_000
                } else {
                    500_000_000
                };
                self.seq = seq;
                self.thresholds = config(viewer).thresholds();
                self.events.push(ContractEvent::Config(ConfigChanged {
                    seq,
                    config: config(viewer),
                }));
                return;
            }
            _ => return,
        };
        let mut record = known.unwrap_or_else(|| {
            let mut fresh = super::record(seq, SealStatus::Active);
            // Some live for a minute only.
            let life = if key.is_multiple_of(2) {
                60_000
            } else {
                3_600_000
            };
            fresh.expires_at = UnixMillis(self.at + life);
            fresh
        });
        record.seq = seq;
        record.status = status;
        record.stake = Mist(stake);
        self.seq = seq;
        self.events.push(changed(key, cause, record.clone()));
        self.records.insert(key, record);
    }
}

struct World {
    history: Vec<Truth>,
    heights: [usize; NODES],
    /// The node and the next checkpoint it sends.
    stream: Option<(usize, usize)>,
    reads: Vec<(u8, Option<SealRecord>, PoolRead)>,
    pool_read: Option<(SyncTicket, PoolRead)>,
    core: Core,
    mono: u64,
    clock: i64,
    watched: BTreeSet<u8>,
    /// What the listener believes of each watched seal: whether it is usable.
    believed: BTreeMap<u8, bool>,
    yes: usize,
}

impl World {
    fn new() -> Self {
        let config = DirectoryConfig {
            max_gap: 6,
            ..DirectoryConfig::default()
        };
        let genesis = Truth {
            at: START,
            seq: 0,
            records: BTreeMap::new(),
            thresholds: Thresholds::default(),
            events: Vec::new(),
        };
        Self {
            history: vec![genesis],
            heights: [0; NODES],
            stream: None,
            reads: Vec::new(),
            pool_read: None,
            core: Rig::with(&config).core,
            mono: 0,
            clock: 0,
            watched: BTreeSet::new(),
            believed: BTreeMap::new(),
            yes: 0,
        }
    }

    /// The true time.
    fn time(&self) -> u64 {
        START + self.mono
    }

    fn now(&self) -> Now {
        Now {
            mono: Duration::from_millis(self.mono),
            wall: UnixMillis(self.time().saturating_add_signed(self.clock)),
        }
    }

    fn head(&self) -> usize {
        self.history.len() - 1
    }

    fn frame(&self, number: usize) -> Frame {
        let truth = &self.history[number];
        Frame {
            sequence: number as u64,
            timestamp: UnixMillis(truth.at),
            events: truth.events.clone(),
        }
    }

    fn pool(&self, height: usize) -> PoolRead {
        let truth = &self.history[height];
        PoolRead {
            seq: truth.seq,
            thresholds: truth.thresholds,
            height: height as u64,
            at: UnixMillis(truth.at),
        }
    }

    fn make(&mut self, deeds: [Option<(u8, Deed)>; 2]) {
        let mut next = self.history[self.head()].clone();
        next.at = self.time();
        next.events.clear();
        for (key, deed) in deeds.into_iter().flatten() {
            next.act(key, deed);
        }
        self.history.push(next);
    }

    fn deliver(&mut self, unreadable: bool, fetch: Fetch) {
        let Some((node, next)) = self.stream else {
            return;
        };
        if next > self.heights[node] {
            return;
        }
        self.stream = Some((node, next + 1));
        let mut frame = self.frame(next);
        if unreadable && !frame.events.is_empty() {
            frame.events[0] = undecodable();
        }
        let now = self.now();
        let Progress::Missing { from, to, frame } = self.core.frame(frame, now) else {
            return;
        };
        match fetch {
            Fetch::Whole => {
                for number in from..=to {
                    self.core.frame(self.frame(number as usize), now);
                }
                self.core.frame(*frame, now);
            }
            Fetch::Part => {
                self.core.frame(self.frame(from as usize), now);
                self.stream = None;
            }
            Fetch::None => {
                self.core.lose(Loss::History);
                self.core.frame(*frame, now);
            }
        }
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Make(one, two) => self.make([one, two]),
            Step::Flow(millis, deed) => self.flow(millis, deed)?,
            Step::CatchUp(node, by) => {
                self.heights[node] = (self.heights[node] + by as usize).min(self.head());
            }
            Step::Deliver { unreadable, fetch } => self.deliver(unreadable, fetch),
            Step::Connect(node, before) => {
                let next = (self.heights[node] + 1).saturating_sub(before as usize);
                self.stream = Some((node, next));
            }
            Step::Skip(by) => {
                self.stream = self.stream.map(|(node, next)| (node, next + by as usize));
            }
            Step::Read(node, key, newer) => {
                let height = self.heights[node];
                let row = (height + newer as usize).min(self.head());
                let row = self.history[row].records.get(&key).cloned();
                if self.reads.len() < 8 {
                    self.reads.push((key, row, self.pool(height)));
                }
            }
            Step::Arrive(which) => self.arrive(which)?,
            Step::ReadPool(node) => {
                // As the driver does: the node is asked how far it is before it is read.
                if let Some(ticket) = self.core.sync_ticket()
                    && self.heights[node] as u64 >= ticket.min_height
                {
                    let mut pool = self.pool(self.heights[node]);
                    // The answer's header is written after the read.
                    pool.height = self.head() as u64;
                    self.pool_read = Some((ticket, pool));
                }
            }
            Step::PoolArrives => {
                if let Some((ticket, pool)) = self.pool_read.take() {
                    let _ = self.core.offer_sync(ticket, &pool, self.now());
                }
            }
            Step::Evict(key) => self.core.evict(&Key::Seal(hash(key))),
            Step::Watch(key) => {
                if self.watched.insert(key) {
                    let now = self.now();
                    self.believed.remove(&key);
                    self.core.watch(hash(key), now);
                    // Subscribed, pinned, then looked up.
                    if let Some(record) = self.look_up(key) {
                        let usable = self.tier(&record).is_some();
                        self.believed.insert(key, usable);
                    }
                }
            }
            Step::Unwatch(key) => {
                if self.watched.remove(&key) {
                    self.core.unwatch(&hash(key));
                    self.believed.remove(&key);
                }
            }
            Step::Pass(millis) => self.mono += millis,
            Step::SetClock(by) => self.clock = by,
            Step::Lose => self.core.lose(Loss::History),
        }
        let now = self.now();
        while self.core.expire(2, now) {}
        self.listen();
        self.judge()
    }

    fn flow(&mut self, millis: u64, deed: Option<(u8, Deed)>) -> Result<(), TestCaseError> {
        self.mono += millis;
        self.make([deed, None]);
        let (node, next) = self.stream.unwrap_or((0, self.head()));
        self.heights[node] = self.head();
        self.stream = Some((node, next));
        while self.stream.is_some_and(|(_, next)| next <= self.head()) {
            self.deliver(false, Fetch::Whole);
        }
        self.step(Step::ReadPool(node))?;
        self.step(Step::PoolArrives)
    }

    fn arrive(&mut self, which: usize) -> Result<(), TestCaseError> {
        if self.reads.is_empty() {
            return Ok(());
        }
        let (key, row, pool) = self.reads.remove(which % self.reads.len());
        let now = self.now();
        let offered = self
            .core
            .offer_fill(&Key::Seal(hash(key)), RowRead::Seal(row), &pool, now);
        prop_assert_ne!(&offered, &Err(FillRefused::Contradiction));
        // What the waiting callers are told, if the door is open.
        if let Ok(Found::Seal(Some(record))) = offered
            && self.core.shared.check(now).is_ok()
        {
            self.judge_record(key, &record)?;
        }
        Ok(())
    }

    fn listen(&mut self) {
        for change in self.core.take_changes() {
            let key = change.hash.as_bytes()[0];
            if self.watched.contains(&key) {
                self.believed.insert(key, change.after.is_ok());
            }
        }
    }

    fn look_up(&self, key: u8) -> Option<Arc<SealRecord>> {
        self.core.shared.check(self.now()).ok()?;
        match self.core.shared.cached_seal(&hash(key), self.now()) {
            Cached::Is(record) => Some(record),
            Cached::Absent | Cached::Unknown => None,
        }
    }

    fn tier(&self, record: &SealRecord) -> Option<Tier> {
        let latest = self.core.shared.latest(self.now());
        record.usable(latest, &self.core.shared.thresholds()).ok()
    }

    fn judge(&mut self) -> Result<(), TestCaseError> {
        for key in 0..KEYS {
            if let Some(record) = self.look_up(key) {
                self.judge_record(key, &record)?;
            }
        }
        Ok(())
    }

    /// A "yes" must have been the truth, or less than it, at some time within the bound.
    fn judge_record(&mut self, key: u8, record: &SealRecord) -> Result<(), TestCaseError> {
        let Some(tier) = self.tier(record) else {
            return Ok(());
        };
        self.yes += 1;
        let behind = self.clock.min(0).unsigned_abs();
        let since = self.time() - (BOUND + behind).min(self.time());
        for (at, truth) in self.history.iter().enumerate().rev() {
            // This state began at `truth.at`; it is within the bound if its successor began
            // later than that.
            let until = self
                .history
                .get(at + 1)
                .map_or(u64::MAX, |successor| successor.at);
            if until < since {
                break;
            }
            if truth.usable(key, truth.at.max(since)) >= Some(tier) {
                return Ok(());
            }
        }
        prop_assert!(
            false,
            "yes ({tier}) for {key} at {} from {record:?}, which was not true since {since}",
            self.time()
        );
        Ok(())
    }

    /// Everything heals; then all answers are the truth.
    fn calm_down(mut self) -> Result<usize, TestCaseError> {
        self.clock = 0;
        self.reads.clear();
        self.pool_read = None;
        self.make([None, None]);
        self.heights = [self.head(); NODES];
        self.step(Step::Connect(0, 1))?;
        for _ in 0..3 {
            self.step(Step::Deliver {
                unreadable: false,
                fetch: Fetch::Whole,
            })?;
            self.step(Step::ReadPool(1))?;
            self.step(Step::PoolArrives)?;
            self.make([None, None]);
            self.heights = [self.head(); NODES];
        }
        prop_assert_eq!(self.core.shared.check(self.now()), Ok(()));
        for hash in self.core.to_reread(usize::MAX) {
            self.step(Step::Read(2, hash.as_bytes()[0], 0))?;
            self.step(Step::Arrive(0))?;
        }
        prop_assert!(self.core.to_reread(usize::MAX).is_empty());
        let time = self.time();
        for key in 0..KEYS {
            if self.core.shared.cached_seal(&hash(key), self.now()) == Cached::Unknown {
                self.step(Step::Read(2, key, 0))?;
                self.step(Step::Arrive(0))?;
            }
            let truth = &self.history[self.head()];
            let expected = truth.records.get(&key).cloned();
            let answer = self.look_up(key).map(|record| (*record).clone());
            prop_assert_eq!(answer, expected);
            prop_assert_eq!(self.core.shared.thresholds(), truth.thresholds);
            if self.watched.contains(&key) && truth.records.contains_key(&key) {
                let usable = truth.usable(key, time).is_some();
                let believed = self.believed.get(&key);
                prop_assert!(
                    usable || believed == Some(&false),
                    "{} ended and its watcher believes {:?}",
                    key,
                    believed
                );
            }
            let end = self.core.shared.last_known_end(&hash(key), self.now());
            let ended = truth.records.contains_key(&key) && truth.usable(key, time).is_none();
            prop_assert_eq!(end.is_some(), ended);
        }
        Ok(self.yes)
    }
}

fn deed() -> impl Strategy<Value = Option<(u8, Deed)>> {
    let deed = prop_oneof![
        6 => Just(Deed::Mint),
        4 => Just(Deed::Slash),
        2 => Just(Deed::Restake),
        2 => Just(Deed::Revoke),
        1 => Just(Deed::Unstake),
        1 => Just(Deed::Withdraw),
        1 => Just(Deed::Raise),
        1 => Just(Deed::Lower),
    ];
    proptest::option::weighted(0.25, (0..KEYS, deed))
}

fn step() -> impl Strategy<Value = Step> {
    let fetch =
        prop_oneof![3 => Just(Fetch::Whole), 1 => Just(Fetch::Part), 1 => Just(Fetch::None)];
    prop_oneof![
        10 => (deed(), deed()).prop_map(|(one, two)| Step::Make(one, two)),
        20 => (200u64..6_000, deed()).prop_map(|(millis, deed)| Step::Flow(millis, deed)),
        10 => (0..NODES, 1u64..4).prop_map(|(node, by)| Step::CatchUp(node, by)),
        16 => (proptest::bool::weighted(0.2), fetch)
            .prop_map(|(unreadable, fetch)| Step::Deliver { unreadable, fetch }),
        3 => (0..NODES, 0u64..4).prop_map(|(node, before)| Step::Connect(node, before)),
        1 => (1u64..9).prop_map(Step::Skip),
        10 => (0..NODES, 0..KEYS, 0u64..3).prop_map(|(node, key, newer)| Step::Read(node, key, newer)),
        10 => (0usize..8).prop_map(Step::Arrive),
        6 => (0..NODES).prop_map(Step::ReadPool),
        6 => Just(Step::PoolArrives),
        3 => (0..KEYS).prop_map(Step::Evict),
        2 => (0..KEYS).prop_map(Step::Watch),
        1 => (0..KEYS).prop_map(Step::Unwatch),
        8 => (1u64..4_000).prop_map(Step::Pass),
        1 => (10_000u64..30_000).prop_map(Step::Pass),
        1 => (-(MAX_BEHIND as i64)..20_000).prop_map(Step::SetClock),
        1 => Just(Step::SetClock(0)),
        1 => Just(Step::Lose),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn never_says_yes_to_what_ended_longer_ago_than_the_bound(
        steps in proptest::collection::vec(step(), 1..250)
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step)?;
        }
        world.calm_down()?;
    }
}

/// The model would prove nothing if it hardly ever said yes.
#[test]
fn the_model_says_yes_often() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let steps = proptest::collection::vec(step(), 200);
    let mut yes = 0;
    for _ in 0..20 {
        let mut world = World::new();
        for step in steps.new_tree(&mut runner).unwrap().current() {
            world.step(step).unwrap();
        }
        yes += world.yes;
    }
    assert!(yes > 500, "{yes}");
}
