//! The two clocks the directory lives by.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use seal::UnixMillis;
use tokio::time::Instant;

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// Since the directory was made, by a clock that nobody sets.
    pub(crate) mono: Duration,
    /// Local time of day, which can be wrong and can jump.
    pub(crate) wall: UnixMillis,
}

/// Where local time comes from; another one in tests.
pub type WallClock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// The machine's time of day. Before 1970 counts as 1970: the directory then finds itself
/// behind the chain and gives no answers.
#[must_use]
pub fn system_time() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[derive(Clone)]
pub(crate) struct Clock {
    base: Instant,
    wall: WallClock,
}

impl Clock {
    pub(crate) fn new(wall: WallClock) -> Self {
        Self {
            base: Instant::now(),
            wall,
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            mono: self.base.elapsed(),
            wall: (self.wall)(),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({:?})", self.now())
    }
}

/// Whole milliseconds, for atomics and messages.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
