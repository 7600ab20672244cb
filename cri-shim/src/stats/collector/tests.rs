use std::sync::Arc;

use prometheus_client::registry::Registry;

use super::super::snapshot::{ContainerUsage, Io, NodeUsage, Traffic};
use super::super::{Stats, StatsSettings};
use super::*;

fn page(stats: &Stats) -> String {
    let mut registry = Registry::default();
    stats.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text
}

fn snapshot() -> Snapshot {
    let usage = Usage {
        cpu: Some(1_500_000_000),
        memory: Some(4096),
        layer: Some(8192),
        io: Some(Io {
            read: 7,
            written: 9,
        }),
    };
    Snapshot {
        node: NodeUsage {
            cpu: Some(25.0),
            ..NodeUsage::default()
        },
        pods: vec![PodUsage {
            namespace: "default".into(),
            pod: "web".into(),
            usage,
            network: Some(Traffic {
                received: 11,
                sent: 13,
            }),
            containers: vec![
                ContainerUsage {
                    name: "app".into(),
                    usage,
                },
                ContainerUsage {
                    name: "idle".into(),
                    usage: Usage::default(),
                },
            ],
        }],
        pod_count: Some(1),
        container_count: Some(2),
        ..Snapshot::default()
    }
}

#[test]
fn shows_every_figure_with_namespace_pod_and_container_only() {
    let stats = Stats::new(StatsSettings::new("/nonexistent"));
    stats.store(snapshot());
    let text = page(&stats);
    for line in [
        r#"k3s_daas_worker_pod_cpu_usage_seconds_total{namespace="default",pod="web"} 1.5"#,
        r#"k3s_daas_worker_pod_memory_working_set_bytes{namespace="default",pod="web"} 4096"#,
        r#"k3s_daas_worker_pod_network_receive_bytes_total{namespace="default",pod="web"} 11"#,
        r#"k3s_daas_worker_pod_network_transmit_bytes_total{namespace="default",pod="web"} 13"#,
        r#"k3s_daas_worker_pod_fs_used_bytes{namespace="default",pod="web"} 8192"#,
        r#"k3s_daas_worker_pod_fs_reads_bytes_total{namespace="default",pod="web"} 7"#,
        r#"k3s_daas_worker_pod_fs_writes_bytes_total{namespace="default",pod="web"} 9"#,
        r#"k3s_daas_worker_container_cpu_usage_seconds_total{namespace="default",pod="web",container="app"} 1.5"#,
        r#"k3s_daas_worker_container_fs_used_bytes{namespace="default",pod="web",container="app"} 8192"#,
        "k3s_daas_worker_pods 1",
        "k3s_daas_worker_containers 2",
        "k3s_daas_worker_pods_left_out 0",
        "k3s_daas_worker_node_cpu_usage_ratio 0.25",
        "k3s_daas_worker_stats_polls_total 1",
        r#"k3s_daas_worker_stats_failures_total{source="lists"} 0"#,
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
    // Missing is absent.
    assert!(!text.contains("idle"), "{text}");
    assert!(
        !text.contains("node_memory") && !text.contains("node_network"),
        "{text}"
    );
}

#[test]
fn series_end_with_their_pod() {
    let stats = Stats::new(StatsSettings::new("/nonexistent"));
    assert!(!page(&stats).contains("worker_pods"));
    stats.store(snapshot());
    assert!(page(&stats).contains("web"));
    stats.store(Snapshot {
        pod_count: Some(0),
        ..Snapshot::default()
    });
    let text = page(&stats);
    assert!(
        !text.contains("web") && text.contains("k3s_daas_worker_pods 0"),
        "{text}"
    );
    assert!(Arc::ptr_eq(
        &stats.latest().unwrap(),
        &stats.latest().unwrap()
    ));
}
