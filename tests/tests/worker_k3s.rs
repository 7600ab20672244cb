//! A stock agent whose kubelet goes through the shim: K3s's where there is one, with the drop-in
//! that `k3s-daas worker install` writes, else the double of `tests/control-plane`. Needs root and
//! what `make workers` installs.
//!
//! Shape: one machine, and what happens to one in its life, in turns: boot, work, a shim that is
//!        killed, an upgrade, a gap, a containerd that is killed, uninstalling, the seal's end.

#[path = "worker_k3s/ends.rs"]
mod ends;
#[path = "worker_k3s/life.rs"]
mod life;
#[path = "worker_k3s/scene.rs"]
mod scene;

use std::time::Duration;

use anyhow::Context as _;
use k3s_configs::launch::agent::AgentNetwork;
use k3s_daas_tests::agents::Machines;
use k3s_daas_tests::e2e::{Cluster, program, skipped};

use scene::Scene;

const NAME: &str = "worker_k3s";
const INTERVAL: Duration = Duration::from_millis(20);
const ALL_WITHIN: Duration = Duration::from_mins(15);
/// The node stays while its guard refuses already.
const SETTINGS: [(&str, &str); 1] = [("drain_grace_seconds", "600")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_kubelet_lives_behind_the_shim() {
    let all = tokio::time::timeout(ALL_WITHIN, all()).await;
    if let Err(failure) = all.unwrap_or_else(|_| Err(anyhow::anyhow!("took too long"))) {
        panic!("{failure:#}");
    }
}

async fn all() -> anyhow::Result<()> {
    if let Some(missing) = Machines::missing()? {
        skipped(NAME, &missing);
        return Ok(());
    }
    if program().is_none() {
        skipped(NAME, "k3s-daas was not built: cargo build");
        return Ok(());
    }
    let network = AgentNetwork::create()?;
    let address = Some(network.server_address());
    let Some(cluster) = Cluster::start_at(INTERVAL, &SETTINGS, address).await? else {
        skipped(
            NAME,
            "no control plane: set K3S_BIN or run `make control-plane`",
        );
        return Ok(());
    };
    cluster.machines().await?;
    let machines = Machines::of(&cluster, network)?;
    let mut scene = Scene::boot(cluster, machines).await.context("boot")?;
    life::works(&mut scene).await.context("work")?;
    life::shim_killed(&mut scene)
        .await
        .context("the shim killed")?;
    life::upgraded(&mut scene).await.context("an upgrade")?;
    life::gap(&mut scene).await.context("a gap")?;
    life::containerd_killed(&mut scene)
        .await
        .context("containerd killed")?;
    ends::uninstalled(&mut scene).await.context("uninstalled")?;
    ends::unstaked(&mut scene).await.context("unstaked")?;
    ends::slashed(&mut scene).await.context("slashed")?;
    scene.stop().await;
    Ok(())
}
