//! Kills, leaders, and how little is written.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use seal::Tier;
use serde_json::json;
use tenancy::namespaces::{TenantMetrics, Tenants};

use crate::bench::{Bench, home, owner, settings, spawn, until};
use crate::chain::FAR;
use crate::lives;

/// The whole life with a controller that is killed all the time.
pub(crate) async fn a_life_under_kills(bench: &Bench) {
    let (me, name) = (owner(9), home(9));
    bench.chain.stake(me, 2, FAR);
    bench.ensure_home(9, Tier::Developer).await;
    lives::furnish(bench, &name).await;
    let killer = async {
        for pause in (0..).map(|kill: u64| 300 + kill * 271 % 900) {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            bench.restart().await;
        }
    };
    let life = async {
        bench.chain.slash(me);
        bench.reaches(&name, "stopped").await;
        lives::is_stopped(bench, &name).await;
        bench.chain.stake(me, 2, FAR);
        bench.reaches(&name, "active").await;
        lives::is_restored(bench, &name).await;
        bench.chain.slash(me);
        bench.reaches(&name, "gone").await;
    };
    tokio::select! {
        () = life => {}
        () = killer => {}
    }
    bench.restart().await;
}

fn metric(registry: &Registry, line: &str) -> bool {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text.lines().any(|found| found == line)
}

pub(crate) async fn nothing_is_written_when_nothing_changes(bench: &Bench) {
    until("this process leads", async || {
        metric(&bench.registry, "k3s_daas_tenancy_leader 1")
    })
    .await;
    // Whatever is under way ends: only namespaces in a lasting state are left.
    let quiet = Duration::from_secs(3);
    until("no more writes", async || {
        let before = bench.tenants.writes();
        tokio::time::sleep(quiet).await;
        bench.tenants.writes() == before
    })
    .await;
    let before = bench.tenants.writes();
    // All are looked at, twice: with the same settings, and by a controller that knows nothing yet.
    bench.tenants.replace_settings(settings());
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.restart().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.tenants.writes(), before);
    until("the foreign ones are counted", async || {
        metric(
            &bench.registry,
            "k3s_daas_tenancy_namespaces{state=\"foreign\"} 2",
        )
    })
    .await;
}

pub(crate) async fn one_of_two_leads_and_the_other_follows(bench: &Bench) {
    let mut registry = Registry::default();
    let metrics = TenantMetrics::register(&mut registry);
    let second = Tenants::new(Arc::clone(&bench.chain), settings(), metrics);
    let running = spawn(&second, &bench.client, "two");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(metric(&bench.registry, "k3s_daas_tenancy_leader 1"));
    assert!(metric(&registry, "k3s_daas_tenancy_leader 0"));
    assert_eq!(second.writes(), 0);

    bench.kill().await;
    until("the first no longer leads", async || {
        metric(&bench.registry, "k3s_daas_tenancy_leader 0")
    })
    .await;
    let name = home(4);
    let raised = json!({ "spec": { "hard": { "pods": "77" } } });
    bench
        .patch(Some(&name), "ResourceQuota", "k3s-daas-quota", raised)
        .await;
    until("the second leads", async || {
        metric(&registry, "k3s_daas_tenancy_leader 1")
    })
    .await;
    until("and repairs what happened meanwhile", async || {
        let quota = bench.get(&name, "ResourceQuota", "k3s-daas-quota").await;
        quota.is_some_and(|quota| quota["spec"]["hard"]["pods"] == "4")
    })
    .await;
    running.abort();
}
