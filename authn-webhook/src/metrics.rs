//! What authentication counts.

use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use sui_ledger::directory::Unavailable;
use webhook_server::TimeHistogram;

use crate::decide::{Refusal, Verdict};
use crate::home_namespace::Attempt;

/// Seconds: from a look-up in memory to the deadline of a review.
const BUCKETS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 0.5, 1.0,
    2.0,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reviewed {
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// Accepted, and worth what it is.
const USABLE: Reviewed = Reviewed {
    outcome: "accepted",
    reason: "usable",
};

/// A machine that may join.
const JOINS: Reviewed = Reviewed {
    outcome: "accepted",
    reason: "node",
};

/// Accepted at viewer: the guards inside the API server are not in place.
const HELD: Reviewed = Reviewed {
    outcome: "accepted",
    reason: "held_at_viewer",
};

/// A dropped review: its client went away, or its deadline passed.
const CANCELLED: Reviewed = Reviewed {
    outcome: "cancelled",
    reason: "cancelled",
};

impl Reviewed {
    const fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Accept(holder) if holder.held => HELD,
            Verdict::Accept(_) => USABLE,
            Verdict::Join(_) => JOINS,
            Verdict::Refuse(refusal) => Self {
                outcome: "refused",
                reason: refusal.label(),
            },
            Verdict::Undecided(cause) => Self {
                outcome: "undecided",
                reason: cause.label(),
            },
        }
    }
}

/// The metrics of TokenReviews.
#[derive(Debug, Clone)]
pub struct AuthnMetrics {
    reviews: Family<Reviewed, Counter>,
    /// The series of `reviews` that most reviews go to, found once.
    usable: Counter,
    held: Counter,
    durations: Durations,
    home_namespaces: Family<Outcome, Counter>,
}

/// The series of the durations, found once.
#[derive(Debug, Clone)]
struct Durations {
    accepted: TimeHistogram,
    refused: TimeHistogram,
    undecided: TimeHistogram,
    cancelled: TimeHistogram,
}

impl AuthnMetrics {
    /// Makes and registers them; every known series starts at zero.
    pub fn register(registry: &mut Registry) -> Self {
        let reviews = Family::<Reviewed, Counter>::default();
        let durations =
            Family::<Outcome, TimeHistogram, fn() -> TimeHistogram>::new_with_constructor(|| {
                TimeHistogram::new(&BUCKETS)
            });
        let duration = |outcome| durations.get_or_create_owned(&Outcome { outcome });
        let metrics = Self {
            usable: reviews.get_or_create_owned(&USABLE),
            held: reviews.get_or_create_owned(&HELD),
            reviews,
            durations: Durations {
                accepted: duration("accepted"),
                refused: duration("refused"),
                undecided: duration("undecided"),
                cancelled: duration("cancelled"),
            },
            home_namespaces: Family::default(),
        };
        let refused = Refusal::ALL.into_iter().map(Verdict::Refuse);
        let undecided = Unavailable::ALL.into_iter().map(Verdict::Undecided);
        for verdict in refused.chain(undecided) {
            let _ = metrics.reviews.get_or_create(&Reviewed::of(&verdict));
        }
        let _ = metrics.reviews.get_or_create(&JOINS);
        let _ = metrics.reviews.get_or_create(&CANCELLED);
        for attempt in Attempt::ALL {
            let outcome = attempt.label();
            let _ = metrics.home_namespaces.get_or_create(&Outcome { outcome });
        }
        registry.register(
            "k3s_daas_authn_reviews",
            "TokenReviews by outcome and reason",
            metrics.reviews.clone(),
        );
        registry.register(
            "k3s_daas_authn_review_duration_seconds",
            "From the parsed TokenReview to its answer, in seconds, by outcome",
            durations,
        );
        registry.register(
            "k3s_daas_authn_home_namespaces",
            "Attempts to make a holder's first namespace, by outcome",
            metrics.home_namespaces.clone(),
        );
        metrics
    }

