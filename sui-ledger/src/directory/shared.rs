//! The side of the directory that every look-up reads: the caches and the freshness.
//!
//! Only the core writes here, under its own mutex. Readers take no lock but one shard's, for
//! the time of a clone. The order of writing makes that right: contents first, freshness last;
//! when the view is lost, the door is closed first and the contents go after.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use arc_swap::ArcSwap;
use seal::{Address, CredentialHash, NodeClaim, NodeName, SealRecord, Thresholds, UnixMillis};

use super::bounded::Bounded;
use super::change::End;
use super::clock::{Now, millis};
use super::config::DirectoryConfig;
use super::ends::Ends;
use super::unavailable::Unavailable;

/// Whether anything may be answered at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Starting,
    Open,
    Gap,
    WrongChain,
}

impl Door {
    const ALL: [Self; 4] = [Self::Starting, Self::Open, Self::Gap, Self::WrongChain];
}

/// What the cache says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cached<T> {
    /// This.
    Is(T),
    /// That there is nothing.
    Absent,
    /// Nothing: the chain has to be asked.
    Unknown,
}

/// A cached row of a table that says "nothing there" as well.
#[derive(Debug, Clone)]
pub(crate) struct Row<T> {
    pub(crate) value: T,
    /// The pool's number as of which this is so.
    pub(crate) seq: u64,
    /// Not believed from here on; for absences.
    pub(crate) until: Option<Duration>,
}

impl<T> Row<T> {
    fn valid(&self, now: Now) -> bool {
        self.until.is_none_or(|until| now.mono < until)
    }
}

pub(crate) struct Shared {
    pub(crate) records: Bounded<CredentialHash, Arc<SealRecord>>,
    pub(crate) absences: Bounded<CredentialHash, Row<()>>,
    pub(crate) claims: Bounded<NodeName, Row<Option<NodeClaim>>>,
    pub(crate) owners: Bounded<Address, Row<Arc<[CredentialHash]>>>,
    ends: RwLock<Ends>,
    thresholds: ArcSwap<Thresholds>,
    door: AtomicU8,
    /// When the contiguous run last grew, ms of the monotonic clock.
    advanced_at: AtomicU64,
    /// The newest checkpoint's timestamp, ms.
    newest: AtomicU64,
    limit: u64,
    max_skew: u64,
}

impl Shared {
    pub(crate) fn new(config: &DirectoryConfig, ends: Ends) -> Self {
        Self {
            records: Bounded::new(config.max_records),
            absences: Bounded::new(config.max_absences),
            claims: Bounded::new(config.max_claims),
            owners: Bounded::new(config.max_claims),
            ends: RwLock::new(ends),
            thresholds: ArcSwap::from_pointee(Thresholds::default()),
            door: AtomicU8::new(0),
            advanced_at: AtomicU64::new(0),
            newest: AtomicU64::new(0),
            limit: millis(config.staleness_limit()),
            max_skew: millis(config.max_clock_skew),
        }
    }

    /// Whether answers may be given now, and if not, why.
    pub(crate) fn check(&self, now: Now) -> Result<(), Unavailable> {
        match self.door() {
            Door::Starting => return Err(Unavailable::Starting),
            Door::WrongChain => return Err(Unavailable::WrongChain),
            Door::Gap => return Err(Unavailable::Gap),
            Door::Open => {}
        }
        let newest = self.newest();
        let behind_ms = newest.0.saturating_sub(now.wall.0);
        if behind_ms > self.max_skew {
            return Err(Unavailable::ClockSkew { behind_ms });
        }
        let for_ms = self.staleness_ms(now);
        if for_ms >= self.limit {
            return Err(Unavailable::Stale { for_ms });
        }
        Ok(())
    }

    /// Whether a unary answer that says it is from `at` is recent enough to count.
    pub(crate) fn recent(&self, at: UnixMillis, now: Now) -> bool {
        self.latest(now).0.saturating_sub(at.0) < self.limit
    }

