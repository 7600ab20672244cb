//! A controller that dies in the middle of everything.

use std::time::Duration;

use node_admission::sealed_node::NodeState;
use seal::SealStatus;
use serde_json::json;

use crate::bench::{Bench, our_taints, until};

/// Whatever stood when the last one died, the next one completes it.
pub(crate) async fn what_broke_off_is_completed(bench: &Bench) {
    let all = [
        "half-1", "half-2", "half-3", "half-4", "half-5", "half-6", "half-7",
    ];
    for node in all {
        bench.joined(node, 40).await;
        bench
            .pod(&format!("{node}-web"), node, "e", json!({}))
            .await;
    }
    bench.kill().await;
    let cut = json!({ "state": "Cut" });
    let close = |key: &str, effect: &str| {
        json!({
            "metadata": { "annotations": { "k3s-daas.io/cordoned": "true" } },
            "spec": { "unschedulable": true, "taints": [{ "key": key, "effect": effect }] },
        })
    };
    // 1: `Cut` is written, and nothing else. 2: its Node is closed too. 3: its Node is gone.
    for node in ["half-1", "half-2", "half-3"] {
        bench.chain.set(node, SealStatus::Slashed);
        bench.patch_status(node, cut.clone()).await;
    }
    bench
        .patch_node("half-2", close("k3s-daas.io/cut", "NoExecute"))
        .await;
    bench.delete_node("half-3").await;
    // 4: `Draining` is written, and nothing else. 5: its grace has ended meanwhile.
    let soon = u64::MAX / 4;
    for (node, until) in [("half-4", soon), ("half-5", 1)] {
        bench.chain.expire(node);
        let draining = json!({ "state": "Draining", "drainUntilMs": until, "endedAtMs": 1 });
        bench.patch_status(node, draining).await;
    }
    // 6: drained and back meanwhile, its Node still closed. 7: cut and back, its Node gone.
    bench
        .patch_status("half-6", json!({ "state": "Draining", "drainUntilMs": 1 }))
        .await;
    bench
        .patch_node("half-6", close("k3s-daas.io/draining", "NoSchedule"))
        .await;
    bench.patch_status("half-7", cut).await;
    bench.delete_node("half-7").await;

    bench.revive();
    for node in ["half-1", "half-2", "half-3", "half-4", "half-5"] {
        bench.is_cut(node).await;
    }
    for node in ["half-6", "half-7"] {
        bench.is_open(node).await;
    }
    assert_eq!(bench.pods_of("half-6").await, ["half-6-web"]);
}

/// Whole lives with a controller that is killed all the time.
pub(crate) async fn a_life_under_kills(bench: &Bench) {
    let node = "killed";
    bench.joined(node, 41).await;
    let killer = async {
        for pause in (0..).map(|kill: u64| 30 + kill * 271 % 220) {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            bench.restart().await;
        }
    };
    let life = async {
        for round in 0..8 {
            bench
                .pod(&format!("killed-{round}"), node, "f", json!({}))
                .await;
            bench.chain.set(node, SealStatus::Slashed);
            bench.is_cut(node).await;
            bench.chain.set(node, SealStatus::Active);
            bench.is_open(node).await;
            bench
                .pod(&format!("killed-again-{round}"), node, "f", json!({}))
                .await;
            bench.chain.set(node, SealStatus::Unbonding);
            bench.is_cut(node).await;
            bench.chain.set(node, SealStatus::Active);
            bench.is_open(node).await;
        }
    };
    tokio::select! {
        () = life => {}
        () = killer => {}
    }
    bench.restart().await;
    until("it is as it should be", async || {
        let found = bench.node(node).await;
        let status = bench.status(node).await;
        status.state == NodeState::Active && found.is_some_and(|node| our_taints(&node).is_empty())
    })
    .await;
}
