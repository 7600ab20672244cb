//! What the directory's handles and tasks share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, broadcast, mpsc, watch};

use super::breaker::Breaker;
use super::chain::Key;
use super::change::Change;
use super::clock::{Clock, Now};
use super::config::DirectoryConfig;
use super::core::{Core, Loss};
use super::metrics::DirectoryMetrics;
use super::reader::{Flight, Job};
use super::shared::Shared;

/// How far the stream has come; for those who wait for their own transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) live: bool,
    pub(crate) checkpoint: Option<u64>,
    pub(crate) seq: u64,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: DirectoryConfig,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Clock,
    pub(crate) metrics: DirectoryMetrics,
    core: Mutex<Core>,
    pub(crate) changes: broadcast::Sender<Change>,
    pub(crate) position: watch::Sender<Position>,
    /// Reads under way, so that misses of one key share one.
    pub(crate) flights: Mutex<HashMap<Key, Flight>>,
    pub(crate) jobs: mpsc::Sender<Job>,
    pub(crate) waiters: Semaphore,
    pub(crate) breaker: Mutex<Breaker>,
    /// The view was lost, or the first frame came: the pool must be read.
    pub(crate) wake_sync: Notify,
    /// Watched seals may have to be read.
    pub(crate) wake_reread: Notify,
    /// Ends are to be written down.
    pub(crate) wake_ends: Notify,
}

impl State {
    pub(crate) fn new(
        config: DirectoryConfig,
        shared: Arc<Shared>,
        metrics: DirectoryMetrics,
        jobs: mpsc::Sender<Job>,
    ) -> Self {
        metrics.grace.set(config.grace.as_secs_f64());
        Self {
            core: Mutex::new(Core::new(&config, shared.clone())),
            shared,
            clock: Clock::new(config.wall_clock.clone()),
            metrics,
            changes: broadcast::Sender::new(config.changes_buffer.max(1)),
            position: watch::Sender::new(Position::default()),
            flights: Mutex::new(HashMap::new()),
            jobs,
            waiters: Semaphore::new(config.max_waiters.min(Semaphore::MAX_PERMITS)),
            breaker: Mutex::new(Breaker::new(config.breaker_failures, config.breaker_pause)),
            wake_sync: Notify::new(),
            wake_reread: Notify::new(),
            wake_ends: Notify::new(),
            config,
        }
    }

    /// Changes the core and passes on what came of it, in order. Never held across an await.
    pub(crate) fn with_core<T>(&self, change: impl FnOnce(&mut Core, Now) -> T) -> T {
        let mut core = self.lock_core();
        let was_live = core.is_live();
        let result = change(&mut core, self.clock.now());
        for loss in core.take_losses() {
            self.metrics.rebuild(loss);
            tracing::warn!(
                reason = loss.label(),
                "view of the chain lost, reading anew"
            );
        }
        for change in core.take_changes() {
            self.metrics.change(change.why);
            // Nobody listening is fine.
            let _ = self.changes.send(change);
        }
        let live = core.is_live();
        let (checkpoint, seq) = core.position();
        self.position.send_if_modified(|position| {
            let new = Position {
                live,
                checkpoint,
                seq,
            };
            let modified = *position != new;
            *position = new;
            modified
        });
        drop(core);
        if !live {
            self.wake_sync.notify_one();
        }
        if live && !was_live {
            self.wake_reread.notify_one();
        }
        if self.shared.ends().has_work() {
            self.wake_ends.notify_one();
        }
        result
    }

    /// Looks at the core without changing it.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Core) -> T) -> T {
        look(&self.lock_core())
    }

    fn lock_core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(|poisoned| {
            // A panic left the state half changed: nothing of it is to be believed.
            self.core.clear_poison();
            let mut core = poisoned.into_inner();
            core.lose(Loss::Poisoned);
            core
        })
    }

    pub(crate) fn breaker<T>(&self, ask: impl FnOnce(&mut Breaker, Duration) -> T) -> T {
        let now = self.clock.now().mono;
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        ask(&mut breaker, now)
    }
}
