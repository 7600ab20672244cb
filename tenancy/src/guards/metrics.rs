//! What the keeper counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::probe::Outcome;
use super::{GuardSettings, all};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    guard: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

/// The guards' metrics.
#[derive(Debug, Clone)]
pub struct GuardMetrics {
    in_place: Gauge,
    repairs: Family<Named, Counter>,
    probes: Family<Ended, Counter>,
}

impl GuardMetrics {
    /// Makes and registers them; every known series starts at zero.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            in_place: Gauge::default(),
            repairs: Family::default(),
            probes: Family::default(),
        };
        for guard in all(&GuardSettings::default()) {
            drop(metrics.repairs.get_or_create(&Named { guard: guard.name }));
        }
        for outcome in Outcome::ALL {
            let outcome = outcome.label();
            drop(metrics.probes.get_or_create(&Ended { outcome }));
        }
        registry.register(
            "k3s_daas_guards_in_place",
            "1 while every guard inside the API server was seen in force; 0: no seal counts above viewer",
            metrics.in_place.clone(),
        );
        registry.register(
            "k3s_daas_guard_repairs",
            "Guards that were missing or changed and were put right; the first installation counts",
            metrics.repairs.clone(),
        );
        registry.register(
            "k3s_daas_guard_probes",
            "Probes of guards by what they met",
            metrics.probes.clone(),
        );
        metrics
    }

    pub(super) fn in_place(&self, in_place: bool) {
        self.in_place.set(i64::from(in_place));
    }

    pub(super) fn repaired(&self, guard: &'static str) {
        self.repairs.get_or_create(&Named { guard }).inc();
    }

    pub(super) fn probed(&self, outcome: Outcome) {
        let outcome = outcome.label();
        self.probes.get_or_create(&Ended { outcome }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_there_from_the_start_under_their_final_names() {
        let mut registry = Registry::default();
        let metrics = GuardMetrics::register(&mut registry);
        metrics.in_place(true);
        metrics.repaired("k3s-daas-nodes");
        metrics.probed(Outcome::Refused);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "k3s_daas_guards_in_place 1",
            "k3s_daas_guard_repairs_total{guard=\"k3s-daas-nodes\"} 1",
            "k3s_daas_guard_repairs_total{guard=\"k3s-daas-namespaces\"} 0",
            "k3s_daas_guard_probes_total{outcome=\"refused\"} 1",
            "k3s_daas_guard_probes_total{outcome=\"let_through\"} 0",
            "k3s_daas_guard_probes_total{outcome=\"refused_otherwise\"} 0",
            "k3s_daas_guard_probes_total{outcome=\"unanswered\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
