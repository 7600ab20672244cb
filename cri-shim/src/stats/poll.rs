//! One poll.
//!
//! Shape:  asks, reads, assembles; remembers what the next poll needs.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use seal::UnixMillis;

use super::assemble;
use super::cri::{Cri, dial};
use super::facts::Facts;
use super::ledger::Ledger;
use super::node::Node;
use super::places::{Places, Readings};
use super::snapshot::{NodeUsage, Snapshot};
use super::tasks::{TaskFacts, Tasks};
use super::{Source, StatsSettings};

/// What the polls share.
pub(crate) struct Poll {
    cri: Cri,
    tasks: Option<Tasks>,
    /// Lent to a thread that may block.
    kernel: Option<Kernel>,
    ledger: Ledger,
    settings: StatsSettings,
}

struct Kernel {
    node: Node,
    places: Places,
}

impl Kernel {
    fn new(settings: &StatsSettings) -> Self {
        Self {
            node: Node::new(settings.proc_root.clone(), settings.every),
            places: Places::new(settings.proc_root.clone(), settings.cgroup_root.clone()),
        }
    }
}

impl Poll {
    /// Within a runtime.
    pub(crate) fn new(settings: &StatsSettings) -> Self {
        let channel = dial(&settings.cri_socket);
        Self {
            cri: Cri::new(channel.clone()),
            tasks: settings.tasks.then(|| Tasks::new(channel)),
            kernel: None,
            ledger: Ledger::default(),
            settings: settings.clone(),
        }
    }

    /// `failed` is told of each source that did not answer.
    pub(crate) async fn once(&mut self, failed: &mut impl FnMut(Source, &str)) -> Snapshot {
        let mut told = |source, status: &tonic::Status| failed(source, &status.to_string());
        let facts = match self.cri.facts(&mut told).await {
            Ok(facts) => Some(facts),
            Err(status) => {
                told(Source::Lists, &status);
                None
            }
        };
        let tasks = self.tasks(facts.is_some(), &mut told).await;
        let images = if facts.is_some() {
            self.cri.images().await.unwrap_or_else(|status| {
                told(Source::Images, &status);
                None
            })
        } else {
            None
        };

        let mut kernel = self
            .kernel
            .take()
            .unwrap_or_else(|| Kernel::new(&self.settings));
        let all = facts
            .as_ref()
            .map(|facts| (count(facts.sandboxes.len()), running(facts)));
        let mut facts = facts.unwrap_or_default();
        let left_out = facts.limit();
        for (id, figures) in tasks.figures {
            let known = facts.figures.entry(id).or_default();
            *known = known.or(figures);
        }
        if all.is_some() {
            kernel
                .places
                .learn(&mut self.cri, &facts, &tasks.pids, &mut told)
                .await;
        }
        let (facts, node, readings) = self.read(kernel, facts, failed).await;

        let all = all.filter(|_| self.kernel.is_some());
        let known = all.is_some();
        Snapshot {
            at: now(),
            node: NodeUsage { images, ..node },
            // What is not known now keeps its marks for when it is.
            pods: if known {
                assemble::pods(&facts, &readings, &mut self.ledger)
            } else {
                Vec::new()
            },
            pod_count: all.map(|(pods, _)| pods),
            container_count: all.map(|(_, containers)| containers),
            left_out: count(left_out),
        }
    }

    async fn tasks(
        &mut self,
        ask: bool,
        failed: &mut impl FnMut(Source, &tonic::Status),
    ) -> TaskFacts {
        let Some(tasks) = self.tasks.as_mut().filter(|_| ask) else {
            return TaskFacts::default();
        };
        tasks.facts().await.unwrap_or_else(|status| {
            failed(Source::Tasks, &status);
            TaskFacts::default()
        })
    }

    /// The kernel's files on a thread that may block: a file of a container that is being stopped
    /// may take its time.
    async fn read(
        &mut self,
        mut kernel: Kernel,
        facts: Facts,
        failed: &mut impl FnMut(Source, &str),
    ) -> (Facts, NodeUsage, Readings) {
        let reading = tokio::task::spawn_blocking(move || {
            let node = kernel.node.read(Instant::now());
            let readings = kernel.places.read(&facts);
            (kernel, facts, node, readings)
        });
        match reading.await {
            Ok((kernel, facts, node, readings)) => {
                self.kernel = Some(kernel);
                if node.memory.is_none() {
                    failed(Source::Kernel, "the machine's figures cannot be read");
                }
                (facts, node, readings)
            }
            Err(cause) => {
                failed(Source::Kernel, &cause.to_string());
                (Facts::default(), NodeUsage::default(), Readings::default())
            }
        }
    }
}

fn running(facts: &Facts) -> u32 {
    count(facts.containers.iter().filter(|one| one.running).count())
}

fn count(many: usize) -> u32 {
    u32::try_from(many).unwrap_or(u32::MAX)
}

fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
