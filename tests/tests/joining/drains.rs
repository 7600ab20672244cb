//! Ends without fault: the node is drained first.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use k3s_daas_tests::e2e::Cluster;
use k3s_daas_tests::worker::{
    ClientCa, LOOK, Running, Seen, Supervisor, WITHIN, Watched, Worker, taints, text,
};
use seal::identity::TAINT_DRAINING;
use serde_json::Value;
use sui_ledger::tx::Call;

use super::ends::{is_back, is_cut};
use crate::{address, cluster, passes};

/// The shortest validity, and the shortest unbonding, that the contract allows.
const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_seal_ends_without_fault_is_drained_and_then_cut() {
    passes(async {
        let settings = [("drain_grace_seconds", "600")];
        let Some(cluster) = cluster("joining: drains", &settings).await? else {
            return Ok(());
        };
        cluster
            .validity_from(u64::try_from(MINUTE.as_millis())?)
            .await?;
        let ca = ClientCa::of(&cluster.control_plane_folder())?;
        let watched = Watched::start(&cluster);
        tokio::try_join!(
            an_unstaked_node_drains_within_budgets(&cluster, &ca, &watched),
            an_expired_seal_that_is_refreshed_in_time_keeps_its_pods(&cluster, &ca, &watched),
            leaving_is_no_way_around_a_slash(&cluster, &ca),
        )?;
        // Shorter from here on: what a budget holds is not held beyond the grace.
        cluster
            .restart_server(&[("drain_grace_seconds", "4")])
            .await?;
        the_grace_ends_what_a_budget_holds(&cluster, &ca).await?;
        cluster.stop().await;
        Ok(())
    })
    .await;
}

async fn drains(cluster: &Cluster, worker: &Worker) -> anyhow::Result<()> {
    let name = worker.name.as_str();
    cluster.state_is(name, "Draining").await?;
    let closed = |node: &Value| {
        node.pointer("/spec/unschedulable") == Some(&Value::Bool(true))
            && taints(node).contains(&TAINT_DRAINING)
    };
    cluster
        .node_until(name, |said| said.ok() && closed(&said.body))
        .await
        .context("its Node should be closed")?;
    Ok(())
}

fn all_on<'a>(node: &'a str, count: usize) -> impl Fn(&[Running]) -> bool + 'a {
    move |pods| pods.len() == count && pods.iter().all(|pod| pod.node == node)
}

async fn an_unstaked_node_drains_within_budgets(
    cluster: &Cluster,
    ca: &ClientCa,
    watched: &Watched,
) -> anyhow::Result<()> {
    let (mut leaves, stays) =
        tokio::try_join!(cluster.worker("drain-1"), cluster.worker("drain-2"))?;
    let first = leaves.join(cluster, ca, address(), "drain").await?;
    let _first = first.keep();
    cluster.deploy("guarded", "drain", 2).await?;
    cluster.deploy("free", "drain", 2).await?;
    cluster.budget("guarded", 0).await?;
    let guarded = cluster.running("guarded").await?;
    let second = stays.join(cluster, ca, address(), "drain").await?;
    let _second = second.keep();

    leaves.unstake(cluster).await?;
    let ended = Instant::now();
    drains(cluster, &leaves).await?;
    cluster
        .runs("free", all_on("drain-2", 2))
        .await
        .context("pods without a budget move")?;
    // The kubelet may still work: only so do its pods end in order.
    first.renew().await?.done().context("its lease")?;
    let review = Supervisor::of(cluster)?
        .review(&leaves.credential())
        .await?;
    ensure!(!review.is_yes(), "nobody joins by it any more: {review:?}");
    ensure!(
        cluster.running("guarded").await? == guarded,
        "a budget was not honoured"
    );
    for pod in &guarded {
        let (name, node) = (pod.name.clone(), pod.node.clone());
        let ends = Seen::PodEnds { name, node };
        ensure!(watched.first(&ends).is_none(), "a budget was not honoured");
    }

    cluster.budget("guarded", 1).await?;
    cluster
        .runs("guarded", all_on("drain-2", 2))
        .await
        .context("pods move as their budget lets them")?;
    is_cut(cluster, &leaves, &first)
        .await
        .context("what is drained is cut")?;
    let harm = watched.harm_of("drain-2");
    ensure!(harm.is_empty(), "the other node's: {harm:?}");

    // The name is its owner's for good: with a new stake the same machine is back.
    while ended.elapsed() < MINUTE {
        tokio::time::sleep(LOOK).await;
    }
    let token = leaves.object(cluster).await?;
    let began = Instant::now();
    while let Err(failure) = leaves.call(cluster, &Call::Withdraw { token }).await {
        ensure!(began.elapsed() < WITHIN, "{failure:#}");
        tokio::time::sleep(LOOK).await;
    }
    leaves.stake_again(cluster).await?;
    is_back(cluster, &leaves, &first, "drain").await?;
    leaves.let_in(&Supervisor::of(cluster)?).await
}

