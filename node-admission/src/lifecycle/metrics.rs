//! What is counted of nodes' lives.
//!
//! Units: seconds. Labels are closed sets:
//!        `k3s_daas_nodes_sealed{state}`,
//!        `k3s_daas_nodes_leader`,
//!        `k3s_daas_nodes_reconciles_total{outcome}`,
//!        `k3s_daas_nodes_reconcile_duration_seconds`,
//!        `k3s_daas_nodes_reaction_duration_seconds`,
//!        `k3s_daas_nodes_steps_total{step}`,
//!        `k3s_daas_nodes_evictions_total{outcome}`,
//!        `k3s_daas_nodes_writes_total{thing}`.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::join::JoinError;
use crate::sealed_node::NodeState;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabel {
    step: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ThingLabel {
    thing: &'static str,
}

/// What is written to the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thing {
    SealedNode,
    Node,
    Pod,
    Event,
}

impl Thing {
    const ALL: [Self; 4] = [Self::SealedNode, Self::Node, Self::Pod, Self::Event];

    const fn label(self) -> &'static str {
        match self {
            Self::SealedNode => "sealed_node",
            Self::Node => "node",
            Self::Pod => "pod",
            Self::Event => "event",
        }
    }
}

/// What came of asking for an eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Eviction {
    Evicted,
    /// A disruption budget does not allow it now.
    Blocked,
    Failed,
}

impl Eviction {
    const ALL: [Self; 3] = [Self::Evicted, Self::Blocked, Self::Failed];

    const fn label(self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
        }
    }
}

/// A step in a node's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// The Node was made again.
    Made,
    Draining,
    Cut,
    /// The Node was deleted.
    Deleted,
    /// Usable again.
    Back,
    /// Found without its SealedNode.
    Found,
}

impl Taken {
    const ALL: [Self; 6] = [
        Self::Made,
        Self::Draining,
        Self::Cut,
        Self::Deleted,
        Self::Back,
        Self::Found,
    ];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Draining => "draining",
            Self::Cut => "cut",
            Self::Deleted => "deleted",
            Self::Back => "back",
            Self::Found => "found",
        }
    }
}

/// Nodes by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Census {
    pending: i64,
    active: i64,
    draining: i64,
    cut: i64,
}

impl Census {
    pub(super) const fn add(&mut self, state: NodeState) {
        let count = match state {
            NodeState::Pending => &mut self.pending,
            NodeState::Active => &mut self.active,
            NodeState::Draining => &mut self.draining,
            NodeState::Cut => &mut self.cut,
        };
        *count = count.saturating_add(1);
    }
}

/// The metrics. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct LifeMetrics {
    sealed: Family<StateLabel, Gauge>,
    leader: Gauge,
    reconciles: Family<OutcomeLabel, Counter>,
    duration: Histogram,
    reaction: Histogram,
    steps: Family<StepLabel, Counter>,
    evictions: Family<OutcomeLabel, Counter>,
    writes: Family<ThingLabel, Counter>,
}

impl Default for LifeMetrics {
    fn default() -> Self {
        // 1 ms (nothing to do) to 32 s (many pods, a slow API server).
        let histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        Self {
            sealed: Family::default(),
            leader: Gauge::default(),
            reconciles: Family::default(),
            duration: histogram(),
            reaction: histogram(),
            steps: Family::default(),
            evictions: Family::default(),
            writes: Family::default(),
        }
    }
}

impl LifeMetrics {
    /// Registers them; every known series starts at zero.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        metrics.census(Census::default());
        for outcome in JoinError::LABELS.into_iter().chain(["ok"]) {
            drop(metrics.reconciles.get_or_create(&OutcomeLabel { outcome }));
        }
        for step in Taken::ALL.map(Taken::label) {
            drop(metrics.steps.get_or_create(&StepLabel { step }));
        }
        for outcome in Eviction::ALL.map(Eviction::label) {
            drop(metrics.evictions.get_or_create(&OutcomeLabel { outcome }));
        }
        for thing in Thing::ALL.map(Thing::label) {
            drop(metrics.writes.get_or_create(&ThingLabel { thing }));
        }
        registry.register(
            "k3s_daas_nodes_sealed",
            "Nodes of seals by state, as the leader counts them",
            metrics.sealed.clone(),
        );
        registry.register(
            "k3s_daas_nodes_leader",
            "1 while this process keeps the nodes' lives",
            metrics.leader.clone(),
        );
        registry.register(
            "k3s_daas_nodes_reconciles",
            "Looks at a node by outcome",
            metrics.reconciles.clone(),
        );
        registry.register(
            "k3s_daas_nodes_reconcile_duration_seconds",
            "Time of a look at a node",
            metrics.duration.clone(),
        );
        registry.register(
            "k3s_daas_nodes_reaction_duration_seconds",
            "Time from the directory's news of a node's seal to the end of the look it caused",
            metrics.reaction.clone(),
        );
        registry.register(
            "k3s_daas_nodes_steps",
            "Steps in the life of a node",
            metrics.steps.clone(),
        );
        registry.register(
            "k3s_daas_nodes_evictions",
            "Evictions asked for by outcome",
            metrics.evictions.clone(),
        );
        registry.register(
            "k3s_daas_nodes_writes",
            "Writes to the API server by what was written",
            metrics.writes.clone(),
        );
        metrics
    }

    pub(super) fn census(&self, census: Census) {
        for (state, count) in [
            ("pending", census.pending),
            ("active", census.active),
            ("draining", census.draining),
            ("cut", census.cut),
        ] {
            self.sealed.get_or_create(&StateLabel { state }).set(count);
        }
    }

    pub(super) fn leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    pub(super) fn reconciled(&self, outcome: &'static str, took: Duration) {
        let label = OutcomeLabel { outcome };
        self.reconciles.get_or_create(&label).inc();
        self.duration.observe(took.as_secs_f64());
    }

    pub(super) fn reacted(&self, took: Duration) {
        self.reaction.observe(took.as_secs_f64());
    }

    pub(super) fn step(&self, taken: Taken) {
        let step = taken.label();
        self.steps.get_or_create(&StepLabel { step }).inc();
    }

    pub(super) fn eviction(&self, eviction: Eviction) {
        let outcome = eviction.label();
        self.evictions
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
    }

    pub(super) fn wrote(&self, thing: Thing) {
        let thing = thing.label();
        self.writes.get_or_create(&ThingLabel { thing }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_as_documented() {
        let mut registry = Registry::default();
        let metrics = LifeMetrics::register(&mut registry);
        metrics.reconciled("ok", Duration::from_millis(3));
        metrics.reacted(Duration::from_millis(3));
        metrics.step(Taken::Cut);
        metrics.eviction(Eviction::Blocked);
        metrics.wrote(Thing::Pod);
        let mut census = Census::default();
        census.add(NodeState::Draining);
        metrics.census(census);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "k3s_daas_nodes_sealed{state=\"draining\"} 1",
            "k3s_daas_nodes_sealed{state=\"cut\"} 0",
            "k3s_daas_nodes_leader 0",
            "k3s_daas_nodes_reconciles_total{outcome=\"ok\"} 1",
            "k3s_daas_nodes_reconcile_duration_seconds_count 1",
            "k3s_daas_nodes_reaction_duration_seconds_count 1",
            "k3s_daas_nodes_steps_total{step=\"cut\"} 1",
            "k3s_daas_nodes_evictions_total{outcome=\"blocked\"} 1",
            "k3s_daas_nodes_evictions_total{outcome=\"failed\"} 0",
            "k3s_daas_nodes_writes_total{thing=\"pod\"} 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
