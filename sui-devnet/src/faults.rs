//! Switches that make the ledger misbehave as real nodes and networks do, for tests.
//!
//! Everything is off at the start. Each switch acts at once and stays until it is set back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::node::Subscribers;

/// How a stream is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// Status OK, as when a subscriber is too slow.
    Clean,
    /// Status UNKNOWN, as when the node is stopped.
    Error,
}

/// The switches of one ledger. Clones are the same switches.
#[derive(Debug, Clone)]
pub struct FaultSwitches {
    switches: Arc<Switches>,
    subscribers: Arc<Subscribers>,
}

#[derive(Debug, Default)]
pub(crate) struct Switches {
    lag: AtomicU64,
    /// The checkpoint that reads are held at, plus one; 0 for none.
    held: AtomicU64,
    stalled: AtomicBool,
    silent: AtomicBool,
    read_delay_ms: AtomicU64,
    reads_fail: AtomicBool,
    writes_refused: AtomicBool,
    answers_lost: AtomicBool,
}

impl FaultSwitches {
    pub(crate) fn new(switches: Arc<Switches>, subscribers: Arc<Subscribers>) -> Self {
        Self {
            switches,
            subscribers,
        }
    }

    /// Unary reads answer from this many checkpoints ago, as a lagging node does. 0: the newest.
    pub fn lag_reads(&self, checkpoints: u64) {
        self.switches.lag.store(checkpoints, Ordering::SeqCst);
    }

    /// Unary reads answer from this checkpoint, whatever comes after; `None` lets them go.
    pub fn hold_reads_at(&self, checkpoint: Option<u64>) {
        let held = checkpoint.map_or(0, |checkpoint| checkpoint.saturating_add(1));
        self.switches.held.store(held, Ordering::SeqCst);
    }

    /// No checkpoints and no executions, as when the validators are down: reads answer, streams
    /// stay open and silent, transactions wait and may be executed long after their sender was
    /// told UNAVAILABLE.
    pub fn stall(&self, on: bool) {
        self.switches.stalled.store(on, Ordering::SeqCst);
    }

    /// Streams stay open, but frames are not sent and never will be: a gap.
    pub fn silence_streams(&self, on: bool) {
        self.switches.silent.store(on, Ordering::SeqCst);
    }

    /// Ends all streams that are open now; new ones work.
    pub fn drop_streams(&self, end: StreamEnd) {
        self.subscribers.drop_all(end);
    }

    /// Unary reads take this much longer.
    pub fn slow_reads(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.switches.read_delay_ms.store(millis, Ordering::SeqCst);
    }

    /// Unary reads are answered with UNAVAILABLE.
    pub fn fail_reads(&self, on: bool) {
        self.switches.reads_fail.store(on, Ordering::SeqCst);
    }

    /// Transactions are answered with UNAVAILABLE and not executed.
    pub fn refuse_writes(&self, on: bool) {
        self.switches.writes_refused.store(on, Ordering::SeqCst);
    }

    /// Transactions are answered with UNAVAILABLE and executed all the same.
    pub fn lose_answers(&self, on: bool) {
        self.switches.answers_lost.store(on, Ordering::SeqCst);
    }
}

impl Switches {
    /// The checkpoint that reads see, given the newest.
    pub(crate) fn visible(&self, height: u64, lowest: u64) -> u64 {
        let lagging = height.saturating_sub(self.lag.load(Ordering::SeqCst));
        let held = match self.held.load(Ordering::SeqCst) {
            0 => height,
            held => held - 1,
        };
        lagging.min(held).max(lowest.min(height))
    }

    pub(crate) fn stalled(&self) -> bool {
        self.stalled.load(Ordering::SeqCst)
    }

    pub(crate) fn silent(&self) -> bool {
        self.silent.load(Ordering::SeqCst)
    }

    pub(crate) fn read_delay(&self) -> Duration {
        Duration::from_millis(self.read_delay_ms.load(Ordering::SeqCst))
    }

    pub(crate) fn reads_fail(&self) -> bool {
        self.reads_fail.load(Ordering::SeqCst)
    }

    pub(crate) fn writes_refused(&self) -> bool {
        self.writes_refused.load(Ordering::SeqCst)
    }

    pub(crate) fn answers_lost(&self) -> bool {
        self.answers_lost.load(Ordering::SeqCst)
    }
}
