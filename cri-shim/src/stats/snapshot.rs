//! What one poll found.
//!
//! Shape:  a [`Snapshot`] is read by the Prometheus collector, the worker's REST API and the
//!         heartbeats; [`Summary`] is the part of it that leaves as JSON.
//! Units:  bytes, nanoseconds of CPU, percent 0 to 100 for the node's two shares; counters grow
//!         until their container, their sandbox or the kernel starts anew.
//! Trust:  the operator's claim about their own machine.

use seal::UnixMillis;

/// Pods that get figures of their own; the rest are counted.
pub const MOST_PODS: usize = 500;

/// Containers of one pod that get figures of their own. Far above what kubelet's own limits allow,
/// and a bound all the same.
pub const MOST_CONTAINERS: usize = 100;

/// What one poll found. A figure that could not be read is absent, never 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// When the poll ended.
    pub at: UnixMillis,
    /// The whole machine.
    pub node: NodeUsage,
    /// At most [`MOST_PODS`], the longest running ones.
    pub pods: Vec<PodUsage>,
    /// Sandboxes that are ready; absent while containerd does not answer.
    pub pod_count: Option<u32>,
    /// Containers that run.
    pub container_count: Option<u32>,
    /// Pods without figures of their own.
    pub left_out: u32,
}

/// The machine, from `/proc` and the runtime's image store.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct NodeUsage {
    /// Busy share of all CPUs since the poll before, in percent.
    pub cpu: Option<f64>,
    /// Memory that is not available, in percent.
    pub memory: Option<f64>,
    /// Bytes of the interfaces with a default route since the kernel's boot.
    pub network: Option<Traffic>,
    /// Bytes of all disks since the kernel's boot.
    pub disk: Option<Io>,
    /// Bytes that images and writable layers take.
    pub images: Option<u64>,
}

/// One pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodUsage {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// What it uses as a whole.
    pub usage: Usage,
    /// Bytes of its interfaces; none for a pod in the machine's own network.
    pub network: Option<Traffic>,
    /// Its containers, each name once.
    pub containers: Vec<ContainerUsage>,
}

/// One container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerUsage {
    /// Its name in the pod.
    pub name: String,
    /// What it uses.
    pub usage: Usage,
}

/// What a pod or a container uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in nanoseconds; a counter.
    pub cpu: Option<u64>,
    /// Working set in bytes: what cannot be taken back at once.
    pub memory: Option<u64>,
    /// Bytes of the writable layer.
    pub layer: Option<u64>,
    /// Bytes from and to disks; counters.
    pub io: Option<Io>,
}

/// Bytes through interfaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Received.
    pub received: u64,
    /// Sent.
    pub sent: u64,
}

impl Traffic {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            received: self.received.saturating_add(other.received),
            sent: self.sent.saturating_add(other.sent),
        }
    }

    pub(crate) fn at_least(self, other: Self) -> Self {
        Self {
            received: self.received.max(other.received),
            sent: self.sent.max(other.sent),
        }
    }
}

/// Bytes from and to disks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Io {
    /// Read.
    pub read: u64,
    /// Written.
    pub written: u64,
}

impl Io {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            read: self.read.saturating_add(other.read),
            written: self.written.saturating_add(other.written),
        }
    }

    pub(crate) fn at_least(self, other: Self) -> Self {
        Self {
            read: self.read.max(other.read),
            written: self.written.max(other.written),
        }
    }
}

/// `GET /api/v1/metrics`, and the usage in a heartbeat.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Summary {
    /// Busy share of all CPUs, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_usage: Option<f64>,
    /// Memory that is not available, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_usage: Option<f64>,
    /// Sandboxes that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_count: Option<u32>,
    /// Containers that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_count: Option<u32>,
    /// Bytes received since the kernel's boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_rx: Option<u64>,
    /// Bytes sent since the kernel's boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_tx: Option<u64>,
    /// When this was so, in seconds since 1970.
    pub timestamp: u64,
}

impl Snapshot {
    /// The machine in seven figures.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            cpu_usage: self.node.cpu.map(tenth),
            memory_usage: self.node.memory.map(tenth),
            pod_count: self.pod_count,
            container_count: self.container_count,
            network_rx: self.node.network.map(|traffic| traffic.received),
            network_tx: self.node.network.map(|traffic| traffic.sent),
            timestamp: self.at.0 / 1000,
        }
    }
}

/// Rounded to a tenth: more would look exact.
fn tenth(percent: f64) -> f64 {
    (percent * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_the_field_names_of_the_api() {
        let snapshot = Snapshot {
            at: UnixMillis(1_234_567_890_999),
            node: NodeUsage {
                cpu: Some(45.234),
                memory: Some(67.76),
                network: Some(Traffic {
                    received: 1_024_000,
                    sent: 512_000,
                }),
                ..NodeUsage::default()
            },
            pod_count: Some(25),
            container_count: Some(48),
            ..Snapshot::default()
        };
        assert_eq!(
            serde_json::to_value(snapshot.summary()).unwrap(),
            serde_json::json!({
                "cpu_usage": 45.2, "memory_usage": 67.8, "pod_count": 25, "container_count": 48,
                "network_rx": 1_024_000, "network_tx": 512_000, "timestamp": 1_234_567_890_u64,
            })
        );
    }

    #[test]
    fn a_missing_figure_is_absent() {
        let empty = Snapshot {
            at: UnixMillis(5_000),
            ..Snapshot::default()
        };
        assert_eq!(
            serde_json::to_value(empty.summary()).unwrap(),
            serde_json::json!({ "timestamp": 5 })
        );
    }
}
