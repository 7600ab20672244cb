//! What is counted of the chain's side.
//!
//! Units: seconds. Labels are closed sets, so the number of series is known beforehand:
//!        `k3s_daas_ledger_reads_total{method,outcome}`,
//!        `k3s_daas_ledger_read_duration_seconds{method}`,
//!        `k3s_daas_ledger_frames_total{outcome}`,
//!        `k3s_daas_ledger_transactions_total{call,outcome}`.

use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::error::LedgerError;

const OK: &str = "ok";
/// The caller went away before there was an answer.
const CANCELLED: &str = "cancelled";

/// The calls of the protocol that we make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// GetServiceInfo.
    ServiceInfo,
    /// GetObject.
    Object,
    /// BatchGetObjects.
    BatchObjects,
    /// GetCheckpoint.
    Checkpoint,
    /// GetEpoch.
    Epoch,
    /// GetTransaction.
    Transaction,
    /// ListOwnedObjects.
    OwnedObjects,
    /// SimulateTransaction.
    Simulate,
    /// ExecuteTransaction.
    Execute,
    /// SubscribeCheckpoints, the opening alone.
    Subscribe,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 10] = [
        Self::ServiceInfo,
        Self::Object,
        Self::BatchObjects,
        Self::Checkpoint,
        Self::Epoch,
        Self::Transaction,
        Self::OwnedObjects,
        Self::Simulate,
        Self::Execute,
        Self::Subscribe,
    ];

    /// The name in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ServiceInfo => "get_service_info",
            Self::Object => "get_object",
            Self::BatchObjects => "batch_get_objects",
            Self::Checkpoint => "get_checkpoint",
            Self::Epoch => "get_epoch",
            Self::Transaction => "get_transaction",
            Self::OwnedObjects => "list_owned_objects",
            Self::Simulate => "simulate_transaction",
            Self::Execute => "execute_transaction",
            Self::Subscribe => "subscribe_checkpoints",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReadLabels {
    method: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FrameLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransactionLabels {
    call: &'static str,
    outcome: &'static str,
}

/// The counters. Clones share them.
#[derive(Debug, Clone)]
pub struct LedgerMetrics {
    reads: Family<ReadLabels, Counter>,
    durations: Family<MethodLabels, Histogram, fn() -> Histogram>,
    frames: Family<FrameLabels, Counter>,
    transactions: Family<TransactionLabels, Counter>,
}

impl Default for LedgerMetrics {
    fn default() -> Self {
        Self {
            reads: Family::default(),
            durations: Family::new_with_constructor(buckets),
            frames: Family::default(),
            transactions: Family::default(),
        }
    }
}

/// 1 ms to 16 s: a warm read takes some ms, a transaction some hundred, a stuck node seconds.
fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

impl LedgerMetrics {
    /// Registers the counters; every known series starts at zero.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for method in Method::ALL {
            for outcome in [OK, CANCELLED].into_iter().chain(LedgerError::LABELS) {
                drop(metrics.reads.get_or_create(&ReadLabels {
                    method: method.label(),
                    outcome,
                }));
            }
        }
        for outcome in [OK, "end"].into_iter().chain(LedgerError::LABELS) {
            drop(metrics.frames.get_or_create(&FrameLabels { outcome }));
        }
        registry.register(
            "k3s_daas_ledger_reads",
            "Calls to the full node by method and outcome",
            metrics.reads.clone(),
        );
        registry.register(
            "k3s_daas_ledger_read_duration_seconds",
            "Time of a call to the full node",
            metrics.durations.clone(),
        );
        registry.register(
            "k3s_daas_ledger_frames",
            "Checkpoints received on the stream, and how streams ended",
            metrics.frames.clone(),
        );
        registry.register(
            "k3s_daas_ledger_transactions",
            "Transactions sent by call and outcome",
            metrics.transactions.clone(),
        );
        metrics
    }

    pub(crate) fn start(&self, method: Method) -> CallGuard<'_> {
        CallGuard {
            metrics: self,
            method,
            started: Instant::now(),
            outcome: CANCELLED,
        }
    }

    pub(crate) fn frame(&self, outcome: &'static str) {
        self.frames.get_or_create(&FrameLabels { outcome }).inc();
    }

    pub(crate) fn transaction(&self, call: &'static str, outcome: &'static str) {
        self.transactions
            .get_or_create(&TransactionLabels { call, outcome })
            .inc();
    }
}

/// Records when dropped, so that an early return or a dropped future loses no sample.
#[derive(Debug)]
pub(crate) struct CallGuard<'a> {
    metrics: &'a LedgerMetrics,
    method: Method,
    started: Instant,
    outcome: &'static str,
}

impl CallGuard<'_> {
    pub(crate) fn finish<T>(mut self, result: &Result<T, LedgerError>) {
        self.outcome = result.as_ref().map_or_else(LedgerError::label, |_| OK);
    }
}

impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        let method = self.method.label();
        self.metrics
            .reads
            .get_or_create(&ReadLabels {
                method,
                outcome: self.outcome,
            })
            .inc();
        self.metrics
            .durations
            .get_or_create(&MethodLabels { method })
            .observe(self.started.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_as_documented() {
        let mut registry = Registry::default();
        let metrics = LedgerMetrics::register(&mut registry);
        metrics.start(Method::Object).finish(&Ok(()));
        drop(metrics.start(Method::Execute));
        metrics.transaction("stake", "ok");
        metrics.frame("ok");
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "k3s_daas_ledger_reads_total{method=\"get_object\",outcome=\"ok\"} 1",
            "k3s_daas_ledger_reads_total{method=\"execute_transaction\",outcome=\"cancelled\"} 1",
            "k3s_daas_ledger_reads_total{method=\"get_epoch\",outcome=\"unavailable\"} 0",
            "k3s_daas_ledger_read_duration_seconds_count{method=\"get_object\"} 1",
            "k3s_daas_ledger_frames_total{outcome=\"ok\"} 1",
            "k3s_daas_ledger_frames_total{outcome=\"stream_silent\"} 0",
            "k3s_daas_ledger_transactions_total{call=\"stake\",outcome=\"ok\"} 1",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
