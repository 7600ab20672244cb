//! What is known of nodes, as it is kept and shown.

use std::time::Duration;

use k3s_configs::launch::{Search, find_kubectl};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use node_admission::JoinError;
use node_admission::sealed_node::{Heartbeat, NodeState, Registration, SealedNode, SealedNodeSpec};
use seal::NodeStanding;

use crate::bench::{Bench, fresh, name, until};
use crate::chain::{hash, record};

fn registration() -> Registration {
    Registration {
        ip_address: "10.0.1.5".to_owned(),
        cpu: "4".to_owned(),
        memory: "16Gi".to_owned(),
        storage: "100Gi".to_owned(),
        at_ms: 1,
    }
}

fn heartbeat(pod_count: u32) -> Heartbeat {
    Heartbeat {
        at_ms: 2,
        sent_ms: 1,
        cpu_usage: Some(12.5),
        memory_usage: Some(50.0),
        pod_count: Some(pod_count),
        container_count: Some(4),
        network_rx: Some(u64::MAX),
        network_tx: Some(6),
    }
}

async fn register(bench: &Bench, owner: u8, node: &str) -> Result<(), JoinError> {
    let name = name(node);
    let record = record(owner, &name);
    let said = registration();
    bench
        .nodes
        .register(&bench.client, &name, hash(owner), &record, said)
        .await
}

pub(crate) async fn a_machine_is_registered_before_it_joins(bench: &Bench) {
    register(bench, 21, "registered").await.unwrap();
    let sealed = bench.sealed("registered").await.unwrap();
    let status = sealed.status.unwrap();
    assert_eq!(status.state, NodeState::Pending);
    assert_eq!(status.registration, Some(registration()));
    assert!(
        bench.node("registered").await.is_none(),
        "its agent has not asked"
    );
    until("it is known", async || {
        bench.nodes.sealed_node("registered").is_some()
    })
    .await;
    assert_eq!(bench.nodes.standing("registered"), NodeStanding::Unknown);
    bench.admit(21, "registered").await.unwrap();
    let status = bench.sealed("registered").await.unwrap().status.unwrap();
    assert_eq!(status.state, NodeState::Active);
    assert_eq!(status.registration, Some(registration()), "and is kept");

    let refused = register(bench, 22, "registered").await.unwrap_err();
    assert!(matches!(refused, JoinError::Taken), "{refused}");
    let refused = register(bench, 22, "master").await.unwrap_err();
    assert!(matches!(refused, JoinError::Reserved), "{refused}");
}

pub(crate) async fn heartbeats_are_kept_now_and_then(bench: &Bench) {
    let unknown = name("nobody");
    let nobody = bench.nodes.heartbeat(&bench.client, &unknown, heartbeat(1));
    assert!(matches!(nobody.await, Err(JoinError::Missing)));
    bench.admit(23, "beating").await.unwrap();
    let written = "k3s_daas_nodes_heartbeats_total{outcome=\"written\"}";
    let before = bench.count(written);
    for pods in 0..20 {
        let name = name("beating");
        let kept = bench.nodes.heartbeat(&bench.client, &name, heartbeat(pods));
        kept.await.unwrap();
    }
    assert_eq!(bench.count(written) - before, 1);
    let status = bench.sealed("beating").await.unwrap().status.unwrap();
    assert_eq!(status.state, NodeState::Active, "and nothing else changes");
    let kept = status.heartbeat.unwrap();
    assert_eq!((kept.pod_count, kept.cpu_usage), (Some(0), Some(12.5)));
    assert_eq!(kept.network_rx, Some(i64::MAX.unsigned_abs()));
}

pub(crate) async fn kubectl_shows_what_is_known(bench: &Bench) {
    let run = async |arguments: &[&str]| {
        let kubectl = find_kubectl(&Search::from_environment(), None).unwrap();
        let mut command = kubectl.command(&bench.cluster.plane.admin_kubeconfig);
        command.args(arguments).kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_secs(20), command.output());
        let output = output.await.unwrap().unwrap();
        let (out, errors) = (output.stdout, output.stderr);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&errors)
        );
        String::from_utf8(out).unwrap()
    };
    let shown = run(&["get", "sealednodes", "trusted-1"]).await;
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let lines: Vec<Vec<String>> = shown.lines().map(words).collect();
    let columns = ["NAME", "STATE", "STAKE", "TIER", "EXPIRES", "REASON", "AGE"];
    assert_eq!(lines[0], columns);
    let row = [
        "trusted-1",
        "Active",
        "2000000000",
        "developer",
        "2031-01-01T00:00:00Z",
        "usable",
    ];
    assert_eq!(lines[1][..6], row);
    let wide = run(&["get", "sn", "trusted-1", "-o", "wide"]).await;
    assert!(
        wide.contains("0x0101"),
        "the owner, by the short name: {wide}"
    );
    let explained = run(&["explain", "sealednodes.status.state"]).await;
    assert!(explained.contains("Draining"), "{explained}");
}

pub(crate) async fn what_is_no_identifier_is_refused(bench: &Bench) {
    let good = SealedNodeSpec {
        owner: format!("0x{}", "0".repeat(64)),
        seal_id: format!("0x{}", "0".repeat(64)),
        credential_hash: "0".repeat(64),
    };
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let all = bench.sealed_nodes();
    let make = async |spec| all.create(&dry_run, &SealedNode::new("tried", spec)).await;
    make(good.clone()).await.unwrap();
    for bad in [
        SealedNodeSpec {
            owner: "0x2".to_owned(),
            ..good.clone()
        },
        SealedNodeSpec {
            seal_id: good.credential_hash.clone(),
            ..good.clone()
        },
        SealedNodeSpec {
            credential_hash: good.owner.clone(),
            ..good.clone()
        },
    ] {
        let refused = make(bad).await.unwrap_err();
        assert!(refused.to_string().contains("should match"), "{refused}");
    }
}

/// Somebody deletes the definition, and all that is known of nodes with it.
pub(crate) async fn the_definition_comes_back(bench: &Bench) {
    let definitions: Api<CustomResourceDefinition> = Api::all(bench.client.clone());
    let name = "sealednodes.k3s-daas.io";
    let deleted = definitions.delete(name, &DeleteParams::default()).await;
    drop(deleted.unwrap());
    until("nothing is known", async || {
        bench.nodes.sealed_nodes().is_empty()
    })
    .await;
    until("the definition is back", async || {
        matches!(bench.admit_by(&fresh(), 31, "afterwards").await, Ok(()))
    })
    .await;
    until("it is followed", async || {
        bench.nodes.sealed_node("afterwards").is_some()
    })
    .await;
}