    /// The age of the view in ms, by the stricter of the two clocks.
    pub(crate) fn staleness_ms(&self, now: Now) -> u64 {
        let idle = millis(now.mono).saturating_sub(self.advanced_at.load(Ordering::Acquire));
        let behind = now.wall.0.saturating_sub(self.newest().0);
        idle.max(behind)
    }

    /// The later of local time and the newest checkpoint's.
    pub(crate) fn latest(&self, now: Now) -> UnixMillis {
        now.wall.max(self.newest())
    }

    pub(crate) fn newest(&self) -> UnixMillis {
        UnixMillis(self.newest.load(Ordering::Acquire))
    }

    pub(crate) fn door(&self) -> Door {
        let door = usize::from(self.door.load(Ordering::Acquire));
        Door::ALL.get(door).copied().unwrap_or(Door::Gap)
    }

    pub(crate) fn thresholds(&self) -> Thresholds {
        **self.thresholds.load()
    }

    pub(crate) fn cached_seal(&self, hash: &CredentialHash, now: Now) -> Cached<Arc<SealRecord>> {
        if let Some(record) = self.records.get(hash) {
            return Cached::Is(record);
        }
        match self.absences.get(hash) {
            Some(row) if row.valid(now) => Cached::Absent,
            _ => Cached::Unknown,
        }
    }

    pub(crate) fn cached_claim(&self, name: &NodeName, now: Now) -> Cached<NodeClaim> {
        match self.claims.get(name) {
            Some(row) if row.valid(now) => row.value.map_or(Cached::Absent, Cached::Is),
            _ => Cached::Unknown,
        }
    }

    pub(crate) fn cached_owner(&self, owner: &Address, now: Now) -> Cached<Arc<[CredentialHash]>> {
        match self.owners.get(owner) {
            Some(row) if !row.valid(now) => Cached::Unknown,
            Some(row) if row.value.is_empty() => Cached::Absent,
            Some(row) => Cached::Is(row.value),
            None => Cached::Unknown,
        }
    }

    /// How the seal was last known to have ended, from the cache or from memory.
    pub(crate) fn last_known_end(&self, hash: &CredentialHash, now: Now) -> Option<End> {
        let latest = self.latest(now);
        if let Some(record) = self.records.get(hash) {
            let how = record.usable(latest, &self.thresholds()).err()?;
            // The instant stays what it was when the end was first seen: graces are counted from it.
            let first = self.ends().get(hash, latest);
            // Who unbonds after a fault ended by the fault, which only memory tells.
            let is_it = |end: &End| end.how == how || how == seal::Unusable::Unbonding;
            let seen = first.filter(|end| end.seq == record.seq && is_it(end));
            return Some(seen.unwrap_or(End {
                seq: record.seq,
                how,
                at: match how {
                    seal::Unusable::Expired => record.expires_at,
                    _ => latest,
                },
            }));
        }
        self.ends().get(hash, latest)
    }

    pub(crate) fn ends(&self) -> RwLockReadGuard<'_, Ends> {
        self.ends.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ends_mut(&self) -> RwLockWriteGuard<'_, Ends> {
        self.ends.write().unwrap_or_else(PoisonError::into_inner)
    }

    // What follows is for the core alone.

    pub(super) fn set_door(&self, door: Door) {
        let place = Door::ALL.iter().position(|known| *known == door);
        let place = place.and_then(|place| u8::try_from(place).ok());
        self.door.store(place.unwrap_or(2), Ordering::Release);
    }

    pub(super) fn set_thresholds(&self, thresholds: Thresholds) {
        self.thresholds.store(Arc::new(thresholds));
    }

    /// The view is as of a checkpoint made at `at`. Called after the contents are in place.
    pub(super) fn advance(&self, at: UnixMillis, now: Now) {
        self.newest.fetch_max(at.0, Ordering::AcqRel);
        self.advanced_at
            .fetch_max(millis(now.mono), Ordering::AcqRel);
    }

    pub(super) fn forget(&self) {
        self.records.clear();
        self.absences.clear();
        self.claims.clear();
        self.owners.clear();
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("door", &self.door())
            .field("newest", &self.newest())
            .finish_non_exhaustive()
    }
}
