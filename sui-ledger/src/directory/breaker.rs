//! Stops asking a chain that keeps failing, for a moment that grows.

use std::time::Duration;

/// The pause grows up to this many times its first length.
const LONGEST: u32 = 16;

#[derive(Debug)]
pub(crate) struct Breaker {
    limit: u32,
    first_pause: Duration,
    failures: u32,
    pause: Duration,
    /// Nothing is let through before; then one, as a probe.
    open_until: Option<Duration>,
}

impl Breaker {
    pub(crate) fn new(limit: u32, pause: Duration) -> Self {
        Self {
            limit: limit.max(1),
            first_pause: pause,
            failures: 0,
            pause,
            open_until: None,
        }
    }

    /// Whether a read may be tried. After the pause one caller may, per pause.
    pub(crate) fn allows(&mut self, now: Duration) -> bool {
        match self.open_until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                self.open_until = Some(now.saturating_add(self.pause));
                true
            }
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
        self.pause = self.first_pause;
        self.open_until = None;
    }

    pub(crate) fn failed(&mut self, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        if self.failures < self.limit {
            return;
        }
        if self.open_until.is_some() {
            let longest = self.first_pause.saturating_mul(LONGEST);
            self.pause = self.pause.saturating_mul(2).min(longest);
        }
        self.open_until = Some(now.saturating_add(self.pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(100);

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn open() -> Breaker {
        let mut breaker = Breaker::new(2, PAUSE);
        breaker.failed(at(0));
        assert!(breaker.allows(at(0)));
        breaker.failed(at(0));
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_and_not_before() {
        let mut breaker = open();
        assert!(!breaker.allows(at(99)));
    }

    #[test]
    fn a_success_between_starts_the_count_anew() {
        let mut breaker = Breaker::new(2, PAUSE);
        breaker.failed(at(0));
        breaker.succeeded();
        breaker.failed(at(0));
        assert!(breaker.allows(at(0)));
    }

    #[test]
    fn lets_one_probe_through_after_the_pause() {
        let mut breaker = open();
        assert!(breaker.allows(at(100)));
        assert!(!breaker.allows(at(101)));
        breaker.succeeded();
        assert!(breaker.allows(at(102)));
    }

    #[test]
    fn the_pause_doubles_up_to_its_bound() {
        let mut breaker = open();
        let mut now = at(0);
        for _ in 0..10 {
            now += at(10_000);
            assert!(breaker.allows(now));
            breaker.failed(now);
        }
        let longest = at(100 * u64::from(LONGEST));
        assert!(!breaker.allows(now + longest.saturating_sub(at(1))));
        assert!(breaker.allows(now + longest));
    }
}
