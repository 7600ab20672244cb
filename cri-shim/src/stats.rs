//! What the machine, its pods and their containers use.
//!
//! Shape:  [`Stats::run`] polls: [`cri`] asks the runtime, [`places`] finds what the kernel counts
//!         for each container, [`node`] reads the machine, and [`assemble`] makes a [`Snapshot`] of
//!         it. [`collector`] shows the latest one to Prometheus.
//! Errors: a source that does not answer is counted, and its figures are absent until it does.
//! Trust:  all of it is the operator's claim about their own machine.

pub(crate) mod assemble;
pub(crate) mod cgroup;
mod collector;
pub(crate) mod cri;
pub(crate) mod facts;
pub(crate) mod ledger;
pub(crate) mod node;
pub(crate) mod places;
mod poll;
pub(crate) mod snapshot;
pub(crate) mod tasks;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use tokio::sync::Notify;

use poll::Poll;
pub use snapshot::{
    ContainerUsage, Io, MOST_CONTAINERS, MOST_PODS, NodeUsage, PodUsage, Snapshot, Summary,
    Traffic, Usage,
};

/// A poll out of turn comes no sooner than this after the one before.
const AT_LEAST_APART: Duration = Duration::from_secs(2);

/// Where and how often to look.
#[derive(Debug, Clone)]
pub struct StatsSettings {
    /// containerd's socket.
    pub cri_socket: PathBuf,
    /// How often. Default: 10 s.
    pub every: Duration,
    /// Default: `/proc`.
    pub proc_root: PathBuf,
    /// Default: `/sys/fs/cgroup`.
    pub cgroup_root: PathBuf,
    /// Ask containerd's own API for tasks too. Default: no.
    pub tasks: bool,
}

impl StatsSettings {
    /// The defaults, with a socket.
    #[must_use]
    pub fn new(cri_socket: impl Into<PathBuf>) -> Self {
        Self {
            cri_socket: cri_socket.into(),
            every: Duration::from_secs(10),
            proc_root: "/proc".into(),
            cgroup_root: "/sys/fs/cgroup".into(),
            tasks: false,
        }
    }
}

/// Whom a poll asks. A closed set: metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Lists of sandboxes and containers.
    Lists,
    /// Figures of pods.
    PodStats,
    /// Figures of containers.
    ContainerStats,
    /// Where a new sandbox or container is.
    Status,
    /// The image store's size.
    Images,
    /// containerd's tasks.
    Tasks,
    /// The kernel's files.
    Kernel,
}

impl Source {
    /// All sources.
    pub const ALL: [Self; 7] = [
        Self::Lists,
        Self::PodStats,
        Self::ContainerStats,
        Self::Status,
        Self::Images,
        Self::Tasks,
        Self::Kernel,
    ];

    /// The value of the label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Lists => "lists",
            Self::PodStats => "pod_stats",
            Self::ContainerStats => "container_stats",
            Self::Status => "status",
            Self::Images => "images",
            Self::Tasks => "tasks",
            Self::Kernel => "kernel",
        }
    }
}

/// A handle on the figures; clones share them.
#[derive(Debug, Clone)]
pub struct Stats {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: StatsSettings,
    latest: RwLock<Option<(Instant, Arc<Snapshot>)>>,
    nudge: Notify,
    counts: Counts,
}

/// What polls came to.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    polls: AtomicU64,
    failures: [AtomicU64; Source::ALL.len()],
}

impl Counts {
    pub(crate) fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    pub(crate) fn failures(&self, source: Source) -> u64 {
        self.failures
            .get(source as usize)
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    fn failed(&self, source: Source) {
        if let Some(count) = self.failures.get(source as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Stats {
    /// Nothing is asked before [`Stats::run`].
    #[must_use]
    pub fn new(settings: StatsSettings) -> Self {
        let shared = Shared {
            settings,
            latest: RwLock::new(None),
            nudge: Notify::new(),
            counts: Counts::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What the last poll found; none before the first one ends.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Snapshot>> {
        let latest = self
            .shared
            .latest
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        latest.as_ref().map(|(_, snapshot)| Arc::clone(snapshot))
    }

    /// How old that is.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let latest = self
            .shared
            .latest
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        latest.as_ref().map(|(at, _)| at.elapsed())
    }

    /// Polls ended so far.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.shared.counts.polls()
    }

    /// Questions to one source that were not answered.
    #[must_use]
    pub fn failures(&self, source: Source) -> u64 {
        self.shared.counts.failures(source)
    }

    /// Shows the latest snapshot, and what polls came to, in a registry without a prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }

    /// Polls for ever.
    pub async fn run(self) {
        let mut poll = Poll::new(&self.shared.settings);
        loop {
            let began = tokio::time::Instant::now();
            let snapshot = poll
                .once(&mut |source, cause| {
                    self.shared.counts.failed(source);
                    tracing::debug!(source = source.label(), cause, "figures are missing");
                })
                .await;
            self.store(snapshot);
            let every = self.shared.settings.every;
            tokio::time::sleep(AT_LEAST_APART.min(every)).await;
            // Whatever asked for a poll meanwhile gets it now; what a poll took is part of its turn.
            let _ = tokio::time::timeout_at(began + every, self.shared.nudge.notified()).await;
        }
    }

    /// Something has changed: do not wait for the next turn.
    pub(crate) fn nudge(&self) {
        self.shared.nudge.notify_one();
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    fn store(&self, snapshot: Snapshot) {
        self.shared.counts.polls.fetch_add(1, Ordering::Relaxed);
        let mut latest = self
            .shared
            .latest
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *latest = Some((Instant::now(), Arc::new(snapshot)));
    }
}
