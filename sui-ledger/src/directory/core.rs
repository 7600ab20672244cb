//! The follower's rules, as a state machine without clock, task or socket.
//!
//! Shape:  `frame` takes checkpoints, `offer_*` takes what was read, `expire` takes the time.
//!         Everything that changes a cache goes through here, under one mutex that is never
//!         held across an await; look-ups read [`Shared`] and never take it.
//! Units:  `fence` is P, the highest pool number seen; `stream_seq` the last event of the
//!         contiguous run; `last` is A, the last checkpoint of that run.
//! Errors: whatever is not certain is refused: the caller tries again or says *unavailable*.
//! Source: `docs/specification.md`, "The seal directory".
//!
//! Why a "yes" is never older than the staleness bound:
//! - a record is only stored as of a pool at least as new as P, compared under the same mutex;
//! - from then on every event of the contiguous run that concerns it is applied to it, and a
//!   number that is skipped, or an event that can't be read, closes the door and empties all;
//! - the door only opens again when the pool was read from a node that had reached the last
//!   checkpoint seen before the read began;
//! - the run's age is checked at every look-up, by two clocks;
//! - what a pool read announces must have come on the stream soon after: a node that leaves
//!   events out of its frames is found out by the next read of the pool.

mod learn;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use seal::{CredentialHash, Thresholds, UnixMillis};

use super::chain::PoolRead;
use super::change::{Change, Why};
use super::clock::Now;
use super::config::DirectoryConfig;
use super::shared::{Door, Shared};
use crate::frame::{ContractEvent, Frame};
pub(crate) use learn::{FillRefused, Found};
use watch::Watched;

/// What became of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It was the next one.
    Advanced,
    /// It was known already: no change, and no progress.
    Old,
    /// These come before it; it is handed back.
    Missing {
        from: u64,
        to: u64,
        frame: Box<Frame>,
    },
}

/// What the view is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No pool read yet.
    Starting,
    /// Something was missed; the caches are empty.
    Lost,
    /// Contiguous.
    Live,
}

/// Why the view was lost. Metric label and log field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Loss {
    /// The pool's numbers skipped.
    SeqGap,
    /// An event of the pool could not be read.
    Undecodable,
    /// Missed checkpoints can't be had, or are too many.
    History,
    /// The pool had moved on, and the stream never said so: its frames lack events.
    Withheld,
    /// A bug of ours: a panic while the state was being changed.
    Poisoned,
}

impl Loss {
    pub(crate) const ALL: [Self; 5] = [
        Self::SeqGap,
        Self::Undecodable,
        Self::History,
        Self::Withheld,
        Self::Poisoned,
    ];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::SeqGap => "seq_gap",
            Self::Undecodable => "undecodable_event",
            Self::History => "missed_checkpoints",
            Self::Withheld => "events_withheld",
            Self::Poisoned => "poisoned",
        }
    }
}

/// Checkpoints that the stream may be behind a pool read before what the read announced counts as
/// withheld: about 5 s of chain. An object can be read a little before its node's height says so.
const LATE: u64 = 20;

/// Events that a pool read announced and the stream has not brought yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owed {
    /// The pool's number that was read.
    seq: u64,
    /// The checkpoint by which the stream must have reached it.
    by: u64,
}

/// The right to offer one pool read: it must come from a node at least this far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SyncTicket {
    pub(crate) min_height: u64,
    losses: u64,
}

/// Why a pool read does not open the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SyncRefused {
    /// More was lost since the ticket was given.
    Superseded,
    /// The node has not reached the checkpoint the ticket asks for, or not P.
    Behind,
    /// The answer is older than the staleness bound.
    Stale,
}

