//! What the gate counts.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use webhook_server::TimeHistogram;

use crate::audit::Heard;
use crate::table::Cause;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// From an event at once to one that waited for minutes.
const DELAYS: [f64; 11] = [0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0, 300.0];

/// Why somebody was sent away, besides the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SentAway {
    /// All places are taken.
    Full,
    /// The peer has its share.
    Peer,
    /// The peer comes too often.
    Rate,
    /// It did not say hello in time.
    Silent,
    /// What it said is no TLS.
    NotTls,
    /// K3s can't be reached.
    Upstream,
}

impl SentAway {
    const ALL: [Self; 6] = [
        Self::Full,
        Self::Peer,
        Self::Rate,
        Self::Silent,
        Self::NotTls,
        Self::Upstream,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Peer => "peer",
            Self::Rate => "rate",
            Self::Silent => "silent",
            Self::NotTls => "not_tls",
            Self::Upstream => "upstream",
        }
    }
}

/// The gate's metrics.
#[derive(Debug, Clone)]
pub struct GateMetrics {
    connections: Family<Kind, Gauge>,
    accepted: Counter,
    refused: Family<Reason, Counter>,
    closed: Family<Reason, Counter>,
    events: Family<Outcome, Counter>,
    delay: TimeHistogram,
}

impl GateMetrics {
    /// Makes and registers them; every known series starts at zero.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            connections: Family::default(),
            accepted: Counter::default(),
            refused: Family::default(),
            closed: Family::default(),
            events: Family::default(),
            delay: TimeHistogram::new(&DELAYS),
        };
        for kind in ["unknown", "seal", "account", "node", "other", "mixed"] {
            drop(metrics.connections.get_or_create(&Kind { kind }));
        }
        for reason in SentAway::ALL.map(SentAway::label) {
            drop(metrics.refused.get_or_create(&Reason { reason }));
        }
        for reason in Cause::ALL.map(Cause::label) {
            drop(metrics.closed.get_or_create(&Reason { reason }));
        }
        for outcome in Heard::ALL.map(Heard::label) {
            drop(metrics.events.get_or_create(&Outcome { outcome }));
        }
        registry.register(
            "k3s_daas_gate_connections",
            "Open connections by the kind of user seen on them",
            metrics.connections.clone(),
        );
        registry.register(
            "k3s_daas_gate_accepted",
            "Connections that came in",
            metrics.accepted.clone(),
        );
        registry.register(
            "k3s_daas_gate_refused",
            "Connections that were sent away, by reason",
            metrics.refused.clone(),
        );
        registry.register(
            "k3s_daas_gate_closed",
            "Connections that were closed from this side, by reason",
            metrics.closed.clone(),
        );
        registry.register(
            "k3s_daas_gate_events",
            "Audit events, by what they told",
            metrics.events.clone(),
        );
        registry.register(
            "k3s_daas_gate_attribution_delay_seconds",
            "From the answer of the API server until its audit event told who is on a connection",
            metrics.delay.clone(),
        );
        metrics
    }

    pub(crate) fn kind(&self, kind: &'static str, by: i64) {
        self.connections.get_or_create(&Kind { kind }).inc_by(by);
    }

    pub(crate) fn accepted(&self) {
        self.accepted.inc();
    }

    pub(crate) fn refused(&self, why: SentAway) {
        let reason = why.label();
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn closed(&self, cause: Cause) {
        let reason = cause.label();
        self.closed.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn event(&self, heard: Heard) {
        let outcome = heard.label();
        self.events.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn delay(&self, delay: Duration) {
        self.delay.observe(delay);
    }
}
