//! Pauses that grow while nobody answers.

use std::time::Duration;

/// Doubles from the first pause to the longest; half of each is left to chance, so that machines
/// that lost the same cluster do not come back as one.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Pauses within these bounds.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            failures: 0,
        }
    }

    /// The pause after one more failure; `chance` is from 0 to 1.
    pub fn next(&mut self, chance: f64) -> Duration {
        let factor = 2u32.saturating_pow(self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        let whole = self.first.saturating_mul(factor).min(self.longest);
        whole.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }

    /// Somebody answered.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_begin_anew() {
        let seconds = Duration::from_secs;
        let mut backoff = Backoff::new(seconds(1), seconds(60));
        let pauses: Vec<_> = (0..8).map(|_| backoff.next(1.0)).collect();
        let expected = [1, 2, 4, 8, 16, 32, 60, 60].map(seconds);
        assert_eq!(pauses, expected);
        backoff.reset();
        assert_eq!(backoff.next(0.0), Duration::from_millis(500));
        for _ in 0..1_000 {
            assert!(backoff.next(1.0) <= seconds(60));
        }
    }
}
