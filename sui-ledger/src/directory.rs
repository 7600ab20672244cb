//! The seal directory: what is the record for this hash, this node, this owner, now?
//!
//! Shape:  one [`Directory`] in a process answers every webhook. A stream of checkpoints keeps a
//!         bounded cache current; what is not cached is read from the chain, once for all who
//!         ask. [`SealDirectory`] is what the askers see.
//! Units:  times of day are [`UnixMillis`]; the staleness bound is `max_staleness` plus `grace`.
//! Errors: an answer is the truth as of at most the staleness bound ago, or [`Unavailable`] with
//!         the reason. It is never a guess: what to do without an answer is the asker's decision.
//! Source: `docs/specification.md`, "The seal directory"; each is in [`core`] with its test.
//! Not here: what a record permits. See `seal::SealRecord::usable`.
//!
//! ```text
//!   webhooks ── seal() claim() owner_seals() ──► Shared: caches + age      (no lock but a shard's)
//!                    │ miss                         ▲
//!                    ▼                              │ only under Core's mutex
//!                 reader ── BatchGetObjects ──►   Core: the rules  ──► changes, ends on disk
//!                                                   ▲
//!                 follow ── SubscribeCheckpoints ───┘
//! ```

mod bounded;
mod breaker;
pub mod chain;
mod change;
mod clock;
mod config;
mod core;
mod ends;
mod ends_file;
mod follow;
mod metrics;
mod reader;
mod shared;
mod start;
mod state;
mod tasks;
mod unavailable;
mod watch;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use seal::{Address, CredentialHash, NodeClaim, NodeName, SealRecord, Thresholds, UnixMillis};
use tokio::sync::broadcast;

use self::chain::Key;
pub use self::chain::{Chain, NodeChain};
pub use self::change::{Change, End, Why};
use self::clock::Now;
pub use self::clock::{WallClock, system_time};
pub use self::config::DirectoryConfig;
use self::core::Found;
use self::metrics::Lookup;
use self::shared::{Cached, Shared};
pub use self::start::{Running, StartError};
use self::state::State;
pub use self::unavailable::Unavailable;
pub use self::watch::Watch;

/// What the webhooks ask.
pub trait SealDirectory: Send + Sync + 'static {
    /// The record of a hash; `None` where the chain has none.
    fn seal(
        &self,
        hash: CredentialHash,
    ) -> impl Future<Output = Result<Option<Arc<SealRecord>>, Unavailable>> + Send;

    /// Who holds a node's name; `None` where nobody does, a voided claim included.
    fn claim(
        &self,
        name: &NodeName,
    ) -> impl Future<Output = Result<Option<NodeClaim>, Unavailable>> + Send;

    /// The hashes of an owner's seals that are not retired.
    fn owner_seals(
        &self,
        owner: Address,
    ) -> impl Future<Output = Result<Arc<[CredentialHash]>, Unavailable>> + Send;

    /// The time to judge expiry by: the later of local time and the newest checkpoint's.
    fn now(&self) -> UnixMillis;

    /// The least stakes of the tiers, as the pool has them now.
    fn thresholds(&self) -> Thresholds;

    /// How a seal was last known to have ended, if it was; holds when the chain can't be asked.
    fn last_known_end(&self, hash: &CredentialHash) -> Option<End>;
}

/// The directory. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct Directory {
    state: Arc<State>,
}

/// How the directory stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryStatus {
    /// Why no answers are given, if none are.
    pub unavailable: Option<Unavailable>,
    /// The last checkpoint of the contiguous run; none before the first frame.
    pub last_checkpoint: Option<u64>,
    /// When the newest checkpoint was made.
    pub newest_timestamp: UnixMillis,
    /// The age of the view, by the stricter of the monotonic clock and the time of day.
    pub staleness: Duration,
    /// The number of the last event of the pool on the stream.
    pub stream_seq: u64,
    /// The highest number of the pool seen, in reads too.
    pub highest_seq: u64,
    /// Records cached.
    pub records: usize,
    /// Absences cached.
    pub absences: usize,
    /// Seals pinned by listeners.
    pub watched: usize,
    /// Ends remembered.
    pub ends: usize,
    /// Reads have failed in a row, and none is tried for a moment.
    pub circuit_open: bool,
    /// What the operator added to the staleness bound.
    pub grace: Duration,
}

impl DirectoryStatus {
    /// Whether answers are given.
    #[must_use]
    pub const fn fresh(&self) -> bool {
        self.unavailable.is_none()
    }
}

