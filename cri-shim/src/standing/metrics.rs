//! The machine's seal as a metric.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::{Standings, now};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Result {
    result: &'static str,
}

/// What is counted of the seal; clones are the same.
#[derive(Debug, Clone)]
pub struct StandingMetrics {
    reads: Family<Result, Counter>,
    followed: Arc<OnceLock<Standings>>,
}

impl StandingMetrics {
    /// Makes and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            reads: Family::default(),
            followed: Arc::default(),
        };
        for result in ["ok", "failed"] {
            drop(metrics.reads.get_or_create(&Result { result }));
        }
        registry.register(
            "k3s_daas_worker_seal_reads",
            "Looks at the machine's seal on chain, by result",
            metrics.reads.clone(),
        );
        registry.register_collector(Box::new(State(Arc::clone(&metrics.followed))));
        metrics
    }

    pub(super) fn follow(&self, standings: Standings) {
        // Once: a worker has one seal.
        let _ = self.followed.set(standings);
    }

    pub(super) fn read(&self, ok: bool) {
        let result = if ok { "ok" } else { "failed" };
        self.reads.get_or_create(&Result { result }).inc();
    }
}

/// Says at each scrape how it stands then.
#[derive(Debug)]
struct State(Arc<OnceLock<Standings>>);

impl Collector for State {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::result::Result<(), fmt::Error> {
        let standing = self.0.get().and_then(Standings::latest);
        let mut gauge = |name: &str, help: &str, value: f64| {
            let gauge = ConstGauge::new(value);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)
        };
        gauge(
            "k3s_daas_worker_seal_known",
            "1 once the chain has told of the machine's seal",
            if standing.is_some() { 1.0 } else { 0.0 },
        )?;
        let Some(standing) = standing else {
            return Ok(());
        };
        gauge(
            "k3s_daas_worker_seal_usable",
            "1 while the machine's seal is usable, as last known",
            if standing.usable(now()).is_ok() {
                1.0
            } else {
                0.0
            },
        )?;
        gauge(
            "k3s_daas_worker_seal_seen_timestamp_seconds",
            "When the chain last told of the machine's seal",
            seconds(standing.seen_at.0),
        )?;
        let Some(record) = &standing.record else {
            return Ok(());
        };
        gauge(
            "k3s_daas_worker_seal_expiry_timestamp_seconds",
            "When the machine's seal expires",
            seconds(record.expires_at.0),
        )?;
        #[allow(clippy::cast_precision_loss, reason = "a picture needs no more digits")]
        let stake = record.stake.0 as f64;
        gauge(
            "k3s_daas_worker_seal_stake_mist",
            "The stake of the machine's seal in MIST",
            stake,
        )
    }
}

#[allow(clippy::cast_precision_loss, reason = "exact for 285,000 years")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}
