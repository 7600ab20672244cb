use super::*;

fn sandbox(id: &str, pod: &str, created: i64, state: v1::PodSandboxState) -> v1::PodSandbox {
    v1::PodSandbox {
        id: id.into(),
        metadata: Some(v1::PodSandboxMetadata {
            name: pod.into(),
            namespace: "default".into(),
            ..Default::default()
        }),
        state: state as i32,
        created_at: created,
        ..Default::default()
    }
}

#[allow(clippy::unnecessary_wraps, reason = "every figure of CRI is optional")]
fn value(value: u64) -> Option<v1::UInt64Value> {
    Some(v1::UInt64Value { value })
}

fn interface(name: &str, received: u64, sent: u64) -> v1::NetworkInterfaceUsage {
    v1::NetworkInterfaceUsage {
        name: name.into(),
        rx_bytes: value(received),
        tx_bytes: value(sent),
        ..Default::default()
    }
}

#[test]
fn the_newest_ready_sandbox_of_a_pod_stands_for_it() {
    use v1::PodSandboxState::{SandboxNotready, SandboxReady};
    let found = sandboxes(vec![
        sandbox("new", "web", 30, SandboxReady),
        sandbox("dead", "web", 40, SandboxNotready),
        sandbox("old", "web", 10, SandboxReady),
        sandbox("other", "db", 20, SandboxReady),
        v1::PodSandbox {
            id: "nameless".into(),
            ..Default::default()
        },
    ]);
    let ids: Vec<&str> = found.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["other", "new"]);
}

#[test]
fn a_crowd_of_new_pods_is_left_out() {
    let many = (0..700).map(|n| {
        sandbox(
            &format!("id{n}"),
            &format!("pod-{n}"),
            n,
            v1::PodSandboxState::SandboxReady,
        )
    });
    let mut facts = Facts {
        sandboxes: sandboxes(many.rev().collect()),
        ..Facts::default()
    };
    assert_eq!(facts.limit(), 200);
    assert_eq!(facts.sandboxes.len(), MOST_PODS);
    assert_eq!(facts.sandboxes[0].pod, "pod-0");
    assert_eq!(facts.limit(), 0);
}

#[test]
fn figures_are_taken_and_missing_ones_stay_missing() {
    let full = v1::ContainerStats {
        attributes: Some(v1::ContainerAttributes {
            id: "c1".into(),
            ..Default::default()
        }),
        cpu: Some(v1::CpuUsage {
            usage_core_nano_seconds: value(7),
            ..Default::default()
        }),
        memory: Some(v1::MemoryUsage {
            working_set_bytes: value(9),
            ..Default::default()
        }),
        writable_layer: Some(v1::FilesystemUsage {
            timestamp: 1,
            used_bytes: value(11),
            ..Default::default()
        }),
        ..Default::default()
    };
    let bare = v1::ContainerStats {
        attributes: Some(v1::ContainerAttributes {
            id: "c2".into(),
            ..Default::default()
        }),
        // Not measured yet: 0 bytes at time 0.
        writable_layer: Some(v1::FilesystemUsage {
            used_bytes: value(0),
            ..Default::default()
        }),
        ..Default::default()
    };
    let pod = v1::PodSandboxStats {
        attributes: Some(v1::PodSandboxAttributes {
            id: "s1".into(),
            ..Default::default()
        }),
        linux: Some(v1::LinuxPodSandboxStats {
            cpu: Some(v1::CpuUsage {
                usage_core_nano_seconds: value(8),
                ..Default::default()
            }),
            network: Some(v1::NetworkUsage {
                default_interface: Some(interface("eth0", 1, 2)),
                interfaces: vec![
                    interface("lo", 1000, 1000),
                    interface("eth0", 1, 2),
                    interface("net1", 10, 20),
                ],
                ..Default::default()
            }),
            containers: vec![full, bare],
            ..Default::default()
        }),
        ..Default::default()
    };
    let (pods, figures) = pod_stats(vec![pod, v1::PodSandboxStats::default()]);
    assert_eq!(pods.len(), 1);
    assert_eq!(
        pods["s1"],
        PodFigures {
            cpu: Some(8),
            memory: None,
            network: Some(Traffic {
                received: 11,
                sent: 22
            })
        }
    );
    assert_eq!(
        figures["c1"],
        Figures {
            cpu: Some(7),
            memory: Some(9),
            layer: Some(11),
            io: None
        }
    );
    assert_eq!(figures["c2"], Figures::default());
}

#[test]
fn a_default_interface_may_stand_apart() {
    let usage = v1::NetworkUsage {
        default_interface: Some(interface("eth0", 1, 2)),
        interfaces: vec![interface("net1", 10, 20)],
        ..Default::default()
    };
    assert_eq!(
        network(usage),
        Some(Traffic {
            received: 11,
            sent: 22
        })
    );
    assert_eq!(network(v1::NetworkUsage::default()), None);
}

#[test]
fn one_file_system_of_images_and_containers_counts_once() {
    let at = |mountpoint: &str, used| v1::FilesystemUsage {
        timestamp: 1,
        fs_id: Some(v1::FilesystemIdentifier {
            mountpoint: mountpoint.into(),
        }),
        used_bytes: value(used),
        ..Default::default()
    };
    let info = v1::ImageFsInfoResponse {
        image_filesystems: vec![at("/a", 5)],
        container_filesystems: vec![at("/a", 5), at("/b", 7)],
    };
    assert_eq!(images(info), Some(12));
    assert_eq!(images(v1::ImageFsInfoResponse::default()), None);
}

#[test]
fn a_name_cannot_break_the_page() {
    assert_eq!(label("web-0.a_B"), "web-0.a_B");
    assert_eq!(label("a\"} 1\nx é"), "a___1_x__");
    assert_eq!(label(&"x".repeat(1000)).len(), MOST_NAME);
}
