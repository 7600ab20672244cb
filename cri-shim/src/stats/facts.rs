//! What the runtime told, without the parts that nobody here reads.
//!
//! Shape:  pure functions from CRI's messages. Labels and annotations are dropped at once: a pod's
//!         may be hundreds of kilobytes.
//! Units:  nanoseconds of CPU, bytes, creation in nanoseconds since 1970.

use std::collections::{HashMap, HashSet};

use k8s_cri::v1;

use super::snapshot::{Io, MOST_PODS, Traffic};

/// A name is no longer than Kubernetes allows.
const MOST_NAME: usize = 253;

/// One answer of each kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Facts {
    /// Ready sandboxes, the newest of each pod, the oldest pod first.
    pub(crate) sandboxes: Vec<Sandbox>,
    /// Containers in any state.
    pub(crate) containers: Vec<Container>,
    /// By sandbox.
    pub(crate) pods: HashMap<String, PodFigures>,
    /// By container.
    pub(crate) figures: HashMap<String, Figures>,
}

/// A ready sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sandbox {
    pub(crate) id: String,
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) created: i64,
}

/// A container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) sandbox: String,
    pub(crate) name: String,
    pub(crate) created: i64,
    pub(crate) running: bool,
}

/// Of a pod as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PodFigures {
    pub(crate) cpu: Option<u64>,
    pub(crate) memory: Option<u64>,
    pub(crate) network: Option<Traffic>,
}

/// Of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) cpu: Option<u64>,
    pub(crate) memory: Option<u64>,
    pub(crate) layer: Option<u64>,
    pub(crate) io: Option<Io>,
}

impl Figures {
    /// What this source lacks, from another.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.or(other.cpu),
            memory: self.memory.or(other.memory),
            layer: self.layer.or(other.layer),
            io: self.io.or(other.io),
        }
    }
}

impl Facts {
    /// How many pods do not get figures; those that do are the first ones.
    pub(crate) fn limit(&mut self) -> usize {
        let left_out = self.sandboxes.len().saturating_sub(MOST_PODS);
        self.sandboxes.truncate(MOST_PODS);
        left_out
    }
}

/// Ready ones; of two with the same name the newest. The oldest come first, so that a crowd of new
/// pods does not end the series of those that were there.
pub(crate) fn sandboxes(items: Vec<v1::PodSandbox>) -> Vec<Sandbox> {
    let mut all: Vec<Sandbox> = items
        .into_iter()
        .filter(|item| item.state == v1::PodSandboxState::SandboxReady as i32)
        .filter_map(|item| {
            let named = item.metadata?;
            Some(Sandbox {
                id: item.id,
                namespace: label(&named.namespace),
                pod: label(&named.name),
                created: item.created_at,
            })
        })
        .collect();
    all.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
    let mut seen = HashSet::new();
    all.retain(|sandbox| seen.insert((sandbox.namespace.clone(), sandbox.pod.clone())));
    all.reverse();
    all
}

pub(crate) fn containers(items: Vec<v1::Container>) -> Vec<Container> {
    items
        .into_iter()
        .filter_map(|item| {
            Some(Container {
                id: item.id,
                sandbox: item.pod_sandbox_id,
                name: label(&item.metadata?.name),
                created: item.created_at,
                running: item.state == v1::ContainerState::ContainerRunning as i32,
            })
        })
        .collect()
}

/// `ListPodSandboxStats`: pods, and their containers with them.
pub(crate) fn pod_stats(
    stats: Vec<v1::PodSandboxStats>,
) -> (HashMap<String, PodFigures>, HashMap<String, Figures>) {
    let (mut pods, mut inner) = (HashMap::new(), HashMap::new());
    for one in stats {
        let (Some(attributes), Some(linux)) = (one.attributes, one.linux) else {
            continue;
        };
        let figures = PodFigures {
            cpu: cpu(linux.cpu),
            memory: memory(linux.memory),
            network: linux.network.and_then(network),
        };
        pods.insert(attributes.id, figures);
        inner.extend(container_stats(linux.containers));
    }
    (pods, inner)
}

/// `ListContainerStats`.
pub(crate) fn container_stats(stats: Vec<v1::ContainerStats>) -> HashMap<String, Figures> {
    stats
        .into_iter()
        .filter_map(|one| {
            let figures = Figures {
                cpu: cpu(one.cpu),
                memory: memory(one.memory),
                layer: one.writable_layer.and_then(layer),
                io: None,
            };
            Some((one.attributes?.id, figures))
        })
        .collect()
}

/// `ImageFsInfo`: what images and layers take, each file system once.
pub(crate) fn images(info: v1::ImageFsInfoResponse) -> Option<u64> {
    let mut seen = HashSet::new();
    info.image_filesystems
        .into_iter()
        .chain(info.container_filesystems)
        .filter(|one| {
            seen.insert(
                one.fs_id
                    .as_ref()
                    .map_or_else(String::new, |id| id.mountpoint.clone()),
            )
        })
        .filter_map(layer)
        .reduce(u64::saturating_add)
}

fn cpu(usage: Option<v1::CpuUsage>) -> Option<u64> {
    usage?
        .usage_core_nano_seconds
        .map(|nanoseconds| nanoseconds.value)
}

fn memory(usage: Option<v1::MemoryUsage>) -> Option<u64> {
    usage?.working_set_bytes.map(|bytes| bytes.value)
}

/// containerd answers 0 at time 0 for a layer that it has not measured yet.
#[allow(
    clippy::needless_pass_by_value,
    reason = "given to iterators of values"
)]
fn layer(usage: v1::FilesystemUsage) -> Option<u64> {
    (usage.timestamp > 0).then_some(usage.used_bytes?.value)
}

/// All interfaces; the default one may stand among them or apart.
fn network(usage: v1::NetworkUsage) -> Option<Traffic> {
    let mut seen = HashSet::new();
    usage
        .interfaces
        .into_iter()
        .chain(usage.default_interface)
        .filter(|one| one.name != "lo" && seen.insert(one.name.clone()))
        .filter_map(|one| {
            Some(Traffic {
                received: one.rx_bytes?.value,
                sent: one.tx_bytes?.value,
            })
        })
        .reduce(Traffic::plus)
}

/// A name as a label: Kubernetes' own never change by this, and no other can break the page.
fn label(name: &str) -> String {
    name.chars()
        .take(MOST_NAME)
        .map(|letter| match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | '_' => letter,
            _ => '_',
        })
        .collect()
}

#[cfg(test)]
mod tests;
