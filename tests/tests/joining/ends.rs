//! Ends by fault: at once.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use k3s_daas_tests::e2e::{Caller, Cluster};
use k3s_daas_tests::worker::{
    ClientCa, Kubelet, LOOK, Running, Supervisor, WITHIN, Watched, Worker, is_ready, taints, text,
};
use serde_json::Value;
use sui_ledger::tx::Call;

use crate::{address, cluster, passes};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_seal_ends_by_fault_is_cut_at_once_and_comes_back_with_its_seal() {
    passes(async {
        let settings = [("drain_grace_seconds", "600")];
        let Some(cluster) = cluster("joining: ends", &settings).await? else {
            return Ok(());
        };
        let ca = ClientCa::of(&cluster.control_plane_folder())?;
        let watched = Watched::start(&cluster);
        tokio::try_join!(
            a_slash_cuts_and_a_restake_brings_back(&cluster, &ca, &watched),
            a_refresh_changes_nothing(&cluster, &ca, &watched),
        )?;
        // After one another: the operator's coins are not for two transactions at once.
        for end in ["revoked", "voided"] {
            a_seal_that_can_not_return_is_cut_for_good(&cluster, &ca, end).await?;
        }
        cluster.stop().await;
        Ok(())
    })
    .await;
}

/// Waits until none of its requests is answered any more.
pub async fn cut_off(kubelet: &Kubelet) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        match kubelet.is_cut_off().await {
            Ok(()) => return Ok(()),
            Err(failure) => ensure!(began.elapsed() < WITHIN, "{failure:#}"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Cut: state, Node, certificate, credential.
pub async fn is_cut(
    cluster: &Cluster,
    worker: &Worker,
    kubelet: &Kubelet,
) -> anyhow::Result<Value> {
    let name = worker.name.as_str();
    let sealed = cluster.state_is(name, "Cut").await?;
    cluster.node_gone(name).await?;
    cut_off(kubelet).await.context("its certificate")?;
    let review = Supervisor::of(cluster)?
        .review(&worker.credential())
        .await?;
    ensure!(!review.is_yes(), "its credential: {review:?}");
    // Its attempts have made nothing.
    ensure!(cluster.node(name).await?.status == 404, "its Node is back");
    Ok(sealed)
}

/// The Node is there again, open, and what the kubelet says of it counts: nobody touched the worker.
pub async fn is_back(
    cluster: &Cluster,
    worker: &Worker,
    kubelet: &Kubelet,
    pool: &str,
) -> anyhow::Result<Value> {
    let name = worker.name.as_str();
    cluster.state_is(name, "Active").await?;
    let open = |node: &Value| {
        node.is_object()
            && node.pointer("/spec/unschedulable").is_none()
            && !taints(node)
                .iter()
                .any(|key| key.starts_with("k3s-daas.io/"))
    };
    cluster
        .node_until(name, |said| said.ok() && open(&said.body))
        .await
        .context("its Node should be open")?;
    let began = Instant::now();
    // As a kubelet does until it is let in again.
    while let Err(failure) = kubelet.ready(address(), pool).await {
        ensure!(began.elapsed() < WITHIN, "{failure:#}");
        tokio::time::sleep(LOOK).await;
    }
    kubelet.renew().await?.done().context("its lease")?;
    cluster.completed(name).await?;
    let ready = cluster
        .node_until(name, |said| is_ready(&said.body))
        .await?;
    Ok(ready.body)
}

async fn a_slash_cuts_and_a_restake_brings_back(
    cluster: &Cluster,
    ca: &ClientCa,
    watched: &Watched,
) -> anyhow::Result<()> {
    let (slashed, stays) = tokio::try_join!(cluster.worker("cut-1"), cluster.worker("cut-2"))?;
    let (first, second) = tokio::try_join!(
        slashed.join(cluster, ca, address(), "cut"),
        stays.join(cluster, ca, address(), "cut"),
    )?;
    let _runs = [first.keep(), second.keep()];
    cluster.deploy("web", "cut", 6).await?;
    let pods = cluster.running("web").await?;
    ensure!(
        pods.iter().any(|pod| pod.node == "cut-1"),
        "nothing runs there: {pods:?}"
    );
    let uid = uid_of(cluster, "cut-1").await?;

    cluster.slash(&slashed.token).await?;
    let sealed = is_cut(cluster, &slashed, &first).await?;
    ensure!(text(&sealed, "/status/reason") == "slashed", "{sealed}");
    let all_moved =
        |pods: &[Running]| pods.len() == 6 && pods.iter().all(|pod| pod.node == "cut-2");
    cluster
        .runs("web", all_moved)
        .await
        .context("its pods should be made again elsewhere")?;
    let harm = watched.harm_of("cut-2");
    ensure!(harm.is_empty(), "the other node's: {harm:?}");

    slashed.restake(cluster).await?;
    let node = is_back(cluster, &slashed, &first, "cut").await?;
    ensure!(text(&node, "/metadata/uid") != uid, "the old Node");
    slashed.let_in(&Supervisor::of(cluster)?).await
}

async fn a_refresh_changes_nothing(
    cluster: &Cluster,
    ca: &ClientCa,
    watched: &Watched,
) -> anyhow::Result<()> {
    let mut worker = cluster.worker("fresh").await?;
    let kubelet: Arc<Kubelet> = worker.join(cluster, ca, address(), "fresh").await?;
    let _runs = kubelet.keep();
    cluster.deploy("stays", "fresh", 2).await?;
    let (uid, old) = (uid_of(cluster, "fresh").await?, worker.credential());

    worker.refresh(cluster).await?;
    let supervisor = Supervisor::of(cluster)?;
    worker.let_in(&supervisor).await?;
    let hash = worker.token.credential_hash().to_string();
    let path = "/apis/k3s-daas.io/v1/sealednodes/fresh";
    cluster
        .until_said(&Caller::Operator, path, WITHIN, |said| {
            text(&said.body, "/spec/credentialHash") == hash
        })
        .await
        .context("its SealedNode should follow")?;
    let review = supervisor.review(&old).await?;
    ensure!(!review.is_yes(), "the old credential: {review:?}");
    kubelet.renew().await?.done().context("its lease")?;
    ensure!(uid_of(cluster, "fresh").await? == uid, "another Node");
    let harm = watched.harm_of("fresh");
    ensure!(harm.is_empty(), "{harm:?}");
    Ok(())
}

/// A revoked seal, and a claim that the operator voids.
async fn a_seal_that_can_not_return_is_cut_for_good(
    cluster: &Cluster,
    ca: &ClientCa,
    end: &str,
) -> anyhow::Result<()> {
    let worker = cluster.worker(end).await?;
    let kubelet = worker.join(cluster, ca, address(), end).await?;
    let _runs = kubelet.keep();
    cluster.deploy(end, end, 1).await?;
    let ids = &cluster.devnet.ids;
    let call = match end {
        "revoked" => Call::Revoke {
            cap: ids.caps.slash.context("a SlashCap")?,
            hash: worker.token.credential_hash(),
            reason: "tried".to_owned(),
        },
        // The contract voids no name whose seal is in use.
        _ => {
            worker.unstake(cluster).await?;
            Call::VoidClaim {
                cap: ids.caps.admin.context("an AdminCap")?,
                name: worker.name.clone(),
            }
        }
    };
    cluster.operator.call(ids, &call).await?;
    is_cut(cluster, &worker, &kubelet)
        .await
        .context(end.to_owned())?;
    let none = |pods: &[Running]| pods.is_empty();
    cluster.runs(end, none).await?;
    Ok(())
}

async fn uid_of(cluster: &Cluster, name: &str) -> anyhow::Result<String> {
    let node = cluster.node(name).await?.done()?;
    Ok(text(&node, "/metadata/uid").to_owned())
}
