//! When a controller looks again.
//!
//! Shape:  after failures, with [`doubled`] pauses; by the clock alone, [`spread`].

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// How often a pause is doubled at the most.
const MOST_DOUBLINGS: u32 = 6;

/// The pause after so many looks in a row that are to be repeated: `first`, doubled with each more
/// of them, `last` at the most.
#[must_use]
pub fn doubled(in_a_row: u32, first: Duration, last: Duration) -> Duration {
    let factor = 1_u32 << in_a_row.saturating_sub(1).min(MOST_DOUBLINGS);
    first.saturating_mul(factor).min(last)
}

/// Looks that are due by the clock alone don't come all at once: each `every` up to a fifth sooner,
/// always the same for a name. What is due before that is a deadline, and stays.
#[must_use]
pub fn spread(name: &str, after: Duration, every: Duration) -> Duration {
    if after < every {
        return after;
    }
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let part = u32::try_from(hasher.finish() % 1_000).unwrap_or(0);
    after.saturating_sub(after / 5 * part / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let pause = |in_a_row| doubled(in_a_row, Duration::from_secs(1), Duration::from_mins(1));
        let seconds: Vec<u64> = (0..10).map(|in_a_row| pause(in_a_row).as_secs()).collect();
        assert_eq!(seconds, [1, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause(u32::MAX), Duration::from_mins(1));
        assert_eq!(doubled(7, Duration::MAX, Duration::MAX), Duration::MAX);
    }

    #[test]
    fn looks_by_the_clock_are_spread_and_deadlines_are_not() {
        let every = Duration::from_mins(10);
        let soon = Duration::from_secs(3);
        let names = ["seal-0101010101010101", "seal-0202020202020202", "a", ""];
        let looks = names.map(|name| spread(name, every, every));
        for (name, after) in names.into_iter().zip(looks) {
            assert!(after <= every && after >= every * 4 / 5, "{after:?}");
            assert_eq!(spread(name, every, every), after, "always the same");
            assert_eq!(spread(name, soon, every), soon);
        }
        assert!(looks.windows(2).any(|pair| pair.first() != pair.last()));
    }
}
