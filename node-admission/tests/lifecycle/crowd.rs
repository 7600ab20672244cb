//! Many at once.

use std::time::Instant;

use futures::future::join_all;
use node_admission::sealed_node::NodeState;
use seal::SealStatus;
use serde_json::json;

use crate::bench::{Bench, metric, until};

/// A batch slash: how long until the last one is cut off.
pub(crate) async fn a_hundred_at_once(bench: &Bench) {
    let names: Vec<String> = (0..100).map(|number| format!("crowd-{number}")).collect();
    join_all(names.iter().map(async |node| {
        bench.joined(node, 50).await;
        for pod in 0..2 {
            bench
                .pod(&format!("{node}-{pod}"), node, "g", json!({}))
                .await;
        }
    }))
    .await;
    until("each is known", async || {
        bench.nodes.sealed_nodes().len() >= names.len()
    })
    .await;
    let reaction = "k3s_daas_nodes_reaction_duration_seconds_";
    let sum = |what: &str| metric(&bench.registry, &format!("{reaction}{what}"));
    let (before, times) = (sum("sum"), sum("count"));
    let begun = Instant::now();
    for node in &names {
        bench.chain.set(node, SealStatus::Slashed);
    }
    let is_cut = |node: &str| {
        let sealed = bench.nodes.sealed_node(node);
        sealed
            .and_then(|sealed| sealed.status.clone())
            .is_some_and(|status| status.state == NodeState::Cut)
    };
    until("all are cut", async || {
        names.iter().all(|node| is_cut(node))
    })
    .await;
    let cut = begun.elapsed();
    until("no Node is left", async || {
        let (nodes, all) = (bench.kube_nodes(), kube::api::ListParams::default());
        let nodes = nodes.list_metadata(&all).await.unwrap().items;
        let is_ours = |name: &String| name.starts_with("crowd-");
        !nodes
            .iter()
            .filter_map(|node| node.metadata.name.as_ref())
            .any(is_ours)
    })
    .await;
    let gone = begun.elapsed();
    until("no pod is left", async || {
        for node in &names {
            if !bench.pods_of(node).await.is_empty() {
                return false;
            }
        }
        true
    })
    .await;
    let mean = (sum("sum") - before) / (sum("count") - times);
    eprintln!(
        "100 nodes slashed at once: all marked Cut after {cut:?}, Nodes gone after {gone:?}; a \
         look answered its news after {mean:.3} s in the mean"
    );
    let alone = &names[0];
    bench.chain.set(alone, SealStatus::Active);
    bench.is_open(alone).await;
    bench.pod("crowd-alone", alone, "g", json!({})).await;
    let begun = Instant::now();
    bench.chain.set(alone, SealStatus::Slashed);
    until_at_once(async || bench.node(alone).await.is_none()).await;
    eprintln!("one alone: its Node gone after {:?}", begun.elapsed());
    assert!(
        bench.chain.held() >= names.len(),
        "their seals stay in view"
    );
}

/// Looks all the time: what is waited for takes some milliseconds.
async fn until_at_once(is_so: impl AsyncFn() -> bool) {
    let look = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    let patience = std::time::Duration::from_secs(10);
    tokio::time::timeout(patience, look).await.expect("in time");
}
