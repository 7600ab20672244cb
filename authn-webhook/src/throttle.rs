//! Log lines that strangers can cause, so many a second.
//!
//! Every refused review is counted in a metric; a log line each would let anybody
//! with a useless token fill the disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const LINES_PER_SECOND: u64 = 10;

/// Allows [`LINES_PER_SECOND`] lines in each second.
#[derive(Debug)]
pub(crate) struct Throttle {
    start: Instant,
    /// The second in the upper, the lines so far in the lower 32 bits.
    state: AtomicU64,
}

impl Throttle {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            state: AtomicU64::new(0),
        }
    }

    pub(crate) fn allows(&self) -> bool {
        self.allows_at(self.start.elapsed().as_secs())
    }

    fn allows_at(&self, second: u64) -> bool {
        let next = |state: u64| {
            let lines = if state >> 32 == second {
                state & 0xffff_ffff
            } else {
                0
            };
            (lines < LINES_PER_SECOND).then_some((second << 32) | (lines + 1))
        };
        self.state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_so_many_lines_in_each_second() {
        let throttle = Throttle::new();
        for second in [0, 1, 7] {
            let allowed = (0..1_000).filter(|_| throttle.allows_at(second)).count();
            assert_eq!(allowed, 10, "{second}");
        }
    }
}