impl SyncRefused {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::Behind => "behind",
            Self::Stale => "stale",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Core {
    shared: Arc<Shared>,
    max_gap: u64,
    max_watched: usize,
    absence_ttl: std::time::Duration,
    phase: Phase,
    wrong_chain: bool,
    /// P: the highest pool number seen, in frames and in reads.
    fence: u64,
    /// The number of the run's last event; means something while live.
    stream_seq: u64,
    /// A: the last checkpoint of the contiguous run.
    last: Option<u64>,
    /// What the stream has to bring; none while it has brought all that was read.
    owed: Option<Owed>,
    /// How often the view was lost, so that a read begun before a loss can't mend it.
    losses: u64,
    /// When each active record that is cached or watched expires.
    expiries: BTreeSet<(UnixMillis, CredentialHash)>,
    /// The latest expiry that was told.
    expired_until: UnixMillis,
    watched: HashMap<CredentialHash, Watched>,
    changes: Vec<Change>,
    lost: Vec<Loss>,
}

impl Core {
    pub(crate) fn new(config: &DirectoryConfig, shared: Arc<Shared>) -> Self {
        Self {
            shared,
            max_gap: config.max_gap,
            max_watched: config.max_watched,
            absence_ttl: config.absence_ttl,
            phase: Phase::Starting,
            wrong_chain: false,
            fence: 0,
            stream_seq: 0,
            last: None,
            owed: None,
            losses: 0,
            expiries: BTreeSet::new(),
            expired_until: UnixMillis(0),
            watched: HashMap::new(),
            changes: Vec::new(),
            lost: Vec::new(),
        }
    }

    /// Takes a checkpoint, from the stream or fetched.
    pub(crate) fn frame(&mut self, frame: Frame, now: Now) -> Progress {
        if let Some(last) = self.last {
            if frame.sequence <= last {
                return Progress::Old;
            }
            let missing = frame.sequence - last - 1;
            if missing > 0 {
                // While the view is lost anyway, what was missed is covered by the read to come.
                if self.phase == Phase::Live && missing <= self.max_gap {
                    return Progress::Missing {
                        from: last + 1,
                        to: frame.sequence - 1,
                        frame: Box::new(frame),
                    };
                }
                self.lose(Loss::History);
            }
        }
        let Frame {
            sequence,
            timestamp,
            events,
        } = frame;
        self.apply(events, now);
        self.last = Some(sequence);
        self.collect(sequence);
        // After the contents, so that whoever sees the new age sees them too.
        self.shared.advance(timestamp, now);
        Progress::Advanced
    }

    /// Everything known becomes suspect: nothing is answered until the pool has been read by
    /// a ticket that is given from now on.
    pub(crate) fn lose(&mut self, loss: Loss) {
        self.losses += 1;
        self.owed = None;
        if self.phase == Phase::Live {
            self.phase = Phase::Lost;
            self.lost.push(loss);
        }
        self.set_door();
        self.shared.forget();
        self.expiries
            .retain(|(_, hash)| self.watched.contains_key(hash));
        for watched in self.watched.values_mut() {
            watched.reread = true;
        }
    }

    /// What the pool must be read with, if it must be read. Nothing before the first frame.
    pub(crate) fn sync_ticket(&self) -> Option<SyncTicket> {
        if self.phase == Phase::Live || self.wrong_chain {
            return None;
        }
        Some(SyncTicket {
            min_height: self.last?,
            losses: self.losses,
        })
    }

    /// Opens the door with a pool that covers everything up to now.
    pub(crate) fn offer_sync(
        &mut self,
        ticket: SyncTicket,
        pool: &PoolRead,
        now: Now,
    ) -> Result<(), SyncRefused> {
        if ticket.losses != self.losses || self.phase == Phase::Live {
            return Err(SyncRefused::Superseded);
        }
        if pool.height < ticket.min_height || pool.seq < self.fence {
            return Err(SyncRefused::Behind);
        }
        if !self.shared.recent(pool.at, now) {
            return Err(SyncRefused::Stale);
        }
        self.fence = pool.seq;
        self.stream_seq = pool.seq;
        self.phase = Phase::Live;
        self.take_thresholds(pool.thresholds, now);
        self.set_door();
        Ok(())
    }

