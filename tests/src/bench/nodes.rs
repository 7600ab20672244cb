//! A thousand nodes: staked for, registered, joined and kept alive by kubelets without machines, at
//! a real API server, with the server in a process of its own; then many of them lose their seals at
//! once.
//!
//! Shape:  stakes; `register-worker` over the REST API; the supervisor's review, the kubelet's Node
//!         and lease; a while at rest with leases and heartbeats; the slashes.
//! Not here: what K3s's cloud controller does with each new Node, which is none of ours.

mod cutting;
mod fleet;

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::report::Report;
use crate::e2e::{Cluster, Process, free_address};
use crate::worker::ClientCa;

use fleet::{Fleet, at};

/// How many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Nodes, each with a seal of its own.
    pub nodes: usize,
    /// How many of them lose it at once.
    pub slashed: usize,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            nodes: 1_000,
            slashed: 100,
        }
    }
}

/// The design's checkpoint interval.
const INTERVAL: Duration = Duration::from_millis(250);
/// For how long the nodes only go on.
const STEADY: Duration = Duration::from_secs(60);
const CALLS: &str = "k3s_daas_kube_requests_total";
const RECONCILES: &str = "k3s_daas_nodes_reconcile_duration_seconds";

/// Measures and reports; gives whether it could. Skips loudly where there is no control plane or no
/// program.
pub async fn measure(report: &mut Report, counts: Counts) -> anyhow::Result<bool> {
    ensure!(
        counts.slashed <= counts.nodes,
        "more slashed than there are"
    );
    let api = free_address()?.to_string();
    let settings = [("api_listen", api.as_str()), ("drain_grace_seconds", "300")];
    let Some(cluster) = Cluster::start_without_gate(INTERVAL, &settings).await? else {
        crate::e2e::skipped("bench nodes", "no control plane was found");
        return Ok(false);
    };
    cluster.kill_server().await?;
    let Some(mut process) = cluster.start_process().await? else {
        crate::e2e::skipped("bench nodes", "no k3s-daas was built beside the benchmarks");
        return Ok(false);
    };
    process.ready().await?;
    let ca = ClientCa::of(&cluster.control_plane_folder())?;
    let memory = process.resident()?;
    let mut fleet = Fleet::stake(&cluster, counts.nodes).await?;
    registered(report, &cluster, &fleet, &api).await?;
    joined(report, &cluster, &mut fleet, &ca).await?;
    at_rest(report, &cluster, &process, &fleet, &api, memory).await?;
    let cut = cutting::slash(&cluster, &fleet, counts.slashed).await?;
    cut.tell(report, counts.slashed);
    reconciles(report, &process).await?;
    plain(
        report,
        "nodes_memory_end",
        mebibytes(process.resident()?),
        "MiB resident, after the slashes",
    );
    process.kill().await?;
    cluster.stop().await;
    Ok(true)
}

async fn registered(
    report: &mut Report,
    cluster: &Cluster,
    fleet: &Fleet,
    api: &str,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let took = fleet.register(cluster, api).await?;
    let rate = took.len() as f64 / began.elapsed().as_secs_f64();
    plain(
        report,
        "nodes_registered",
        rate,
        "registrations/s over the REST API, 16 at a time",
    );
    plain(report, "nodes_register_p99", at(&took, 0.99), "ms");
    Ok(())
}

async fn joined(
    report: &mut Report,
    cluster: &Cluster,
    fleet: &mut Fleet,
    ca: &ClientCa,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let joins = fleet.join(cluster, ca).await?;
    let rate = fleet.len() as f64 / began.elapsed().as_secs_f64();
    plain(
        report,
        "nodes_joined",
        rate,
        "nodes/s: review, Node adopted, status, lease; 16 at a time",
    );
    let reviews: Vec<f64> = fleet::sorted(joins.iter().map(|join| join.review));
    plain(
        report,
        "nodes_join_review_p50",
        at(&reviews, 0.5),
        "ms until the supervisor is told yes, Node made",
    );
    report.plain(
        "nodes_join_review_p99",
        at(&reviews, 0.99),
        "ms",
        "under 1000: what a seal may cost more than a static token",
        at(&reviews, 0.99) < 1_000.0,
    );
    Ok(())
}

async fn at_rest(
    report: &mut Report,
    cluster: &Cluster,
    process: &Process,
    fleet: &Fleet,
    api: &str,
    before: u64,
) -> anyhow::Result<()> {
    let calls = process.metric(CALLS).await?;
    let began = Instant::now();
    let kept = fleet.keep(cluster, api, STEADY).await?;
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    plain(
        report,
        "nodes_leases",
        kept.leases as f64 / began.elapsed().as_secs_f64(),
        "leases renewed a second, each 10 s",
    );
    plain(
        report,
        "nodes_lease_p99",
        at(&kept.took, 0.99),
        "ms, authorization included",
    );
    report.plain(
        "nodes_refused_at_rest",
        kept.refused as f64,
        "leases and heartbeats that failed",
        "0",
        kept.refused == 0,
    );
    let calls = (process.metric(CALLS).await? - calls) / minutes;
    plain(
        report,
        "nodes_steady_api_calls",
        calls,
        "requests of the server a minute, heartbeats included",
    );
    let memory = process.resident()?;
    plain(
        report,
        "nodes_memory_before",
        mebibytes(before),
        "MiB resident, no nodes",
    );
    report.plain(
        "nodes_memory",
        mebibytes(memory),
        "MiB resident, all nodes at rest",
        "under 256",
        memory < 256 << 20,
    );
    Ok(())
}

/// How long the controller took over a node, over the whole run.
async fn reconciles(report: &mut Report, process: &Process) -> anyhow::Result<()> {
    let (_, text) = process.operations("/metrics").await?;
    let buckets = fleet::buckets(&text, RECONCILES);
    ensure!(!buckets.is_empty(), "no {RECONCILES} in the metrics");
    for (name, share) in [("nodes_reconcile_p50", 0.5), ("nodes_reconcile_p99", 0.99)] {
        let bound = fleet::quantile(&buckets, share) * 1_000.0;
        plain(
            report,
            name,
            bound,
            "ms at most (bucket), of the lifecycle controller",
        );
    }
    Ok(())
}

fn plain(report: &mut Report, name: &'static str, value: f64, unit: &'static str) {
    report.plain(name, value, unit, "told", true);
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}
