//! What is counted of tenants' namespaces.
//!
//! Units: seconds. Labels are closed sets:
//!        `k3s_daas_tenancy_namespaces{state}`,
//!        `k3s_daas_tenancy_reconciles_total{outcome}`,
//!        `k3s_daas_tenancy_reconcile_duration_seconds`,
//!        `k3s_daas_tenancy_leader`,
//!        `k3s_daas_tenancy_writes_total{thing}`,
//!        `k3s_daas_tenancy_steps_total{step}`,
//!        `k3s_daas_tenancy_workloads_total{change}`,
//!        `k3s_daas_tenancy_foreign_total`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ThingLabel {
    thing: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabel {
    step: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChangeLabel {
    change: &'static str,
}

/// How many namespaces are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Census {
    pub(super) preparing: i64,
    pub(super) active: i64,
    pub(super) ended: i64,
    pub(super) stopped: i64,
    pub(super) terminating: i64,
    pub(super) foreign: i64,
}

/// What is written to the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thing {
    Namespace,
    Quota,
    Limits,
    Policy,
    Binding,
    Workload,
    Event,
}

impl Thing {
    const ALL: [Self; 7] = [
        Self::Namespace,
        Self::Quota,
        Self::Limits,
        Self::Policy,
        Self::Binding,
        Self::Workload,
        Self::Event,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Quota => "quota",
            Self::Limits => "limit_range",
            Self::Policy => "network_policy",
            Self::Binding => "role_binding",
            Self::Workload => "workload",
            Self::Event => "event",
        }
    }
}

const OUTCOMES: [&str; 9] = [
    "ok",
    "foreign",
    "terminating",
    "missing",
    "too_many",
    "suffix",
    "not_completed",
    "late",
    "api",
];
/// Steps of a namespace's life.
const STEPS: [&str; 6] = ["made", "ended", "stopped", "deleted", "back", "tier"];
const CHANGES: [&str; 2] = ["stopped", "restored"];

/// The metrics. Clones share them.
#[derive(Debug, Clone)]
pub struct TenantMetrics {
    namespaces: Family<StateLabel, Gauge>,
    reconciles: Family<OutcomeLabel, Counter>,
    duration: Histogram,
    leader: Gauge,
    writes: Family<ThingLabel, Counter>,
    steps: Family<StepLabel, Counter>,
    workloads: Family<ChangeLabel, Counter>,
    foreign: Counter,
}

impl Default for TenantMetrics {
    fn default() -> Self {
        Self {
            namespaces: Family::default(),
            reconciles: Family::default(),
            // 1 ms (nothing to do) to 32 s (many workloads to stop).
            duration: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            leader: Gauge::default(),
            writes: Family::default(),
            steps: Family::default(),
            workloads: Family::default(),
            foreign: Counter::default(),
        }
    }
}

impl TenantMetrics {
    /// Registers them; every known series starts at zero.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        metrics.census(Census::default());
        for outcome in OUTCOMES {
            drop(metrics.reconciles.get_or_create(&OutcomeLabel { outcome }));
        }
        for thing in Thing::ALL.map(Thing::label) {
            drop(metrics.writes.get_or_create(&ThingLabel { thing }));
        }
        for step in STEPS {
            drop(metrics.steps.get_or_create(&StepLabel { step }));
        }
        for change in CHANGES {
            drop(metrics.workloads.get_or_create(&ChangeLabel { change }));
        }
        registry.register(
            "k3s_daas_tenancy_namespaces",
            "Tenants' namespaces by state",
            metrics.namespaces.clone(),
        );
        registry.register(
            "k3s_daas_tenancy_reconciles",
            "Looks at a tenant's namespace by outcome",
            metrics.reconciles.clone(),
        );
        registry.register(
            "k3s_daas_tenancy_reconcile_duration_seconds",
            "Time of a look at a tenant's namespace",
            metrics.duration.clone(),
        );
        registry.register(
            "k3s_daas_tenancy_leader",
            "1 while this process keeps the namespaces",
            metrics.leader.clone(),
        );
        registry.register(
            "k3s_daas_tenancy_writes",
            "Writes to the API server by what was written",
            metrics.writes.clone(),
        );
        registry.register(
            "k3s_daas_tenancy_steps",
            "Steps in the life of a namespace",
            metrics.steps.clone(),
        );
        registry.register(
            "k3s_daas_tenancy_workloads",
            "Workloads stopped and restored",
            metrics.workloads.clone(),
        );
        registry.register(
            "k3s_daas_tenancy_foreign",
            "Namespaces found with a tenant's name or mark that are no tenant's",
            metrics.foreign.clone(),
        );
        metrics
    }

    pub(super) fn census(&self, census: Census) {
        for (state, count) in [
            ("preparing", census.preparing),
            ("active", census.active),
            ("ended", census.ended),
            ("stopped", census.stopped),
            ("terminating", census.terminating),
            ("foreign", census.foreign),
        ] {
            self.namespaces
                .get_or_create(&StateLabel { state })
                .set(count);
        }
    }

    pub(super) fn reconciled(&self, outcome: &'static str, seconds: f64) {
        self.reconciles
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
        self.duration.observe(seconds);
    }

    pub(super) fn leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    pub(super) fn wrote(&self, thing: Thing) {
        let thing = thing.label();
        self.writes.get_or_create(&ThingLabel { thing }).inc();
    }

    /// All writes so far.
    pub(super) fn writes(&self) -> u64 {
        let of = |thing: Thing| {
            let thing = thing.label();
            self.writes.get_or_create(&ThingLabel { thing }).get()
        };
        Thing::ALL.into_iter().map(of).sum()
    }

    pub(super) fn step(&self, step: &'static str) {
        self.steps.get_or_create(&StepLabel { step }).inc();
    }

    pub(super) fn workloads(&self, change: &'static str, count: u64) {
        self.workloads
            .get_or_create(&ChangeLabel { change })
            .inc_by(count);
    }

    pub(super) fn foreign(&self) {
        self.foreign.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_as_documented() {
        let mut registry = Registry::default();
        let metrics = TenantMetrics::register(&mut registry);
        metrics.wrote(Thing::Policy);
        metrics.reconciled("ok", 0.01);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "k3s_daas_tenancy_namespaces{state=\"active\"} 0",
            "k3s_daas_tenancy_reconciles_total{outcome=\"ok\"} 1",
            "k3s_daas_tenancy_reconcile_duration_seconds_count 1",
            "k3s_daas_tenancy_leader 0",
            "k3s_daas_tenancy_writes_total{thing=\"network_policy\"} 1",
            "k3s_daas_tenancy_steps_total{step=\"deleted\"} 0",
            "k3s_daas_tenancy_workloads_total{change=\"restored\"} 0",
            "k3s_daas_tenancy_foreign_total 0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(metrics.writes(), 1);
    }
}
