//! The shim goes, and the seal ends.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use k3s_daas_tests::agents::{goes_on, renewed};
use k3s_daas_tests::cri::{LOOK, client};
use k3s_daas_tests::worker::WITHIN;
use k8s_cri::v1;

use crate::life::same;
use crate::scene::{NODE, Scene, TIDY_WITHIN, ms, told};

/// In either order: the drop-in first, as `worker uninstall` does, or the shim first.
pub async fn uninstalled(scene: &mut Scene) -> anyhow::Result<()> {
    if !scene.stock() {
        return Ok(());
    }
    let before = scene.pods().await?;
    let socket = scene.shim.socket();
    for shim_first in [false, true] {
        if shim_first {
            scene.shim.stop().await?;
        }
        let began = Instant::now();
        restart(scene, None).await?;
        if !shim_first {
            scene.shim.stop().await?;
        }
        let name = format!("without-{shim_first}");
        scene.create(&name, &["sleep"]).await?;
        scene.runs(&name).await?;
        told(&format!(
            "uninstalled, shim first: {shim_first}: a pod ran {} ms later",
            ms(began)
        ));
        same(scene, &before).await.context("pods run on")?;
        scene.shim.start()?;
        restart(scene, Some(&socket)).await.context("installed")?;
        same(scene, &before).await.context("installed again")?;
    }
    scene.tidy().await.map(drop)
}

async fn restart(scene: &mut Scene, socket: Option<&std::path::Path>) -> anyhow::Result<()> {
    let lease = renewed(&scene.cluster, NODE).await?;
    scene.agent.set_cri_socket(socket)?;
    scene.agent.stop_agent().await?;
    scene.agent.start_agent().await?;
    goes_on(&scene.cluster, &scene.agent, &lease, 1).await
}

/// The owner asks for its stake: what runs goes on and is restarted, what is new is refused with
/// the reason, while the Node is there.
pub async fn unstaked(scene: &mut Scene) -> anyhow::Result<()> {
    scene.cluster.budget("all", 0).await?;
    scene.worker.unstake(&scene.cluster).await?;
    scene.cluster.state_is(NODE, "Draining").await?;
    let began = Instant::now();
    while !scene
        .shim
        .metrics()
        .await?
        .contains("k3s_daas_worker_seal_usable 0")
    {
        ensure!(began.elapsed() < WITHIN, "the worker does not know");
        tokio::time::sleep(LOOK).await;
    }
    scene.daemon("refused").await?;
    let began = Instant::now();
    let described = loop {
        let described = scene.said("describe pods --selector app=refused").await?;
        if described.contains("PermissionDenied") {
            break described;
        }
        ensure!(began.elapsed() < TIDY_WITHIN, "{described}");
        tokio::time::sleep(LOOK).await;
    };
    let line = described
        .lines()
        .find(|line| line.contains("PermissionDenied"))
        .unwrap_or_default();
    told(&format!(
        "describe pod after {} ms: {}",
        ms(began),
        line.trim()
    ));
    ensure!(line.contains(NODE), "no reason: {line}");
    restarted(scene).await
}

/// A container of a pod that runs ends and is started again in its sandbox.
async fn restarted(scene: &Scene) -> anyhow::Result<()> {
    let mut runtime = client::runtime(&scene.containerd()?);
    let listed = runtime
        .list_containers(v1::ListContainersRequest::default())
        .await?
        .into_inner();
    let one = listed
        .containers
        .into_iter()
        .find(|one| {
            one.labels
                .get("io.kubernetes.pod.name")
                .is_some_and(|name| name == "work")
        })
        .context("no container")?;
    let stop = v1::StopContainerRequest {
        container_id: one.id,
        timeout: 1,
    };
    runtime.stop_container(stop).await?;
    let began = Instant::now();
    loop {
        let pods = scene.pods().await?;
        let work = pods.get("work").context("its pod")?;
        if work.restarts > 0 && work.phase == "Running" {
            told(&format!("restarted after {} ms", ms(began)));
            return Ok(());
        }
        ensure!(began.elapsed() < WITHIN, "{work:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Whatever the worker does, the control plane cuts a slashed node off; its containers run on.
pub async fn slashed(scene: &mut Scene) -> anyhow::Result<()> {
    let began = Instant::now();
    scene.cluster.slash(&scene.worker.token).await?;
    scene.cluster.state_is(NODE, "Cut").await?;
    scene.cluster.node_gone(NODE).await?;
    told(&format!("cut {} ms after the slash", ms(began)));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let sandboxes = scene.sandboxes().await?;
    ensure!(!sandboxes.is_empty(), "nothing runs any more");
    Ok(())
}
