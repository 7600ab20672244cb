//! Seals that end without fault.

use std::time::{Duration, Instant};

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::PostParams;
use node_admission::sealed_node::NodeState;
use seal::{NodeStanding, SealStatus};
use serde_json::json;

use crate::bench::{Bench, GRACE, PODS, our_taints, until};
use crate::chain::FAR;

/// Allows no pod of this label to be evicted.
async fn budget(bench: &Bench, app: &str) {
    let budget = json!({
        "metadata": { "name": app },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": app } } },
    });
    let budget: PodDisruptionBudget = serde_json::from_value(budget).unwrap();
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(bench.client.clone(), PODS);
    budgets
        .create(&PostParams::default(), &budget)
        .await
        .unwrap();
}

pub(crate) async fn an_end_without_fault_moves_the_pods_first(bench: &Bench) {
    for (node, status) in [
        ("expired", SealStatus::Active),
        ("unbonding", SealStatus::Unbonding),
        ("retired", SealStatus::Retired),
    ] {
        bench.joined(node, 10).await;
        bench
            .pod(&format!("{node}-web"), node, "b", json!({}))
            .await;
        // A static pod's mirror: it holds up no drain, and goes with the node.
        let mirror = json!({ "annotations": { "kubernetes.io/config.mirror": "x" } });
        bench
            .pod(&format!("{node}-static"), node, "b", mirror)
            .await;
        if status == SealStatus::Active {
            bench.chain.expire(node);
        } else {
            bench.chain.set(node, status);
        }
    }
    for (node, reason) in [
        ("expired", "expired"),
        ("unbonding", "unbonding"),
        ("retired", "retired"),
    ] {
        bench.is_cut(node).await;
        assert_eq!(bench.status(node).await.reason.as_deref(), Some(reason));
        until("both steps are told", async || {
            bench.reasons(node).await == ["SealEndedCut", "SealEndedDraining"]
        })
        .await;
        bench.chain.stake(node, 10, FAR);
        bench.is_open(node).await;
    }
}

pub(crate) async fn a_budget_holds_until_the_grace_ends(bench: &Bench) {
    let node = "guarded";
    bench.joined(node, 11).await;
    budget(bench, "guarded").await;
    bench.pod("guarded-web", node, "guarded", json!({})).await;
    bench.pod("guarded-other", node, "free", json!({})).await;
    let begun = Instant::now();
    bench.chain.expire(node);
    bench.reaches(node, NodeState::Draining).await;
    until("what may go has gone", async || {
        bench.pods_of(node).await == ["guarded-web"]
    })
    .await;
    let found = bench.node(node).await.unwrap();
    assert_eq!(our_taints(&found), ["k3s-daas.io/draining"]);
    assert_eq!(found.spec.unwrap().unschedulable, Some(true));
    let status = bench.status(node).await;
    let until = status.drain_until_ms.unwrap();
    let ended_at = status.ended_at_ms.unwrap();
    assert!(until > ended_at);
    let expected = NodeStanding::Draining {
        until: seal::UnixMillis(until),
    };
    assert_eq!(bench.nodes.standing(node), expected);
    // A restart does not put it off.
    bench.restart().await;
    bench.is_cut(node).await;
    assert!(begun.elapsed() >= GRACE, "{:?}", begun.elapsed());
    assert!(begun.elapsed() < GRACE + Duration::from_secs(20));
}

pub(crate) async fn a_restake_within_the_grace_keeps_the_node(bench: &Bench) {
    for (node, app) in [("restaked", "restaked"), ("closed", "closed")] {
        bench.joined(node, 12).await;
        budget(bench, app).await;
        bench.pod(app, node, app, json!({})).await;
    }
    // Its operator closed it before.
    let closed = json!({ "spec": { "unschedulable": true } });
    bench.patch_node("closed", closed).await;
    for node in ["restaked", "closed"] {
        let before = bench.node(node).await.unwrap().metadata.uid;
        bench.chain.expire(node);
        bench.reaches(node, NodeState::Draining).await;
        until("it is marked", async || {
            !our_taints(&bench.node(node).await.unwrap()).is_empty()
        })
        .await;
        let later = bench.chain.record(node).expires_at.0 + FAR;
        bench
            .chain
            .change(node, |record| record.expires_at = seal::UnixMillis(later));
        bench.reaches(node, NodeState::Active).await;
        until("it is not marked any longer", async || {
            our_taints(&bench.node(node).await.unwrap()).is_empty()
        })
        .await;
        let after = bench.node(node).await.unwrap();
        assert_eq!(after.metadata.uid, before);
        let is_closed = after.spec.unwrap().unschedulable == Some(true);
        assert_eq!(is_closed, node == "closed", "{node}");
        assert_eq!(bench.pods_of(node).await, [node], "its pod stayed");
        let annotations = after.metadata.annotations.unwrap();
        assert!(!annotations.contains_key("k3s-daas.io/cordoned"));
    }
}

pub(crate) async fn a_fault_while_draining_cuts(bench: &Bench) {
    let node = "worse";
    bench.joined(node, 13).await;
    budget(bench, "worse").await;
    bench.pod("worse-web", node, "worse", json!({})).await;
    bench.chain.set(node, SealStatus::Unbonding);
    bench.reaches(node, NodeState::Draining).await;
    let begun = Instant::now();
    bench.chain.set(node, SealStatus::Slashed);
    bench.is_cut(node).await;
    assert!(begun.elapsed() < GRACE, "{:?}", begun.elapsed());
    assert_eq!(bench.status(node).await.reason.as_deref(), Some("slashed"));
}
