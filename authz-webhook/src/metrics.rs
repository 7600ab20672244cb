//! What the webhook counts.

use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::verdict::{Outcome, Verdict};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

/// From a warm directory (tens of microseconds) to the deadline of 2 s.
const BUCKETS: [f64; 13] = [
    0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.005, 0.02, 0.05, 0.2, 0.5, 1.0, 2.0,
];

/// What a review whose caller went away ended as.
const CANCELLED: &str = "cancelled";

/// The webhook's metrics.
#[derive(Debug, Clone)]
pub struct AuthzMetrics {
    reviews: Family<Reason, Counter>,
    durations: Family<Ended, Histogram, fn() -> Histogram>,
}

impl AuthzMetrics {
    /// Makes and registers them; every known series starts at zero.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            reviews: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
        };
        for verdict in Verdict::series() {
            drop(metrics.reviews.get_or_create(&reason(&verdict)));
        }
        for outcome in Outcome::ALL
            .map(Outcome::label)
            .into_iter()
            .chain([CANCELLED])
        {
            drop(metrics.durations.get_or_create(&Ended { outcome }));
        }
        registry.register(
            "k3s_daas_authz_reviews",
            "SubjectAccessReviews by answer (allow, deny, no_opinion) and reason",
            metrics.reviews.clone(),
        );
        registry.register(
            "k3s_daas_authz_review_duration_seconds",
            "Time from the parsed review to its answer",
            metrics.durations.clone(),
        );
        metrics
    }

    /// Starts the time of one review; it is recorded when the timer is dropped.
    pub(crate) fn start(&self) -> ReviewTimer<'_> {
        ReviewTimer {
            metrics: self,
            started: Instant::now(),
            outcome: CANCELLED,
        }
    }
}

fn reason(verdict: &Verdict) -> Reason {
    Reason {
        outcome: verdict.outcome().label(),
        reason: verdict.label(),
    }
}

/// Records on drop, so that a review whose caller went away leaves a sample too.
#[derive(Debug)]
pub(crate) struct ReviewTimer<'a> {
    metrics: &'a AuthzMetrics,
    started: Instant,
    outcome: &'static str,
}

impl ReviewTimer<'_> {
    /// Counts the verdict and gives the time so far.
    pub(crate) fn answered(&mut self, verdict: &Verdict) -> Duration {
        self.outcome = verdict.outcome().label();
        self.metrics.reviews.get_or_create(&reason(verdict)).inc();
        self.started.elapsed()
    }
}

impl Drop for ReviewTimer<'_> {
    fn drop(&mut self) {
        let ended = Ended {
            outcome: self.outcome,
        };
        self.metrics
            .durations
            .get_or_create(&ended)
            .observe(self.started.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Refusal;

    #[test]
    fn series_are_there_from_the_start_under_their_final_names() {
        let mut registry = Registry::default();
        let metrics = AuthzMetrics::register(&mut registry);
        metrics
            .start()
            .answered(&Verdict::Refuse(Refusal::SealUnknown));
        drop(metrics.start());
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "k3s_daas_authz_reviews_total{outcome=\"deny\",reason=\"seal_unknown\"} 1",
            "k3s_daas_authz_reviews_total{outcome=\"deny\",reason=\"slashed\"} 0",
            "k3s_daas_authz_reviews_total{outcome=\"allow\",reason=\"view\"} 0",
            "k3s_daas_authz_reviews_total{outcome=\"no_opinion\",reason=\"not_ours\"} 0",
            "k3s_daas_authz_review_duration_seconds_count{outcome=\"deny\"} 1",
            "k3s_daas_authz_review_duration_seconds_count{outcome=\"allow\"} 0",
            "k3s_daas_authz_review_duration_seconds_count{outcome=\"cancelled\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
