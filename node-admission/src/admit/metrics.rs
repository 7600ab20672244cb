//! What is counted of the webhook.
//!
//! Units: seconds. Labels are closed sets:
//!        `k3s_daas_admit_reviews_total{outcome}` (`allowed`, or why not),
//!        `k3s_daas_admit_review_duration_seconds`,
//!        `k3s_daas_admit_addresses`, `k3s_daas_admit_duplicate_addresses`,
//!        `k3s_daas_admit_configuration_repairs_total`.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::Refusal;

/// Counts.
#[derive(Debug, Clone)]
pub struct AdmitMetrics {
    reviews: Family<Outcome, Counter>,
    duration: Histogram,
    addresses: Gauge,
    duplicates: Gauge,
    repairs: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

const ALLOWED: &str = "allowed";

impl Default for AdmitMetrics {
    fn default() -> Self {
        Self::register(&mut Registry::default())
    }
}

impl AdmitMetrics {
    /// Registers the families; every series is there from the start.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            reviews: Family::default(),
            // 25 us to 0.1 s.
            duration: Histogram::new(exponential_buckets(0.000_025, 4.0, 7)),
            addresses: Gauge::default(),
            duplicates: Gauge::default(),
            repairs: Counter::default(),
        };
        for outcome in std::iter::once(ALLOWED).chain(Refusal::LABELS) {
            let _ = metrics.reviews.get_or_create(&Outcome { outcome });
        }
        registry.register(
            "k3s_daas_admit_reviews",
            "Reviews of Nodes by what became of them",
            metrics.reviews.clone(),
        );
        registry.register(
            "k3s_daas_admit_review_duration_seconds",
            "Time to judge a review of a Node",
            metrics.duration.clone(),
        );
        registry.register(
            "k3s_daas_admit_addresses",
            "Addresses that Nodes claim",
            metrics.addresses.clone(),
        );
        registry.register(
            "k3s_daas_admit_duplicate_addresses",
            "Addresses that several Nodes claim",
            metrics.duplicates.clone(),
        );
        registry.register(
            "k3s_daas_admit_configuration_repairs",
            "Times the webhook's configuration was written",
            metrics.repairs.clone(),
        );
        metrics
    }

    pub(super) fn reviewed(&self, verdict: &Result<(), Refusal>, elapsed: Duration) {
        let outcome = verdict.as_ref().err().map_or(ALLOWED, Refusal::label);
        self.reviews.get_or_create(&Outcome { outcome }).inc();
        self.duration.observe(elapsed.as_secs_f64());
    }

    pub(super) fn knows(&self, (addresses, duplicates): (usize, usize)) {
        let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.addresses.set(number(addresses));
        self.duplicates.set(number(duplicates));
    }

    pub(super) fn repaired(&self) {
        self.repairs.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_there_from_the_start_under_their_final_names() {
        let mut registry = Registry::default();
        let metrics = AdmitMetrics::register(&mut registry);
        metrics.reviewed(&Err(Refusal::Unknown), Duration::from_micros(100));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "k3s_daas_admit_reviews_total{outcome=\"allowed\"} 0",
            "k3s_daas_admit_reviews_total{outcome=\"unknown\"} 1",
            "k3s_daas_admit_reviews_total{outcome=\"taken\"} 0",
            "k3s_daas_admit_review_duration_seconds_count 1",
            "k3s_daas_admit_addresses 0",
            "k3s_daas_admit_duplicate_addresses 0",
            "k3s_daas_admit_configuration_repairs_total 0",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
