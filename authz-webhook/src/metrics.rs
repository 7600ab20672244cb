//! What the webhook counts.

use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use webhook_server::TimeHistogram;

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
    durations: Durations,
}

/// The series of the durations, found once.
#[derive(Debug, Clone)]
struct Durations {
    allow: TimeHistogram,
    deny: TimeHistogram,
    no_opinion: TimeHistogram,
    cancelled: TimeHistogram,
}

impl AuthzMetrics {
    /// Makes and registers them; every known series starts at zero.
    pub fn register(registry: &mut Registry) -> Self {
        let durations =
            Family::<Ended, TimeHistogram, fn() -> TimeHistogram>::new_with_constructor(|| {
                TimeHistogram::new(&BUCKETS)
            });
        let duration = |outcome| durations.get_or_create_owned(&Ended { outcome });
        let metrics = Self {
            reviews: Family::default(),
            durations: Durations {
                allow: duration(Outcome::Allow.label()),
                deny: duration(Outcome::Deny.label()),
                no_opinion: duration(Outcome::NoOpinion.label()),
                cancelled: duration(CANCELLED),
            },
        };
        for verdict in Verdict::series() {
            drop(metrics.reviews.get_or_create(&reason(&verdict)));
        }
        registry.register(
            "k3s_daas_authz_reviews",
            "SubjectAccessReviews by answer (allow, deny, no_opinion) and reason",
            metrics.reviews.clone(),
        );
        registry.register(
            "k3s_daas_authz_review_duration_seconds",
            "Time from the parsed review to its answer",
            durations,
        );
        metrics
    }

    /// Starts the time of one review; it is recorded when the timer is dropped.
    pub(crate) fn start(&self) -> ReviewTimer<'_> {
        ReviewTimer {
            metrics: self,
            started: Instant::now(),
            outcome: None,
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
    /// None where the caller went away.
    outcome: Option<Outcome>,
}

impl ReviewTimer<'_> {
    /// Counts the verdict and gives the time so far.
    pub(crate) fn answered(&mut self, verdict: &Verdict) -> Duration {
        self.outcome = Some(verdict.outcome());
        self.metrics.reviews.get_or_create(&reason(verdict)).inc();
        self.started.elapsed()
    }
}

impl Drop for ReviewTimer<'_> {
    fn drop(&mut self) {
        let Durations {
            allow,
            deny,
            no_opinion,
            cancelled,
        } = &self.metrics.durations;
        let duration = match self.outcome {
            Some(Outcome::Allow) => allow,
            Some(Outcome::Deny) => deny,
            Some(Outcome::NoOpinion) => no_opinion,
            None => cancelled,
        };
        duration.observe(self.started.elapsed());
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
