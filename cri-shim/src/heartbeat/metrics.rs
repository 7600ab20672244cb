//! What became of heartbeats.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What became of a heartbeat. A closed set: metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeatResult {
    /// The cluster has it.
    Sent,
    /// The cluster did not take it, and would not take it later either.
    Refused,
    /// A try to send one failed; it waits.
    Unreachable,
    /// It waited too long, or newer ones needed its place.
    Dropped,
    /// There was nothing to send, or no token to send it with.
    Skipped,
}

impl BeatResult {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Sent,
        Self::Refused,
        Self::Unreachable,
        Self::Dropped,
        Self::Skipped,
    ];

    /// The value of the label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Dropped => "dropped",
            Self::Skipped => "skipped",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    result: &'static str,
}

/// Counts heartbeats.
#[derive(Debug, Clone)]
pub struct BeatMetrics {
    total: Family<Labels, Counter>,
}

impl BeatMetrics {
    /// Registers `k3s_daas_worker_heartbeats_total{result}` in a registry without a prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let total = Family::<Labels, Counter>::default();
        for result in BeatResult::ALL {
            let result = result.label();
            drop(total.get_or_create(&Labels { result }));
        }
        registry.register(
            "k3s_daas_worker_heartbeats",
            "Heartbeats to the cluster, by what became of them",
            total.clone(),
        );
        Self { total }
    }

    pub(super) fn count(&self, result: BeatResult, by: u64) {
        let result = result.label();
        self.total.get_or_create(&Labels { result }).inc_by(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_as_documented_and_all_series_start_at_zero() {
        let mut registry = Registry::default();
        let metrics = BeatMetrics::register(&mut registry);
        metrics.count(BeatResult::Sent, 2);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(
            text.contains("k3s_daas_worker_heartbeats_total{result=\"sent\"} 2\n"),
            "{text}"
        );
        assert_eq!(
            text.matches("_total{result=").count(),
            BeatResult::ALL.len()
        );
    }
}
