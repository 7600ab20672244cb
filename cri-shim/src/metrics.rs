//! What the proxy counts.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use webhook_server::TimeHistogram;

use crate::grpc::Code;
use crate::methods::Method;
use crate::standing::Why;

/// From an answer out of memory to the pull of a large image.
const TIMES: [f64; 14] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0, 300.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfMethod {
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    method: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Result {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// The proxy's metrics; clones are the same ones.
#[derive(Debug, Clone)]
pub struct ShimMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    calls: Family<Ended, Counter>,
    times: Family<OfMethod, TimeHistogram, fn() -> TimeHistogram>,
    in_flight: Gauge,
    streams: Gauge,
    connections: Gauge,
    dials: Family<Result, Counter>,
    refused: Family<Reason, Counter>,
}

impl ShimMetrics {
    /// Makes and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let times: fn() -> TimeHistogram = || TimeHistogram::new(&TIMES);
        let inner = Inner {
            calls: Family::default(),
            times: Family::new_with_constructor(times),
            in_flight: Gauge::default(),
            streams: Gauge::default(),
            connections: Gauge::default(),
            dials: Family::default(),
            refused: Family::default(),
        };
        for result in ["ok", "failed"] {
            drop(inner.dials.get_or_create(&Result { result }));
        }
        for why in Why::all() {
            let reason = why.label();
            drop(inner.refused.get_or_create(&Reason { reason }));
        }
        registry.register(
            "k3s_daas_cri_calls",
            "Calls of the container runtime that ended, by method and gRPC code",
            inner.calls.clone(),
        );
        registry.register(
            "k3s_daas_cri_call_duration_seconds",
            "From a call's headers to its last trailer; calls that one message answers",
            inner.times.clone(),
        );
        registry.register(
            "k3s_daas_cri_calls_in_flight",
            "Calls under way that one message answers",
            inner.in_flight.clone(),
        );
        registry.register(
            "k3s_daas_cri_streams",
            "Calls under way that many messages answer, and those of unknown methods",
            inner.streams.clone(),
        );
        registry.register(
            "k3s_daas_cri_connections",
            "Open connections to the shim's socket",
            inner.connections.clone(),
        );
        registry.register(
            "k3s_daas_cri_upstream_dials",
            "Tries to reach containerd, by result",
            inner.dials.clone(),
        );
        registry.register(
            "k3s_daas_cri_pods_refused",
            "New pods that the guard refused, by reason",
            inner.refused.clone(),
        );
        Self(Arc::new(inner))
    }

    /// Counts a connection for as long as what it gives lives.
    pub(crate) fn connection(&self) -> InFlight {
        InFlight::new(&self.0.connections)
    }

    /// Counts a call under way.
    pub(crate) fn call(&self, method: Method) -> InFlight {
        InFlight::new(if method.is_unary() {
            &self.0.in_flight
        } else {
            &self.0.streams
        })
    }

    /// A call has ended.
    pub(crate) fn called(&self, method: Method, code: Code, took: Duration) {
        let label = method.label();
        let ended = Ended {
            method: label,
            code: code.label(),
        };
        self.0.calls.get_or_create(&ended).inc();
        if method.is_unary() {
            let times = &self.0.times;
            times
                .get_or_create(&OfMethod { method: label })
                .observe(took);
        }
    }

    /// containerd was dialled.
    pub(crate) fn dialled(&self, ok: bool) {
        let result = if ok { "ok" } else { "failed" };
        self.0.dials.get_or_create(&Result { result }).inc();
    }

    /// The guard refused a pod.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.0.refused.get_or_create(&Reason { reason }).inc();
    }
}

/// One more of something, until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Gauge);

impl InFlight {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
