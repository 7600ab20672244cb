//! Seals that are lost by fault, and names that are lost.

use std::time::Instant;

use node_admission::sealed_node::NodeState;
use seal::{Mist, NodeStanding, SealStatus};
use serde_json::json;

use crate::bench::{Bench, until};
use crate::chain::FAR;

pub(crate) async fn a_fault_cuts_at_once_and_a_restake_brings_the_node_back(bench: &Bench) {
    bench.joined("slashed", 1).await;
    bench.pod("slashed-web", "slashed", "a", json!({})).await;
    // A static pod's mirror: no eviction moves it, a cut deletes it.
    bench
        .pod(
            "slashed-static",
            "slashed",
            "a",
            json!({ "annotations": { "kubernetes.io/config.mirror": "x" } }),
        )
        .await;
    let before = bench.node("slashed").await.unwrap();

    let begun = Instant::now();
    bench.chain.set("slashed", SealStatus::Slashed);
    bench.is_cut("slashed").await;
    eprintln!("a slash cut its node off in {:?}", begun.elapsed());
    let status = bench.status("slashed").await;
    assert_eq!(status.reason.as_deref(), Some("slashed"));
    assert_eq!(bench.condition("slashed", "Sealed").await, "False");
    until("its standing is known", async || {
        bench.nodes.standing("slashed") == NodeStanding::Cut
    })
    .await;

    bench.chain.set("slashed", SealStatus::Active);
    bench.is_open("slashed").await;
    let after = bench.node("slashed").await.unwrap();
    assert_ne!(after.metadata.uid, before.metadata.uid);
    let status = bench.status("slashed").await;
    assert_eq!((status.ended_at_ms, status.drain_until_ms), (None, None));
    until("it is told", async || {
        bench.reasons("slashed").await == ["SealBack", "SealEndedCut"]
    })
    .await;
}

pub(crate) async fn every_fault_cuts(bench: &Bench) {
    for node in ["revoked", "poor", "voided", "sold"] {
        bench.joined(node, 2).await;
    }
    bench.chain.set("revoked", SealStatus::Revoked);
    bench.chain.change("poor", |record| record.stake = Mist(1));
    for (node, to) in [("voided", None), ("sold", Some(99))] {
        let record = bench.chain.record(node);
        bench.chain.claim_goes(node, to);
        // Claims tell of nothing: any change of the node leads there.
        assert_eq!(record.status, SealStatus::Active);
        bench
            .patch_node(
                node,
                json!({ "metadata": { "labels": { "touched": "1" } } }),
            )
            .await;
    }
    for (node, reason) in [
        ("revoked", "revoked"),
        ("poor", "stake_too_low"),
        ("voided", "claim_voided"),
        ("sold", "claimed_by_another_owner"),
    ] {
        bench.is_cut(node).await;
        let status = bench.status(node).await;
        assert_eq!(status.reason.as_deref(), Some(reason), "{node}");
    }
}

/// K3s puts a finalizer on each Node: a deletion is one only when its supervisor took it off.
pub(crate) async fn a_finalizer_is_waited_for(bench: &Bench) {
    let finalizers = |list: &[&str]| json!({ "metadata": { "finalizers": list } });
    bench.joined("finalized", 3).await;
    bench
        .pod("finalized-web", "finalized", "a", json!({}))
        .await;
    bench
        .patch_node("finalized", finalizers(&["wrangler.cattle.io/node"]))
        .await;
    bench.chain.set("finalized", SealStatus::Slashed);
    bench.reaches("finalized", NodeState::Cut).await;
    until("it is being deleted, without pods", async || {
        let node = bench.node("finalized").await.unwrap();
        node.metadata.deletion_timestamp.is_some() && bench.pods_of("finalized").await.is_empty()
    })
    .await;
    // Usable again before it is gone: what is going goes, and a new one is made.
    bench.chain.set("finalized", SealStatus::Active);
    bench.reaches("finalized", NodeState::Active).await;
    let before = bench.node("finalized").await.unwrap().metadata.uid;
    bench.patch_node("finalized", finalizers(&[])).await;
    until("a new one is there", async || {
        let node = bench.node("finalized").await;
        node.is_some_and(|node| node.metadata.uid != before)
    })
    .await;
    bench.is_open("finalized").await;
}

pub(crate) async fn a_cut_before_the_agent_asked_makes_no_node(bench: &Bench) {
    let node = "registered";
    bench.chain.stake(node, 4, FAR);
    let registration = node_admission::sealed_node::Registration {
        ip_address: "10.1.2.3".to_owned(),
        cpu: "4".to_owned(),
        memory: "16Gi".to_owned(),
        storage: "100Gi".to_owned(),
        at_ms: 1,
    };
    let (record, hash) = (bench.chain.record(node), bench.chain.hash(node));
    let name = node.parse().unwrap();
    let registered = bench
        .nodes
        .register(&bench.client, &name, hash, &record, registration);
    registered.await.unwrap();
    until("it is shown", async || {
        bench.condition(node, "Sealed").await == "True"
    })
    .await;
    bench.chain.set(node, SealStatus::Slashed);
    until("its end is shown", async || {
        bench.condition(node, "Sealed").await == "False"
    })
    .await;
    assert_eq!(bench.status(node).await.state, NodeState::Pending);
    bench.chain.set(node, SealStatus::Active);
    until("it is back", async || {
        bench.condition(node, "Sealed").await == "True"
    })
    .await;
    let status = bench.status(node).await;
    assert_eq!(status.state, NodeState::Pending);
    assert!(status.registration.is_some(), "what others wrote stays");
    assert!(bench.node(node).await.is_none(), "its agent never asked");
}
