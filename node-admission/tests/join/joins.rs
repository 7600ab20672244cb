//! Agents ask to join.

use std::time::{Duration, Instant};

use futures::future::join_all;
use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use node_admission::JoinError;
use node_admission::sealed_node::{NodeState, SealedNode};
use seal::{NodeStanding, identity};
use serde_json::json;

use crate::bench::{Bench, fresh, name, until};
use crate::chain::{hash, record};

fn taints(node: &Node) -> Vec<String> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone());
    let show = |taint: k8s_openapi::api::core::v1::Taint| format!("{}:{}", taint.key, taint.effect);
    taints.unwrap_or_default().into_iter().map(show).collect()
}

const UNINITIALIZED: &str = "node.cloudprovider.kubernetes.io/uninitialized:NoSchedule";

/// The Node, the SealedNode and the standing of one that joined.
pub(crate) async fn a_node_is_made_for_whoever_may_join(bench: &Bench) {
    assert_eq!(bench.nodes.standing("trusted-1"), NodeStanding::Unknown);
    bench.admit(1, "trusted-1").await.unwrap();
    let node = bench.node("trusted-1").await.unwrap();
    let annotations = node.metadata.annotations.clone().unwrap();
    let record = record(1, &name("trusted-1"));
    assert_eq!(
        annotations[identity::ANNOTATION_OWNER],
        record.owner.to_string()
    );
    assert_eq!(
        annotations[identity::ANNOTATION_SEAL],
        record.seal_id.to_string()
    );
    let labels = node.metadata.labels.clone().unwrap();
    assert_eq!(labels[identity::LABEL_TRUST], identity::TRUST_OPERATOR);
    assert!(
        taints(&node).contains(&UNINITIALIZED.to_owned()),
        "{node:?}"
    );

    let sealed = bench.sealed("trusted-1").await.unwrap();
    assert_eq!(sealed.spec.credential_hash, hash(1).to_string());
    let status = sealed.status.unwrap();
    assert_eq!(status.state, NodeState::Active);
    assert_eq!(status.stake_mist, Some(2_000_000_000));
    assert_eq!(status.tier.as_deref(), Some("developer"));
    assert_eq!(status.expires.as_deref(), Some("2031-01-01T00:00:00Z"));
    until("trusted-1 is known", async || {
        bench.nodes.standing("trusted-1") == NodeStanding::Active
    })
    .await;
    // Again: nothing changes.
    bench.admit(1, "trusted-1").await.unwrap();
    let again = bench.node("trusted-1").await.unwrap();
    assert_eq!(again.metadata.uid, node.metadata.uid);
}

pub(crate) async fn a_hundred_reviews_make_one_node(bench: &Bench) {
    let all = join_all((0..100).map(|_| bench.admit(2, "crowded"))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert!(bench.node("crowded").await.is_some());
    assert_eq!(bench.count("k3s_daas_nodes_made_total"), 1);
    let attempts = bench.count("k3s_daas_nodes_join_duration_seconds_count");
    assert_eq!(attempts, 1, "one for all of them");
    // Another replica, at the same time.
    let (one, two) = (fresh(), fresh());
    let both = tokio::join!(
        bench.admit_by(&one, 2, "twice"),
        bench.admit_by(&two, 2, "twice")
    );
    both.0.unwrap();
    both.1.unwrap();
}

pub(crate) async fn names_of_others_are_left_alone(bench: &Bench) {
    // A Node that joined with a static token, say.
    let foreign = json!({ "metadata": { "name": "foreign" } });
    let foreign: Node = serde_json::from_value(foreign).unwrap();
    let nodes = bench.kube_nodes();
    let made = nodes
        .create(&PostParams::default(), &foreign)
        .await
        .unwrap();
    let refused = bench.admit(3, "foreign").await.unwrap_err();
    assert!(matches!(refused, JoinError::Taken), "{refused}");
    let after = bench.node("foreign").await.unwrap();
    assert_eq!(after.metadata.uid, made.metadata.uid);
    let annotations = after.metadata.annotations.unwrap_or_default();
    assert!(!annotations.contains_key(identity::ANNOTATION_OWNER));
    assert!(bench.sealed("foreign").await.is_none());

    // A Node of another owner's seal, and its SealedNode alone.
    bench.admit(4, "owned").await.unwrap();
    let refused = bench.admit(5, "owned").await.unwrap_err();
    assert!(matches!(refused, JoinError::Taken), "{refused}");
    let nodes = bench.kube_nodes();
    nodes
        .delete("owned", &DeleteParams::default())
        .await
        .unwrap();
    let again = bench.admit_by(&fresh(), 5, "owned").await;
    assert!(matches!(again, Err(JoinError::Taken)), "{again:?}");
    assert!(bench.node("owned").await.is_none());

    for reserved in ["localhost", "kubernetes", "master"] {
        let refused = bench.admit(6, reserved).await.unwrap_err();
        assert!(matches!(refused, JoinError::Reserved), "{reserved}");
        assert!(bench.sealed(reserved).await.is_none(), "{reserved}");
    }
}

/// A process that was killed between any two steps.
pub(crate) async fn what_broke_off_is_completed(bench: &Bench) {
    let spec = |owner| node_admission::sealed_node::SealedNodeSpec {
        owner: record(owner, &name("x")).owner.to_string(),
        seal_id: record(owner, &name("x")).seal_id.to_string(),
        credential_hash: hash(owner).to_string(),
    };
    let all = bench.sealed_nodes();
    // Only the SealedNode is there.
    let sealed = SealedNode::new("broken-1", spec(7));
    all.create(&PostParams::default(), &sealed).await.unwrap();
    bench.admit(7, "broken-1").await.unwrap();
    // It is known that the agent has asked.
    let sealed = SealedNode::new("broken-2", spec(7));
    all.create(&PostParams::default(), &sealed).await.unwrap();
    let asked = Patch::Merge(json!({ "status": { "state": "Active" } }));
    let params = PatchParams::default();
    all.patch_status("broken-2", &params, &asked).await.unwrap();
    bench.admit(7, "broken-2").await.unwrap();
    for node in ["broken-1", "broken-2"] {
        assert!(bench.node(node).await.is_some(), "{node}");
        let sealed = bench.sealed(node).await.unwrap();
        assert_eq!(sealed.status.unwrap().state, NodeState::Active, "{node}");
    }
    // Who asks may give up: the attempt goes on.
    let given_up = bench.admit(7, "broken-3");
    let given_up = tokio::time::timeout(Duration::from_millis(1), given_up).await;
    drop(given_up);
    until("broken-3 is there", async || {
        bench.node("broken-3").await.is_some()
    })
    .await;
}

/// A finalizer, as K3s puts one on every Node, keeps a deleted Node for a moment.
pub(crate) async fn a_node_that_is_being_deleted_is_waited_for(bench: &Bench) {
    let finalizers = |list: &[&str]| json!({ "metadata": { "finalizers": list } });
    for node in ["ending", "stuck"] {
        bench.admit(8, node).await.unwrap();
        bench
            .patch_node(node, finalizers(&["example.com/held"]))
            .await;
        let nodes = bench.kube_nodes();
        drop(nodes.delete(node, &DeleteParams::default()).await.unwrap());
    }
    let before = bench.node("ending").await.unwrap();
    assert!(before.metadata.deletion_timestamp.is_some());
    let goes = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        bench.patch_node("ending", finalizers(&[])).await;
    };
    let (admitted, stuck, ()) =
        tokio::join!(bench.admit(8, "ending"), bench.admit(8, "stuck"), goes);
    admitted.unwrap();
    let after = bench.node("ending").await.unwrap();
    assert_ne!(after.metadata.uid, before.metadata.uid);
    let stuck = stuck.unwrap_err();
    assert!(matches!(stuck, JoinError::Ending) && stuck.is_retryable());
    bench.patch_node("stuck", finalizers(&[])).await;
}