    /// Takes a pool that was read for no other reason than to see whether the stream tells all.
    pub(crate) fn offer_audit(&mut self, pool: &PoolRead, now: Now) {
        let counts = self.phase == Phase::Live && !self.wrong_chain;
        if counts && pool.seq >= self.fence && self.shared.recent(pool.at, now) {
            self.fence = pool.seq;
            self.expect(pool);
        }
    }

    /// The stream owes what the pool announced. The oldest debt counts until it is paid.
    fn expect(&mut self, pool: &PoolRead) {
        if pool.seq > self.stream_seq && self.owed.is_none() {
            let by = pool.height.saturating_add(LATE);
            self.owed = Some(Owed { seq: pool.seq, by });
        }
    }

    fn collect(&mut self, sequence: u64) {
        let Some(owed) = self.owed else { return };
        if self.stream_seq >= owed.seq {
            self.owed = None;
        } else if sequence >= owed.by && self.phase == Phase::Live {
            self.lose(Loss::Withheld);
        }
    }

    /// The node follows another chain (or the right one again): nothing of it counts.
    pub(crate) fn set_wrong_chain(&mut self, wrong: bool) {
        self.wrong_chain = wrong;
        self.set_door();
    }

    pub(crate) fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// A and the last event's number, once there is a view.
    pub(crate) fn position(&self) -> (Option<u64>, u64) {
        (self.last, self.stream_seq)
    }

    pub(crate) fn fence(&self) -> u64 {
        self.fence
    }

    pub(crate) fn watched(&self) -> usize {
        self.watched.len()
    }

    /// What listeners are to be told, in order.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    pub(crate) fn take_losses(&mut self) -> Vec<Loss> {
        std::mem::take(&mut self.lost)
    }

    fn set_door(&self) {
        self.shared.set_door(match self.phase {
            _ if self.wrong_chain => Door::WrongChain,
            Phase::Starting => Door::Starting,
            Phase::Lost => Door::Gap,
            Phase::Live => Door::Open,
        });
    }

    /// First raises P, then takes the events in the order of their numbers.
    fn apply(&mut self, mut events: Vec<ContractEvent>, now: Now) {
        for event in &events {
            match event.seq() {
                Some(seq) => self.fence = self.fence.max(seq),
                // Its number is unknown, and so is what it changed. Losing the view here also
                // voids a pool read that is under way and may be from before it.
                None => self.lose(Loss::Undecodable),
            }
        }
        events.sort_by_key(ContractEvent::seq);
        for event in events {
            let Some(seq) = event.seq() else { continue };
            if self.phase == Phase::Live && seq > self.stream_seq {
                if seq == self.stream_seq.saturating_add(1) {
                    self.stream_seq = seq;
                } else {
                    self.lose(Loss::SeqGap);
                }
            }
            self.take_event(event, now);
        }
    }

    fn take_event(&mut self, event: ContractEvent, now: Now) {
        match event {
            ContractEvent::Seal(event) => {
                // Mint, rotation and withdrawal change the owner's list; reading it again is
                // cheaper than being clever about its order.
                self.shared.owners.remove(&event.record.owner);
                let why = Why::Event(event.cause);
                self.take_record(event.hash, Arc::new(event.record), why, now);
            }
            ContractEvent::Node(event) => self.take_claim(&event.name, event.claim, event.seq),
            ContractEvent::Config(event) => self.take_thresholds(event.config.thresholds(), now),
            ContractEvent::Undecodable(_) => {}
        }
    }

    fn take_thresholds(&mut self, thresholds: Thresholds, now: Now) {
        let old = self.shared.thresholds();
        if old != thresholds {
            self.shared.set_thresholds(thresholds);
            self.compare_tiers(&old, &thresholds, now);
        }
    }
}
