//! The latest snapshot as Prometheus families.
//!
//! Shape:  nothing is kept between scrapes, so that a series ends with its pod.
//! Units:  seconds and bytes; shares as ratios, 0 to 1.

use std::fmt::Error;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

use super::snapshot::{PodUsage, Snapshot, Usage};
use super::{Source, Stats};

/// A counter's or gauge's rows of one scrape.
struct Family<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl Collector for Stats {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut page = Family { encoder };
        page.polls(self)?;
        let Some(snapshot) = self.latest() else {
            return Ok(());
        };
        page.one(
            "k3s_daas_worker_stats_age_seconds",
            "Seconds since the figures of pods and machine were read",
            self.age().map(|age| age.as_secs_f64()),
        )?;
        page.node(&snapshot)?;
        page.pods(&snapshot.pods)?;
        page.containers(&snapshot.pods)
    }
}

type PodLabels<'a> = [(&'static str, &'a str); 2];
type ContainerLabels<'a> = [(&'static str, &'a str); 3];

fn pod_labels(pod: &PodUsage) -> PodLabels<'_> {
    [("namespace", &pod.namespace), ("pod", &pod.pod)]
}

impl Family<'_> {
    fn polls(&mut self, stats: &Stats) -> Result<(), Error> {
        let counts = stats.counts();
        self.total(
            "k3s_daas_worker_stats_polls",
            "Polls of the runtime and the kernel",
            Some(counts.polls()),
        )?;
        self.counter(
            "k3s_daas_worker_stats_failures",
            "Questions of a poll that were not answered, by source",
            Source::ALL.map(|source| ([("source", source.label())], Some(counts.failures(source)))),
        )
    }

    fn node(&mut self, snapshot: &Snapshot) -> Result<(), Error> {
        let node = &snapshot.node;
        self.one(
            "k3s_daas_worker_pods",
            "Pods whose sandbox is ready",
            snapshot.pod_count,
        )?;
        self.one(
            "k3s_daas_worker_containers",
            "Containers that run",
            snapshot.container_count,
        )?;
        self.one(
            "k3s_daas_worker_pods_left_out",
            "Pods without series of their own, above the bound",
            snapshot.pod_count.map(|_| snapshot.left_out),
        )?;
        self.one(
            "k3s_daas_worker_node_cpu_usage_ratio",
            "Busy share of all CPUs between the last two polls",
            node.cpu.map(|percent| percent / 100.0),
        )?;
        self.one(
            "k3s_daas_worker_node_memory_usage_ratio",
            "Share of the memory that is not available",
            node.memory.map(|percent| percent / 100.0),
        )?;
        self.one(
            "k3s_daas_worker_node_image_fs_used_bytes",
            "Bytes that images and writable layers take",
            node.images,
        )?;
        self.total(
            "k3s_daas_worker_node_network_receive_bytes",
            "Bytes received by the interfaces with a default route",
            node.network.map(|traffic| traffic.received),
        )?;
        self.total(
            "k3s_daas_worker_node_network_transmit_bytes",
            "Bytes sent by the interfaces with a default route",
            node.network.map(|traffic| traffic.sent),
        )?;
        self.total(
            "k3s_daas_worker_node_disk_reads_bytes",
            "Bytes read from all disks",
            node.disk.map(|io| io.read),
        )?;
        self.total(
            "k3s_daas_worker_node_disk_writes_bytes",
            "Bytes written to all disks",
            node.disk.map(|io| io.written),
        )
    }

    fn pods(&mut self, pods: &[PodUsage]) -> Result<(), Error> {
        self.counter(
            "k3s_daas_worker_pod_network_receive_bytes",
            "Bytes received by the pod's interfaces",
            pods.iter()
                .map(|pod| (pod_labels(pod), pod.network.map(|network| network.received))),
        )?;
        self.counter(
            "k3s_daas_worker_pod_network_transmit_bytes",
            "Bytes sent by the pod's interfaces",
            pods.iter()
                .map(|pod| (pod_labels(pod), pod.network.map(|network| network.sent))),
        )?;
        let rows = || pods.iter().map(|pod| (pod_labels(pod), pod.usage));
        self.counter(
            "k3s_daas_worker_pod_cpu_usage_seconds",
            "CPU time of the pod",
            rows().map(cpu),
        )?;
        self.gauge(
            "k3s_daas_worker_pod_memory_working_set_bytes",
            "Memory of the pod that cannot be taken back at once",
            rows().map(memory),
        )?;
        self.gauge(
            "k3s_daas_worker_pod_fs_used_bytes",
            "Bytes of the writable layers of the pod's containers",
            rows().map(layer),
        )?;
        self.counter(
            "k3s_daas_worker_pod_fs_reads_bytes",
            "Bytes that the pod read from disks",
            rows().map(reads),
        )?;
        self.counter(
            "k3s_daas_worker_pod_fs_writes_bytes",
            "Bytes that the pod wrote to disks",
            rows().map(writes),
        )
    }

    fn containers(&mut self, pods: &[PodUsage]) -> Result<(), Error> {
        let rows = || {
            pods.iter().flat_map(|pod| {
                pod.containers.iter().map(move |one| {
                    let [namespace, name] = pod_labels(pod);
                    let labels: ContainerLabels<'_> = [namespace, name, ("container", &one.name)];
                    (labels, one.usage)
                })
            })
        };
        self.counter(
            "k3s_daas_worker_container_cpu_usage_seconds",
            "CPU time of the container",
            rows().map(cpu),
        )?;
        self.gauge(
            "k3s_daas_worker_container_memory_working_set_bytes",
            "Memory of the container that cannot be taken back at once",
            rows().map(memory),
        )?;
        self.gauge(
            "k3s_daas_worker_container_fs_used_bytes",
            "Bytes of the container's writable layer",
            rows().map(layer),
        )?;
        self.counter(
            "k3s_daas_worker_container_fs_reads_bytes",
            "Bytes that the container read from disks",
            rows().map(reads),
        )?;
        self.counter(
            "k3s_daas_worker_container_fs_writes_bytes",
            "Bytes that the container wrote to disks",
            rows().map(writes),
        )
    }

    /// A gauge without labels, left out where it is missing.
    fn one(
        &mut self,
        name: &str,
        help: &str,
        value: Option<impl EncodeGaugeValue>,
    ) -> Result<(), Error> {
        let Some(value) = value else { return Ok(()) };
        self.encoder
            .encode_descriptor(name, help, None, MetricType::Gauge)?
            .encode_gauge(&value)
    }

    /// A counter without labels, left out where it is missing.
    fn total(&mut self, name: &str, help: &str, value: Option<u64>) -> Result<(), Error> {
        let Some(value) = value else { return Ok(()) };
        self.encoder
            .encode_descriptor(name, help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn gauge<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (L, Option<u64>)>,
    ) -> Result<(), Error> {
        let mut family = self
            .encoder
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in rows {
            let Some(value) = value else { continue };
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// `_total` is appended to the name.
    fn counter<L: EncodeLabelSet, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (L, Option<V>)>,
    ) -> Result<(), Error> {
        let mut family = self
            .encoder
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in rows {
            let Some(value) = value else { continue };
            family
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }
}

fn cpu<L>((labels, usage): (L, Usage)) -> (L, Option<f64>) {
    (
        labels,
        usage
            .cpu
            .map(|nanoseconds| Duration::from_nanos(nanoseconds).as_secs_f64()),
    )
}

fn memory<L>((labels, usage): (L, Usage)) -> (L, Option<u64>) {
    (labels, usage.memory)
}

fn layer<L>((labels, usage): (L, Usage)) -> (L, Option<u64>) {
    (labels, usage.layer)
}

fn reads<L>((labels, usage): (L, Usage)) -> (L, Option<u64>) {
    (labels, usage.io.map(|io| io.read))
}

fn writes<L>((labels, usage): (L, Usage)) -> (L, Option<u64>) {
    (labels, usage.io.map(|io| io.written))
}

#[cfg(test)]
mod tests;