pub(crate) async fn a_refresh_moves_the_record_and_keeps_the_node(bench: &Bench) {
    bench.admit(9, "rotated").await.unwrap();
    let before = bench.node("rotated").await.unwrap();
    let name = name("rotated");
    let record = record(9, &name);
    let other = hash(99);
    let admitted = bench
        .nodes
        .admit(&bench.client, &name, other, &record)
        .await;
    admitted.unwrap();
    let sealed = bench.sealed("rotated").await.unwrap();
    assert_eq!(sealed.spec.credential_hash, other.to_string());
    let after = bench.node("rotated").await.unwrap();
    assert_eq!(after.metadata.uid, before.metadata.uid);
}

pub(crate) async fn a_restart_makes_the_node_anew_with_its_agents_taints(bench: &Bench) {
    bench.admit(10, "tainted").await.unwrap();
    let remembered = json!({ "status": { "agentTaints": [
        { "key": "gpu", "value": "yes", "effect": "NoExecute" },
        { "key": identity::TAINT_CUT, "effect": "NoExecute" },
    ] } });
    let params = PatchParams::default();
    let all = bench.sealed_nodes();
    let remembered = Patch::Merge(remembered);
    let patched = all.patch_status("tainted", &params, &remembered).await;
    patched.unwrap();
    let nodes = bench.kube_nodes();
    nodes
        .delete("tainted", &DeleteParams::default())
        .await
        .unwrap();
    bench.admit(10, "tainted").await.unwrap();
    let node = bench.node("tainted").await.unwrap();
    let ours: Vec<String> = taints(&node)
        .into_iter()
        // The node lifecycle controller has taints of its own.
        .filter(|taint| !taint.starts_with("node.kubernetes.io/"))
        .collect();
    assert_eq!(ours, [UNINITIALIZED, "gpu:NoExecute"]);
}

/// `$K3S_DAAS_CROWD` nodes, 200 where it does not say.
pub(crate) async fn many_nodes_at_once(bench: &Bench) {
    let crowd = std::env::var("K3S_DAAS_CROWD").ok();
    let crowd: usize = crowd.and_then(|text| text.parse().ok()).unwrap_or(200);
    let made = bench.count("k3s_daas_nodes_made_total");
    let begun = Instant::now();
    let mut times: Vec<Duration> = join_all((0..crowd).map(async |number| {
        let begun = Instant::now();
        let node = format!("many-{number}");
        bench
            .admit(11, &node)
            .await
            .unwrap_or_else(|error| panic!("{error:?}"));
        begun.elapsed()
    }))
    .await;
    let all = begun.elapsed();
    times.sort_unstable();
    let begun = Instant::now();
    bench.admit(11, "alone").await.unwrap();
    let alone = begun.elapsed();
    let begun = Instant::now();
    bench.admit(11, "alone").await.unwrap();
    eprintln!(
        "{crowd} nodes at once in {all:?}: median {:?}, last {:?}; one alone {alone:?}, again {:?}",
        times[times.len() / 2],
        times[times.len() - 1],
        begun.elapsed(),
    );
    let now = bench.count("k3s_daas_nodes_made_total");
    assert_eq!(now - made, u64::try_from(crowd).unwrap() + 1);
    until("all are known", async || {
        bench.nodes.sealed_node("alone").is_some() && bench.nodes.sealed_nodes().len() > crowd
    })
    .await;
}
