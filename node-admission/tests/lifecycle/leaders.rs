//! Leaders, and how little is written.

use std::sync::Arc;
use std::time::Duration;

use node_admission::sealed_node::NodeState;
use node_admission::{NodeMetrics, Nodes};
use prometheus_client::registry::Registry;
use seal::SealStatus;

use crate::bench::{Bench, metric, settings, spawn, until};

const LEADER: &str = "k3s_daas_nodes_leader";
const WRITES: &str = "k3s_daas_nodes_writes_total";

fn leads(registry: &Registry) -> bool {
    metric(registry, LEADER) > 0.5
}

fn writes(registry: &Registry) -> u64 {
    // A count of a test's writes is small.
    format!("{:.0}", metric(registry, WRITES)).parse().unwrap()
}

pub(crate) async fn nothing_is_written_when_nothing_changes(bench: &Bench) {
    until("this process leads", async || leads(&bench.registry)).await;
    let quiet = Duration::from_secs(3);
    until("no more writes", async || {
        let before = writes(&bench.registry);
        tokio::time::sleep(quiet).await;
        writes(&bench.registry) == before
    })
    .await;
    let before = writes(&bench.registry);
    // All are looked at, twice: with the same settings, and by a controller that knows nothing yet.
    let looks = || {
        metric(
            &bench.registry,
            "k3s_daas_nodes_reconciles_total{outcome=\"ok\"}",
        )
    };
    let looked = looks();
    bench.nodes.replace_settings(settings());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(looks() >= looked + 100.0, "all are looked at");
    bench.restart().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(writes(&bench.registry), before);
}

pub(crate) async fn one_of_two_leads_and_the_other_follows(bench: &Bench) {
    bench.joined("replicated", 60).await;
    let mut registry = Registry::default();
    let metrics = NodeMetrics::register(&mut registry);
    let second = Nodes::new(Arc::clone(&bench.chain), settings(), metrics);
    let running = spawn(&second, &bench.client, "two");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(leads(&bench.registry) && !leads(&registry));
    assert_eq!(writes(&registry), 0);

    bench.kill().await;
    assert!(!leads(&bench.registry));
    // What happens while nobody leads is found by the next one.
    bench.chain.set("replicated", SealStatus::Slashed);
    until("the second leads", async || leads(&registry)).await;
    bench.is_cut("replicated").await;
    assert_eq!(bench.status("replicated").await.state, NodeState::Cut);
    running.abort();
    let _ = running.await;
    assert!(!leads(&registry));
}