impl Directory {
    /// Everything that happens to seals from now on.
    ///
    /// After `Lagged` the listener has missed some and must look at everything it holds again.
    /// What it holds for long it should pin with [`Directory::watch`], so that it also hears of
    /// what happened while the stream was broken.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.state.changes.subscribe()
    }

    /// Pins a seal until the watch is dropped: its expiry is reported even when it has left the
    /// cache, and after a loss of the view it is read again and a difference reported.
    ///
    /// A seal that has ended before is told as well. So subscribe before watching, and no end
    /// falls between.
    pub fn watch(&self, hash: CredentialHash) -> Result<Watch, Unavailable> {
        Watch::new(self.state.clone(), hash)
    }

    /// How things stand.
    #[must_use]
    pub fn status(&self) -> DirectoryStatus {
        let state = &self.state;
        let now = state.clock.now();
        let (position, highest_seq, watched) =
            state.look(|core| (core.position(), core.fence(), core.watched()));
        let (last_checkpoint, stream_seq) = position;
        DirectoryStatus {
            unavailable: state.shared.check(now).err(),
            last_checkpoint,
            newest_timestamp: state.shared.newest(),
            staleness: Duration::from_millis(state.shared.staleness_ms(now)),
            stream_seq,
            highest_seq,
            records: state.shared.records.len(),
            absences: state.shared.absences.len(),
            watched,
            ends: state.shared.ends().len(),
            circuit_open: state.breaker(|breaker, _| breaker.is_open()),
            grace: state.config.grace,
        }
    }

    /// Waits until the stream has shown the pool's event `seq`, for one's own transaction: its
    /// effects name the event's number. Look-ups then know of it.
    pub async fn wait_for(&self, seq: u64, within: Duration) -> Result<(), Unavailable> {
        self.wait_until(within, |position| position.live && position.seq >= seq)
            .await
    }

    /// Waits until the stream has come to a checkpoint.
    pub async fn wait_for_checkpoint(
        &self,
        number: u64,
        within: Duration,
    ) -> Result<(), Unavailable> {
        self.wait_until(within, |position| {
            position.live && position.checkpoint >= Some(number)
        })
        .await
    }

    /// Waits until the first answers can be given.
    pub async fn wait_until_live(&self, within: Duration) -> Result<(), Unavailable> {
        self.wait_until(within, |position| position.live).await
    }

    async fn wait_until(
        &self,
        within: Duration,
        mut reached: impl FnMut(&state::Position) -> bool,
    ) -> Result<(), Unavailable> {
        let mut position = self.state.position.subscribe();
        let waited = tokio::time::timeout(within, position.wait_for(|now| reached(now))).await;
        if let Ok(Ok(_)) = waited {
            return Ok(());
        }
        self.state.shared.check(self.state.clock.now())?;
        Err(Unavailable::ReadTimedOut)
    }

    /// A look-up: closed door, cache, chain, in this order; counted by how it ended.
    async fn look_up<T>(
        &self,
        cached: impl Fn(&Shared, Now) -> Cached<T> + Send,
        key: impl FnOnce() -> Key + Send,
        found: impl FnOnce(Found) -> Option<Cached<T>> + Send,
        newer: impl FnOnce(T, T) -> T + Send,
    ) -> Result<Option<T>, Unavailable>
    where
        T: Send,
    {
        let state = &self.state;
        let now = state.clock.now();
        if let Err(why) = state.shared.check(now) {
            state.metrics.unavailable(&why);
            return Err(why);
        }
        match cached(&state.shared, now) {
            Cached::Is(value) => {
                state.metrics.lookup(Lookup::Hit);
                return Ok(Some(value));
            }
            Cached::Absent => {
                state.metrics.lookup(Lookup::Absent);
                return Ok(None);
            }
            Cached::Unknown => {}
        }
        // Boxed: a hit should not carry the size of a miss.
        let read = match Box::pin(state.read_through(key())).await {
            Ok(read) => found(read).ok_or(Unavailable::Undecodable),
            Err(why) => Err(why),
        };
        // While this task waited for its turn, the stream may have brought news.
        let cached = cached(&state.shared, state.clock.now());
        match read {
            Ok(read) => {
                let answer = match (read, cached) {
                    (Cached::Is(read), Cached::Is(cached)) => Some(newer(read, cached)),
                    (_, Cached::Is(value)) | (Cached::Is(value), _) => Some(value),
                    _ => None,
                };
                let kind = match answer {
                    Some(_) => Lookup::Miss,
                    None => Lookup::Absent,
                };
                state.metrics.lookup(kind);
                Ok(answer)
            }
            Err(why) => {
                state.metrics.unavailable(&why);
                Err(why)
            }
        }
    }
}

impl SealDirectory for Directory {
    async fn seal(&self, hash: CredentialHash) -> Result<Option<Arc<SealRecord>>, Unavailable> {
        self.look_up(
            |shared, now| shared.cached_seal(&hash, now),
            || Key::Seal(hash),
            |found| match found {
                Found::Seal(record) => Some(record.map_or(Cached::Absent, Cached::Is)),
                Found::Node(_) | Found::Owner(_) => None,
            },
            |read, cached| if cached.seq < read.seq { read } else { cached },
        )
        .await
    }

    async fn claim(&self, name: &NodeName) -> Result<Option<NodeClaim>, Unavailable> {
        self.look_up(
            |shared, now| shared.cached_claim(name, now),
            || Key::Node(name.clone()),
            |found| match found {
                Found::Node(claim) => Some(claim.map_or(Cached::Absent, Cached::Is)),
                Found::Seal(_) | Found::Owner(_) => None,
            },
            |_, cached| cached,
        )
        .await
    }

    async fn owner_seals(&self, owner: Address) -> Result<Arc<[CredentialHash]>, Unavailable> {
        let hashes = self
            .look_up(
                |shared, now| shared.cached_owner(&owner, now),
                || Key::Owner(owner),
                |found| match found {
                    Found::Owner(hashes) => Some(Cached::Is(hashes)),
                    Found::Seal(_) | Found::Node(_) => None,
                },
                |_, cached| cached,
            )
            .await?;
        Ok(hashes.unwrap_or_default())
    }

    fn now(&self) -> UnixMillis {
        self.state.shared.latest(self.state.clock.now())
    }

    fn thresholds(&self) -> Thresholds {
        self.state.shared.thresholds()
    }

    fn last_known_end(&self, hash: &CredentialHash) -> Option<End> {
        let state = &self.state;
        state.shared.last_known_end(hash, state.clock.now())
    }
}
