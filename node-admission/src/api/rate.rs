//! Requests of each seal in a minute.
//!
//! Shape:  a bucket for each seal that holds a minute's requests and fills up evenly over one
//!         (GCRA). Only seals that the chain knows get a bucket, so each costs its owner a stake.
//! Units:  after a minute without requests a bucket is full: whoever is idle for longer loses
//!         nothing by losing its bucket.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use seal::ObjectId;
use tokio::time::Instant;

/// As many as the directory keeps records.
const MAX_SEALS: u64 = 200_000;
/// Longer than a bucket takes to fill.
const IDLE: Duration = Duration::from_mins(2);

type Bucket = RateLimiter<NotKeyed, InMemoryState, Monotonic, NoOpMiddleware<Duration>>;

/// The clock of the runtime, which tests can stop.
#[derive(Debug, Clone, Copy)]
struct Monotonic(Instant);

impl Clock for Monotonic {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The limits of all seals.
#[derive(Debug)]
pub(super) struct RateLimits {
    current: ArcSwap<Buckets>,
    clock: Monotonic,
}

#[derive(Debug)]
struct Buckets {
    per_minute: NonZeroU32,
    by_seal: Cache<ObjectId, Arc<Bucket>>,
}

impl RateLimits {
    pub(super) fn new(per_minute: NonZeroU32) -> Self {
        Self {
            current: ArcSwap::from_pointee(Buckets::new(per_minute)),
            clock: Monotonic(Instant::now()),
        }
    }

    /// Counts by this limit from now on. A limit that stays the same forgets nothing.
    pub(super) fn set(&self, per_minute: NonZeroU32) {
        if self.current.load().per_minute != per_minute {
            self.current.store(Arc::new(Buckets::new(per_minute)));
        }
    }

    /// Takes one request out of the seal's bucket, or says how long to wait for it.
    pub(super) fn take(&self, seal: ObjectId) -> Result<(), Duration> {
        let buckets = self.current.load();
        let bucket = buckets.by_seal.get_with(seal, || {
            let quota = Quota::per_minute(buckets.per_minute);
            Arc::new(RateLimiter::direct_with_clock(quota, self.clock))
        });
        bucket.check().map_err(|not_until| {
            Reference::duration_since(&not_until.earliest_possible(), self.clock.now()).into()
        })
    }
}

impl Buckets {
    fn new(per_minute: NonZeroU32) -> Self {
        Self {
            per_minute,
            by_seal: Cache::builder()
                .max_capacity(MAX_SEALS)
                // The newest always gets a place: without one it would have no limit.
                .eviction_policy(EvictionPolicy::lru())
                .time_to_idle(IDLE)
                .build(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(number: u8) -> ObjectId {
        ObjectId::from_bytes([number; 32])
    }

    fn limit(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    fn taken(limits: &RateLimits, tries: u32) -> u32 {
        (0..tries)
            .map(|_| u32::from(limits.take(seal(1)).is_ok()))
            .sum()
    }

    #[tokio::test(start_paused = true)]
    async fn a_minutes_requests_may_come_at_once_and_then_one_by_one() {
        let limits = RateLimits::new(limit(100));
        assert_eq!(taken(&limits, 150), 100);
        assert_eq!(limits.take(seal(1)), Err(Duration::from_millis(600)));
        assert_eq!(limits.take(seal(2)), Ok(()), "each seal has its own");
        tokio::time::advance(Duration::from_millis(599)).await;
        assert_eq!(limits.take(seal(1)), Err(Duration::from_millis(1)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(taken(&limits, 10), 1);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(taken(&limits, 150), 50);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(
            taken(&limits, 150),
            100,
            "idle time saves up one minute's, no more"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_limit_counts_at_once_and_the_same_one_changes_nothing() {
        let limits = RateLimits::new(limit(3));
        assert_eq!(taken(&limits, 10), 3);
        limits.set(limit(3));
        assert_eq!(taken(&limits, 10), 0);
        limits.set(limit(5));
        assert_eq!(taken(&limits, 10), 5);
        limits.set(limit(1));
        assert_eq!(taken(&limits, 10), 1);
    }
}
