//! What the directory runs on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::clock::{WallClock, system_time};

/// Settings of the directory, with the defaults of the design.
#[derive(Clone)]
pub struct DirectoryConfig {
    /// How old the view may be. Default 15 s: covers a few missed checkpoints and one
    /// reconnect; longer only widens the window in which a revoked seal still works.
    pub max_staleness: Duration,
    /// Added to `max_staleness` by an operator who prefers service to certainty while the chain
    /// stands still. Default 0: off. Anything else is logged as a warning and shown as a gauge.
    pub grace: Duration,
    /// How far local time may be behind the newest checkpoint before it counts as wrong.
    /// Default 10 s: more than honest clocks differ; more would hide a lagging node.
    pub max_clock_skew: Duration,
    /// Records kept. Default 200,000, twice the seals the design wants to serve.
    pub max_records: usize,
    /// Hashes kept that have no record. Default 100,000: a flood of random tokens evicts
    /// other random tokens only.
    pub max_absences: usize,
    /// How long an absence is believed. Default 30 s. The stream ends it earlier.
    pub absence_ttl: Duration,
    /// Node claims kept, and owners' lists kept (each). Default 50,000.
    pub max_claims: usize,
    /// Seals that listeners can have pinned with `watch`. Default 100,000.
    pub max_watched: usize,
    /// One read of the chain may take this long. Default 1 s: a review's deadline is 2 s.
    pub read_timeout: Duration,
    /// A look-up that has to read waits this long in all. Default 1.5 s, within a review's 2 s.
    pub lookup_timeout: Duration,
    /// Reads in flight at once. Default 8; each carries up to `read_batch` keys.
    pub read_concurrency: usize,
    /// Keys in one read. Default 49: with the pool 50 objects, which later nodes still take.
    pub read_batch: usize,
    /// Distinct keys that may wait for a read. Default 4,096; beyond that: overloaded.
    pub read_queue: usize,
    /// Look-ups that may wait for reads in all. Default 8,192.
    pub max_waiters: usize,
    /// Times a key is read when the node answers from before what is known. Default 3.
    pub read_tries: u32,
    /// Pause between those. Default 100 ms, about half a checkpoint.
    pub retry_pause: Duration,
    /// Failed reads in a row that open the circuit. Default 5.
    pub breaker_failures: u32,
    /// How long the circuit first stays open; doubles up to 16 times that. Default 500 ms.
    pub breaker_pause: Duration,
    /// A stream without a frame for this long is broken. Default 5 s: an idle chain makes a
    /// checkpoint every 0.2 s, a slow one was seen to take 1.2 s.
    pub frame_deadline: Duration,
    /// How often the pool is read to see whether the stream tells all. Default 5 s, so that a node
    /// whose frames lack events is found out within `max_staleness`.
    pub audit_interval: Duration,
    /// Opening a stream or asking who the node is may take this long. Default 3 s.
    pub connect_timeout: Duration,
    /// Missed checkpoints that are fetched one by one; more than that, and everything is
    /// cleared and read anew. Default 3,000, some ten minutes of chain.
    pub max_gap: u64,
    /// Frames held while missed checkpoints are fetched. Default 1,024; when it is full the
    /// stream is opened again, with what was fetched kept.
    pub max_buffered_frames: usize,
    /// Missed checkpoints fetched at once. Default 8.
    pub gap_concurrency: usize,
    /// Changes a listener may be behind before it is told that it missed some. Default 8,192.
    pub changes_buffer: usize,
    /// Ends remembered. Default 200,000 (about 25 MB of file at most); the oldest go first.
    pub max_ends: usize,
    /// Where ends are kept. None keeps them in memory only.
    pub state_dir: Option<PathBuf>,
    /// Local time; another clock in tests.
    pub wall_clock: WallClock,
}

impl Default for DirectoryConfig {
    fn default() -> Self {
        Self {
            max_staleness: Duration::from_secs(15),
            grace: Duration::ZERO,
            max_clock_skew: Duration::from_secs(10),
            max_records: 200_000,
            max_absences: 100_000,
            absence_ttl: Duration::from_secs(30),
            max_claims: 50_000,
            max_watched: 100_000,
            read_timeout: Duration::from_secs(1),
            lookup_timeout: Duration::from_millis(1_500),
            read_concurrency: 8,
            read_batch: 49,
            read_queue: 4_096,
            max_waiters: 8_192,
            read_tries: 3,
            retry_pause: Duration::from_millis(100),
            breaker_failures: 5,
            breaker_pause: Duration::from_millis(500),
            frame_deadline: Duration::from_secs(5),
            audit_interval: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(3),
            max_gap: 3_000,
            max_buffered_frames: 1_024,
            gap_concurrency: 8,
            changes_buffer: 8_192,
            max_ends: 200_000,
            state_dir: None,
            wall_clock: Arc::new(system_time),
        }
    }
}

impl DirectoryConfig {
    /// How old the view may be, grace included.
    pub(crate) fn staleness_limit(&self) -> Duration {
        self.max_staleness.saturating_add(self.grace)
    }
}

impl std::fmt::Debug for DirectoryConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirectoryConfig")
            .field("max_staleness", &self.max_staleness)
            .field("grace", &self.grace)
            .field("max_records", &self.max_records)
            .field("state_dir", &self.state_dir)
            .finish_non_exhaustive()
    }
}
