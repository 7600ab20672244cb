//! One test for each rule of the follower; `model` runs them against each other. Here is the rig.

mod fence;
mod gaps;
mod model;
mod starting;
mod told;

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