    /// Starts the clock of one review.
    pub(crate) fn start(&self) -> Timed<'_> {
        Timed {
            metrics: self,
            started: Instant::now(),
            ended: Ended::Cancelled,
        }
    }

    pub(crate) fn home_namespace(&self, attempt: Attempt) {
        let outcome = attempt.label();
        self.home_namespaces
            .get_or_create(&Outcome { outcome })
            .inc();
    }
}

/// Counts and times a review when dropped, so that no early end loses it.
#[derive(Debug)]
pub(crate) struct Timed<'a> {
    metrics: &'a AuthnMetrics,
    started: Instant,
    ended: Ended,
}

/// How a review ended.
#[derive(Debug, Clone, Copy)]
enum Ended {
    Cancelled,
    Usable,
    Held,
    Joins,
    Refused(Reviewed),
    Undecided(Reviewed),
}

impl Timed<'_> {
    pub(crate) fn decided(&mut self, verdict: &Verdict) {
        self.ended = match verdict {
            Verdict::Accept(holder) if holder.held => Ended::Held,
            Verdict::Accept(_) => Ended::Usable,
            Verdict::Join(_) => Ended::Joins,
            Verdict::Refuse(_) => Ended::Refused(Reviewed::of(verdict)),
            Verdict::Undecided(_) => Ended::Undecided(Reviewed::of(verdict)),
        };
    }

    pub(crate) fn elapsed(&self) -> std::time::Duration {
        self.started.elapsed()
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        let Durations {
            accepted,
            refused,
            undecided,
            cancelled,
        } = &self.metrics.durations;
        let count = |labels: &Reviewed| self.metrics.reviews.get_or_create(labels).inc();
        let (_, duration) = match &self.ended {
            Ended::Usable => (self.metrics.usable.inc(), accepted),
            Ended::Held => (self.metrics.held.inc(), accepted),
            Ended::Joins => (count(&JOINS), accepted),
            Ended::Refused(labels) => (count(labels), refused),
            Ended::Undecided(labels) => (count(labels), undecided),
            Ended::Cancelled => (count(&CANCELLED), cancelled),
        };
        duration.observe(self.started.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    fn rendered(registry: &Registry) -> String {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn known_series_are_there_from_the_start_under_their_final_names() {
        let mut registry = Registry::default();
        AuthnMetrics::register(&mut registry);
        let text = rendered(&registry);
        for line in [
            "k3s_daas_authn_reviews_total{outcome=\"accepted\",reason=\"usable\"} 0",
            "k3s_daas_authn_reviews_total{outcome=\"accepted\",reason=\"held_at_viewer\"} 0",
            "k3s_daas_authn_reviews_total{outcome=\"refused\",reason=\"slashed\"} 0",
            "k3s_daas_authn_reviews_total{outcome=\"refused\",reason=\"not_a_credential\"} 0",
            "k3s_daas_authn_reviews_total{outcome=\"undecided\",reason=\"stale\"} 0",
            "k3s_daas_authn_reviews_total{outcome=\"cancelled\",reason=\"cancelled\"} 0",
            "k3s_daas_authn_review_duration_seconds_count{outcome=\"refused\"} 0",
            "k3s_daas_authn_home_namespaces_total{outcome=\"failed\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let series = text
            .lines()
            .filter(|line| line.starts_with("k3s_daas_authn_reviews_total"));
        assert_eq!(
            series.count(),
            3 + Refusal::ALL.len() + Unavailable::ALL.len() + 1
        );
    }

    #[test]
    fn a_dropped_review_counts_as_cancelled() {
        let mut registry = Registry::default();
        let metrics = AuthnMetrics::register(&mut registry);
        drop(metrics.start());
        let text = rendered(&registry);
        assert!(
            text.contains("{outcome=\"cancelled\",reason=\"cancelled\"} 1"),
            "{text}"
        );
    }
}
