//! A histogram of times that any number of threads write at once.
//!
//! The one of `prometheus-client` is behind a lock that every request of every thread
//! takes. Here a sample is two atomic additions.
//!
//! Units:  seconds to the outside, nanoseconds inside: 584 years of them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// A histogram; clones are the same one.
#[derive(Debug, Clone)]
pub struct TimeHistogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Upper bounds in seconds, rising.
    bounds: &'static [f64],
    /// One a bound, and one for what is above all.
    counts: Box<[AtomicU64]>,
    nanos: AtomicU64,
}

impl TimeHistogram {
    /// With these upper bounds in seconds, rising.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        Self(Arc::new(Inner {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            nanos: AtomicU64::new(0),
        }))
    }

    /// Counts a sample.
    pub fn observe(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = self.0.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.0.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl TypedMetric for TimeHistogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for TimeHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let bounds = self.0.bounds.iter().copied().chain([f64::MAX]);
        let counts = self
            .0
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        // Of what was read, so that the count fits the buckets while samples come in.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(self.0.nanos.load(Ordering::Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::histogram::Histogram;
    use prometheus_client::registry::Registry;

    use super::*;

    const BOUNDS: [f64; 3] = [0.001, 0.01, 1.0];

    #[test]
    fn reads_as_the_librarys_own() {
        let (ours, theirs) = (TimeHistogram::new(&BOUNDS), Histogram::new(BOUNDS));
        for micros in [
            0, 999, 1_000, 1_001, 10_000, 500_000, 1_000_000, 1_000_001, 60_000_000,
        ] {
            let time = Duration::from_micros(micros);
            ours.observe(time);
            theirs.observe(time.as_secs_f64());
        }
        let text = |register: &dyn Fn(&mut Registry)| {
            let mut registry = Registry::default();
            register(&mut registry);
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        assert_eq!(
            text(&|registry| registry.register("a_seconds", "b", ours.clone())),
            text(&|registry| registry.register("a_seconds", "b", theirs.clone())),
        );
    }
}
