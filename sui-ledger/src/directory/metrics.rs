//! What the directory counts.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::chain::ChainError;
use super::change::Why;
use super::core::Loss;
use super::unavailable::Unavailable;

/// How a look-up ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// From the cache.
    Hit,
    /// Read from the chain.
    Miss,
    /// There is nothing, as the cache or the chain says.
    Absent,
    /// No answer.
    Unavailable,
}

impl Lookup {
    const ALL: [Self; 4] = [Self::Hit, Self::Miss, Self::Absent, Self::Unavailable];

    const fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Absent => "absent",
            Self::Unavailable => "unavailable",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// All counters; those of the hot path are held directly, without a family's lock.
#[derive(Debug)]
pub(crate) struct DirectoryMetrics {
    lookups: [Counter; 4],
    unavailable: [Counter; Unavailable::ALL.len()],
    reads: Family<OutcomeLabel, Counter>,
    read_keys: Counter,
    changes: Family<ReasonLabel, Counter>,
    rebuilds: Family<ReasonLabel, Counter>,
    pub(crate) reconnects: Counter,
    pub(crate) frames: Counter,
    pub(crate) ends_write_failures: Counter,
    pub(crate) staleness: Gauge<f64, AtomicU64>,
    pub(crate) grace: Gauge<f64, AtomicU64>,
    pub(crate) fresh: Gauge,
    pub(crate) checkpoint: Gauge,
    pub(crate) records: Gauge,
    pub(crate) absences: Gauge,
    pub(crate) watched: Gauge,
    pub(crate) ends: Gauge,
}

impl DirectoryMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("k3s_daas_directory");
        let lookups = Family::<ResultLabel, Counter>::default();
        let unavailable = Family::<ReasonLabel, Counter>::default();
        let metrics = Self {
            lookups: Lookup::ALL.map(|lookup| {
                let result = lookup.label();
                lookups.get_or_create(&ResultLabel { result }).clone()
            }),
            unavailable: Unavailable::ALL.map(|why| {
                let reason = why.label();
                unavailable.get_or_create(&ReasonLabel { reason }).clone()
            }),
            reads: Family::default(),
            read_keys: Counter::default(),
            changes: Family::default(),
            rebuilds: Family::default(),
            reconnects: Counter::default(),
            frames: Counter::default(),
            ends_write_failures: Counter::default(),
            staleness: Gauge::default(),
            grace: Gauge::default(),
            fresh: Gauge::default(),
            checkpoint: Gauge::default(),
            records: Gauge::default(),
            absences: Gauge::default(),
            watched: Gauge::default(),
            ends: Gauge::default(),
        };
        // Known series start at zero: an absent one means a broken scrape.
        drop(metrics.reads.get_or_create(&OutcomeLabel { outcome: "ok" }));
        for error in ChainError::ALL {
            let outcome = error.label();
            drop(metrics.reads.get_or_create(&OutcomeLabel { outcome }));
        }
        for why in Why::ALL {
            let reason = why.label();
            drop(metrics.changes.get_or_create(&ReasonLabel { reason }));
        }
        for loss in Loss::ALL {
            let reason = loss.label();
            drop(metrics.rebuilds.get_or_create(&ReasonLabel { reason }));
        }
        registry.register("lookups", "Look-ups by how they ended", lookups);
        registry.register("unavailable", "Look-ups without an answer", unavailable);
        registry.register("reads", "Reads of the chain", metrics.reads.clone());
        registry.register("read_keys", "Rows read", metrics.read_keys.clone());
        registry.register(
            "changes",
            "Changes told to listeners",
            metrics.changes.clone(),
        );
        registry.register(
            "rebuilds",
            "Times everything known was cleared and read anew",
            metrics.rebuilds.clone(),
        );
        registry.register(
            "reconnects",
            "Streams that were opened again",
            metrics.reconnects.clone(),
        );
        registry.register("frames", "Checkpoints followed", metrics.frames.clone());
        registry.register(
            "ends_write_failures",
            "Failed writes of the file of ends",
            metrics.ends_write_failures.clone(),
        );
        registry.register(
            "staleness_seconds",
            "Age of the view of the chain",
            metrics.staleness.clone(),
        );
        registry.register(
            "grace_seconds",
            "What the operator added to the staleness bound",
            metrics.grace.clone(),
        );
        registry.register("fresh", "1 while answers are given", metrics.fresh.clone());
        registry.register(
            "checkpoint",
            "Last checkpoint of the contiguous run",
            metrics.checkpoint.clone(),
        );
        registry.register("records", "Records cached", metrics.records.clone());
        registry.register("absences", "Absences cached", metrics.absences.clone());
        registry.register("watched", "Seals pinned", metrics.watched.clone());
        registry.register("ends", "Ends remembered", metrics.ends.clone());
        metrics
    }

    pub(crate) fn lookup(&self, lookup: Lookup) {
        if let Some(counter) = self.lookups.get(lookup as usize) {
            counter.inc();
        }
    }

    pub(crate) fn unavailable(&self, why: &Unavailable) {
        self.lookup(Lookup::Unavailable);
        if let Some(counter) = self.unavailable.get(why.index()) {
            counter.inc();
        }
    }

    pub(crate) fn read(&self, outcome: Result<(), ChainError>, keys: usize) {
        let outcome = outcome.map_or_else(ChainError::label, |()| "ok");
        self.reads.get_or_create(&OutcomeLabel { outcome }).inc();
        self.read_keys.inc_by(u64::try_from(keys).unwrap_or(0));
    }

    pub(crate) fn change(&self, why: Why) {
        let reason = why.label();
        self.changes.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub(crate) fn rebuild(&self, loss: Loss) {
        let reason = loss.label();
        self.rebuilds.get_or_create(&ReasonLabel { reason }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_the_documented_ones_and_start_at_zero() {
        let mut registry = Registry::default();
        let _metrics = DirectoryMetrics::register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "k3s_daas_directory_lookups_total{result=\"hit\"} 0",
            "k3s_daas_directory_lookups_total{result=\"unavailable\"} 0",
            "k3s_daas_directory_unavailable_total{reason=\"stale\"} 0",
            "k3s_daas_directory_reads_total{outcome=\"ok\"} 0",
            "k3s_daas_directory_read_keys_total 0",
            "k3s_daas_directory_changes_total{reason=\"slash\"} 0",
            "k3s_daas_directory_rebuilds_total{reason=\"seq_gap\"} 0",
            "k3s_daas_directory_reconnects_total 0",
            "k3s_daas_directory_frames_total 0",
            "k3s_daas_directory_ends_write_failures_total 0",
            "k3s_daas_directory_staleness_seconds 0.0",
            "k3s_daas_directory_grace_seconds 0.0",
            "k3s_daas_directory_fresh 0",
            "k3s_daas_directory_checkpoint 0",
            "k3s_daas_directory_records 0",
            "k3s_daas_directory_absences 0",
            "k3s_daas_directory_watched 0",
            "k3s_daas_directory_ends 0",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
