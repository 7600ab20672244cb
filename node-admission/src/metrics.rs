//! What is counted of nodes.
//!
//! Units: seconds. Labels are closed sets:
//!        `k3s_daas_nodes_joins_total{outcome}`,
//!        `k3s_daas_nodes_join_duration_seconds`,
//!        `k3s_daas_nodes_made_total`,
//!        `k3s_daas_nodes_registrations_total{outcome}`,
//!        `k3s_daas_nodes_heartbeats_total{outcome}`,
//!        `k3s_daas_nodes_view_age_seconds`,
//!        and those of nodes' lives (`lifecycle::metrics`).

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::join::JoinError;
use crate::lifecycle::LifeMetrics;
use crate::records::Kept;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// Counts.
#[derive(Debug, Clone)]
pub struct NodeMetrics {
    joins: Family<OutcomeLabel, Counter>,
    join_duration: Histogram,
    made: Counter,
    registrations: Family<OutcomeLabel, Counter>,
    heartbeats: Family<OutcomeLabel, Counter>,
    view_age: Gauge<f64, AtomicU64>,
    pub(crate) life: LifeMetrics,
}

impl Default for NodeMetrics {
    fn default() -> Self {
        Self {
            joins: Family::default(),
            // 1 ms (it is there) to 16 s (the attempt's end).
            join_duration: Histogram::new(exponential_buckets(0.001, 2.0, 15)),
            made: Counter::default(),
            registrations: Family::default(),
            heartbeats: Family::default(),
            view_age: Gauge::default(),
            life: LifeMetrics::default(),
        }
    }
}

impl NodeMetrics {
    /// Registers them; every known series starts at zero.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            life: LifeMetrics::register(registry),
            ..Self::default()
        };
        for outcome in JoinError::LABELS.into_iter().chain(["ok"]) {
            let label = OutcomeLabel { outcome };
            drop(metrics.joins.get_or_create(&label));
            drop(metrics.registrations.get_or_create(&label));
        }
        let kept = Kept::ALL.map(Kept::label);
        for outcome in JoinError::LABELS.into_iter().chain(kept) {
            drop(metrics.heartbeats.get_or_create(&OutcomeLabel { outcome }));
        }
        metrics.view_age(None);
        registry.register(
            "k3s_daas_nodes_joins",
            "Join credentials whose node was asked for, by outcome",
            metrics.joins.clone(),
        );
        registry.register(
            "k3s_daas_nodes_join_duration_seconds",
            "Time of an attempt to let a node join, its place in line included",
            metrics.join_duration.clone(),
        );
        registry.register(
            "k3s_daas_nodes_made",
            "Nodes made for agents that asked to join",
            metrics.made.clone(),
        );
        registry.register(
            "k3s_daas_nodes_registrations",
            "Registrations of machines by outcome",
            metrics.registrations.clone(),
        );
        registry.register(
            "k3s_daas_nodes_heartbeats",
            "Heartbeats of workers by outcome",
            metrics.heartbeats.clone(),
        );
        registry.register(
            "k3s_daas_nodes_view_age_seconds",
            "How old what is known of the nodes may be; infinite before the first list",
            metrics.view_age.clone(),
        );
        metrics
    }

    pub(crate) fn joined(&self, outcome: &'static str) {
        self.joins.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    pub(crate) fn attempt(&self, took: Duration) {
        self.join_duration.observe(took.as_secs_f64());
    }

    pub(crate) fn made_node(&self) {
        self.made.inc();
    }

    pub(crate) fn registered(&self, outcome: &'static str) {
        let label = OutcomeLabel { outcome };
        self.registrations.get_or_create(&label).inc();
    }

    pub(crate) fn heartbeat(&self, outcome: &'static str) {
        let label = OutcomeLabel { outcome };
        self.heartbeats.get_or_create(&label).inc();
    }

    pub(crate) fn view_age(&self, age: Option<Duration>) {
        let age = age.map_or(f64::INFINITY, |age| age.as_secs_f64());
        self.view_age.set(age);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_as_documented() {
        let mut registry = Registry::default();
        let metrics = NodeMetrics::register(&mut registry);
        metrics.joined("taken");
        metrics.attempt(Duration::from_millis(5));
        metrics.made_node();
        metrics.view_age(Some(Duration::from_secs(3)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "k3s_daas_nodes_joins_total{outcome=\"taken\"} 1",
            "k3s_daas_nodes_joins_total{outcome=\"ok\"} 0",
            "k3s_daas_nodes_join_duration_seconds_count 1",
            "k3s_daas_nodes_made_total 1",
            "k3s_daas_nodes_registrations_total{outcome=\"ok\"} 0",
            "k3s_daas_nodes_heartbeats_total{outcome=\"skipped\"} 0",
            "k3s_daas_nodes_view_age_seconds 3.0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