/// The chain lets a stake that is slashed while it unbonds go on unbonding.
async fn leaving_is_no_way_around_a_slash(cluster: &Cluster, ca: &ClientCa) -> anyhow::Result<()> {
    let flees = cluster.worker("drain-flees").await?;
    let kubelet = flees.join(cluster, ca, address(), "flight").await?;
    let _kept = kubelet.keep();
    cluster.deploy("held", "flight", 1).await?;
    cluster.budget("held", 0).await?;
    cluster.running("held").await?;
    flees.unstake(cluster).await?;
    drains(cluster, &flees).await?;
    kubelet
        .renew()
        .await?
        .done()
        .context("while it is drained")?;

    cluster.slash(&flees.token).await?;
    let sealed = is_cut(cluster, &flees, &kubelet)
        .await
        .context("ten minutes of grace are left, and none for a fault")?;
    ensure!(text(&sealed, "/status/reason") == "slashed", "{sealed}");
    Ok(())
}

async fn an_expired_seal_that_is_refreshed_in_time_keeps_its_pods(
    cluster: &Cluster,
    ca: &ClientCa,
    watched: &Watched,
) -> anyhow::Result<()> {
    let wallet = std::sync::Arc::new(cluster.wallet().await?);
    let validity = u64::try_from(MINUTE.as_millis())?;
    let mut worker = cluster.worker_of(&wallet, "expires", validity).await?;
    let staked = Instant::now();
    let kubelet = worker.join(cluster, ca, address(), "expires").await?;
    let _runs = kubelet.keep();
    cluster.deploy("kept", "expires", 2).await?;
    cluster.budget("kept", 0).await?;
    let kept = cluster.running("kept").await?;
    let node = cluster.node("expires").await?.done()?;

    while staked.elapsed() < MINUTE {
        tokio::time::sleep(LOOK).await;
    }
    drains(cluster, &worker).await?;
    kubelet.renew().await?.done().context("its lease")?;
    worker.refresh(cluster).await?;
    let back = is_back(cluster, &worker, &kubelet, "expires").await?;
    ensure!(
        text(&back, "/metadata/uid") == text(&node, "/metadata/uid"),
        "within the grace it is the same Node"
    );
    ensure!(
        cluster.running("kept").await? == kept,
        "its pods are not the same"
    );
    let gone = Seen::NodeGone {
        name: "expires".to_owned(),
    };
    ensure!(watched.first(&gone).is_none(), "its Node went");
    Ok(())
}

async fn the_grace_ends_what_a_budget_holds(
    cluster: &Cluster,
    ca: &ClientCa,
) -> anyhow::Result<()> {
    let worker = cluster.worker("held").await?;
    let kubelet = worker.join(cluster, ca, address(), "held").await?;
    let _runs = kubelet.keep();
    cluster.deploy("holds", "held", 1).await?;
    cluster.budget("holds", 0).await?;
    worker.unstake(cluster).await?;
    is_cut(cluster, &worker, &kubelet).await?;
    cluster.runs("holds", <[Running]>::is_empty).await?;
    Ok(())
}
