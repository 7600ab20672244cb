//! 200 tenants who come at the same moment: the time until each has a namespace that works, what
//! that costs the server and the API server, and how soon 20 of them are ended by slashes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::Method;
use seal::{Mist, SealToken};
use serde_json::{Value, json};

use super::report::Report;
use crate::e2e::{Caller, Cluster, Process, home, new_token};
use crate::rig::{slash, stake};

const TENANTS: usize = 200;
const SLASHES: usize = 20;
/// Wallets that stake at once.
const STAKING: usize = 16;
const DEVELOPER: Mist = Mist(2_000_000_000);
/// The design's checkpoint interval.
const INTERVAL: Duration = Duration::from_millis(250);
const WITHIN: Duration = Duration::from_mins(2);
/// For how long the server is watched when nobody does anything.
const STEADY: Duration = Duration::from_secs(60);
const CALLS: &str = "k3s_daas_kube_requests_total";

struct Tenant {
    token: SealToken,
    namespace: String,
}

/// Measures and reports; skips loudly where there is no control plane or no program.
pub async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let Some(cluster) = Cluster::start_without_gate(INTERVAL, &[]).await? else {
        crate::e2e::skipped("bench tenants", "no control plane was found");
        return Ok(());
    };
    cluster.kill_server().await?;
    let Some(mut process) = cluster.start_process().await? else {
        crate::e2e::skipped(
            "bench tenants",
            "no k3s-daas was built beside the benchmarks",
        );
        return Ok(());
    };
    process.ready().await?;
    let tenants: Vec<Tenant> = stream::iter(0..TENANTS)
        .map(|_| tenant(&cluster))
        .buffer_unordered(STAKING)
        .try_collect()
        .await?;
    let (memory, calls) = (process.resident()?, process.metric(CALLS).await?);

    let began = Instant::now();
    let usable = tenants
        .iter()
        .map(|tenant| first_use(&cluster, tenant, began));
    let mut usable = futures::future::try_join_all(usable).await?;
    usable.sort_by(f64::total_cmp);
    settle(&process).await?;
    let (memory_after, calls_after) = (process.resident()?, process.metric(CALLS).await?);
    let at = |share: f64| {
        let index = (usable.len() as f64 * share).ceil() as usize;
        usable
            .get(index.saturating_sub(1))
            .copied()
            .unwrap_or(f64::NAN)
    };
    let unit = "ms from the first request, 200 tenants at once";
    report.plain("tenants_usable_p50", at(0.5), unit, "no goal", true);
    report.plain(
        "tenants_usable_p99",
        at(0.99),
        unit,
        "under 30000",
        at(0.99) < 30_000.0,
    );
    report.plain(
        "tenants_usable_max",
        at(1.0),
        unit,
        "under 60000",
        at(1.0) < 60_000.0,
    );
    let each = (calls_after - calls) / TENANTS as f64;
    report.plain(
        "tenants_api_calls_each",
        each,
        "requests of the server to the API server",
        "under 20",
        each < 20.0,
    );
    let mebibytes = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
    report.plain(
        "tenants_memory_before",
        mebibytes(memory),
        "MiB resident",
        "told",
        true,
    );
    report.plain(
        "tenants_memory_after",
        mebibytes(memory_after),
        "MiB resident, 200 namespaces",
        "under 256",
        memory_after < 256 << 20,
    );
    tokio::time::sleep(STEADY).await;
    let steady = (process.metric(CALLS).await? - calls_after) * 60.0 / STEADY.as_secs_f64();
    report.plain(
        "tenants_steady_api_calls",
        steady,
        "requests a minute, 200 namespaces at rest",
        "under 200",
        steady < 200.0,
    );
    let ended = slashes(&cluster, &tenants).await?;
    report.plain(
        "tenants_slash_to_ended_max",
        ended,
        "ms from sending, 20 slashes in a row, checkpoints every 250 ms",
        "under 5000",
        ended < 5_000.0,
    );
    process.kill().await?;
    cluster.stop().await;
    Ok(())
}

async fn tenant(cluster: &Cluster) -> anyhow::Result<Tenant> {
    let wallet = cluster.wallet().await?;
    let token = new_token()?;
    stake(&wallet, &cluster.devnet.ids, &token, DEVELOPER).await?;
    let namespace = home(&wallet.address());
    Ok(Tenant { token, namespace })
}

/// Milliseconds until a ConfigMap and a Deployment were taken.
async fn first_use(cluster: &Cluster, tenant: &Tenant, began: Instant) -> anyhow::Result<f64> {
    let caller = Caller::from(&tenant.token);
    let namespace = &tenant.namespace;
    let configmap = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "first"},
        "data": {"key": "value"},
    });
    let labels = json!({"app": "first"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "first"},
        "spec": {
            // None: what is measured is the way to the first Deployment, not its pods.
            "replicas": 0, "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}]},
            },
        },
    });
    for (path, body) in [
        (
            format!("/api/v1/namespaces/{namespace}/configmaps"),
            configmap,
        ),
        (
            format!("/apis/apps/v1/namespaces/{namespace}/deployments"),
            deployment,
        ),
    ] {
        loop {
            // Who is not answered in time asks again, as any client does.
            let said = cluster.ask(&caller, Method::POST, &path, Some(&body)).await;
            let status = said.as_ref().map_or(0, |said| said.status);
            if matches!(status, 201 | 409) {
                break;
            }
            ensure!(began.elapsed() < WITHIN, "{path}: {said:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(began.elapsed().as_secs_f64() * 1000.0)
}

/// Waits until the server no longer has anything to do.
async fn settle(process: &Process) -> anyhow::Result<()> {
    let mut before = process.metric(CALLS).await?;
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = process.metric(CALLS).await?;
        if now - before < 10.0 {
            return Ok(());
        }
        before = now;
    }
    Ok(())
}

/// The longest time from sending a slash to the label on the Namespace, in milliseconds.
async fn slashes(cluster: &Cluster, tenants: &[Tenant]) -> anyhow::Result<f64> {
    let ids = &cluster.devnet.ids;
    let sent = tokio::sync::Mutex::new(HashMap::new());
    let sending = async {
        for tenant in tenants.iter().take(SLASHES) {
            let call = slash(ids, &tenant.token)?;
            let now = Instant::now();
            sent.lock().await.insert(tenant.namespace.clone(), now);
            cluster.operator.call(ids, &call).await?;
        }
        anyhow::Ok(())
    };
    let seeing = async {
        let path = "/api/v1/namespaces?labelSelector=k3s-daas.io/state%3Dended";
        let mut seen: HashMap<String, Duration> = HashMap::new();
        let began = Instant::now();
        while seen.len() < SLASHES {
            ensure!(began.elapsed() < WITHIN, "only {} ended", seen.len());
            let listed = cluster.read(&Caller::Operator, path).await?.done()?;
            let items = listed.get("items").and_then(Value::as_array);
            for namespace in items.context("items")? {
                let name = namespace.pointer("/metadata/name").and_then(Value::as_str);
                let name = name.context("a name")?;
                let Some(at) = sent.lock().await.get(name).copied() else {
                    continue;
                };
                seen.entry(name.to_owned()).or_insert_with(|| at.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(seen)
    };
    let ((), seen) = tokio::try_join!(sending, seeing)?;
    let longest = seen.values().max().context("slashes")?;
    Ok(longest.as_secs_f64() * 1000.0)
}
