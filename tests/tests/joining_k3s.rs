//! Stock agents on machines of their own join by their seals and live with them: K3s's where there
//! is one, else the double of `tests/control-plane`. Needs root and what `make workers` installs.
//!
//! Nothing touches a machine after its agent was started, but for the restart that is tried; the
//! server's own token is never there.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use k3s_configs::launch::ControlPlaneKind;
use k3s_configs::launch::agent::{Agent, AgentNetwork};
use k3s_daas_tests::agents::{Machines, goes_on, ready, renewed};
use k3s_daas_tests::e2e::{Cluster, Said, skipped};
use k3s_daas_tests::worker::{LOOK, Running, Seen, WITHIN, Watched, is_ready, text};

const INTERVAL: Duration = Duration::from_millis(20);
const ALL_WITHIN: Duration = Duration::from_mins(12);
/// The shortest validity that the contract allows.
const MINUTE: Duration = Duration::from_mins(1);
/// `static-*` join by K3s's own token, for comparison: only the control plane's nodes may.
const SETTINGS: [(&str, &str); 2] = [
    ("drain_grace_seconds", "600"),
    ("control_plane_nodes", "static-0,static-1"),
];
const NAME: &str = "joining_k3s";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_agent_joins_by_its_seal_and_lives_with_it() {
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
    let network = AgentNetwork::create()?;
    let address = Some(network.server_address());
    let Some(cluster) = Cluster::start_at(INTERVAL, &SETTINGS, address).await? else {
        skipped(
            NAME,
            "no control plane: set K3S_BIN or run `make control-plane`",
        );
        return Ok(());
    };
    let validity = u64::try_from(MINUTE.as_millis())?;
    cluster.validity_from(validity).await?;
    cluster.machines().await?;
    let machines = Machines::of(&cluster, network)?;
    scene(cluster, &machines).await
}

async fn scene(mut cluster: Cluster, machines: &Machines) -> anyhow::Result<()> {
    let stock = cluster.control_plane.kind == ControlPlaneKind::K3s;
    if stock {
        compared(machines, &cluster).await.context("compared")?;
    }
    let watched = Watched::start(&cluster);
    let worker = cluster.worker("sealed-0").await?;
    let mut joined = machines.sealed(&worker, "sealed-0", 10).await?;
    let wallet = std::sync::Arc::new(cluster.wallet().await?);
    let staked = Instant::now();
    let validity = u64::try_from(MINUTE.as_millis())?;
    let mut expiring = cluster.worker_of(&wallet, "sealed-1", validity).await?;
    let expires = machines.sealed(&expiring, "sealed-1", 11).await?;
    for agent in [&joined, &expires] {
        ready(&cluster, agent).await?;
    }
    cluster
        .deploy("web", "sealed-0", 1)
        .await
        .context("a pod on the machine")?;
    cluster
        .deploy("kept", "sealed-1", 1)
        .await
        .context("a pod on the machine")?;
    let kept = cluster.running("kept").await?;

    wrong_names(machines, &cluster)
        .await
        .context("names of others")?;

    // Benign, and back within the grace. The budget is there before a drain can begin.
    cluster.budget("kept", 0).await?;
    while staked.elapsed() < MINUTE {
        tokio::time::sleep(LOOK).await;
    }
    cluster.state_is("sealed-1", "Draining").await?;
    expiring.refresh(&cluster).await?;
    cluster.state_is("sealed-1", "Active").await?;
    let open =
        |said: &Said| is_ready(&said.body) && said.body.pointer("/spec/unschedulable").is_none();
    cluster
        .node_until("sealed-1", open)
        .await
        .context("within the grace")?;
    let gone = Seen::NodeGone {
        name: "sealed-1".to_owned(),
    };
    ensure!(watched.first(&gone).is_none(), "its Node went");
    drop(watched);

    // By fault, and back by a restake.
    let uid = text(&cluster.node("sealed-0").await?.body, "/metadata/uid").to_owned();
    let cut = Instant::now();
    cluster.slash(&worker.token).await?;
    cluster.state_is("sealed-0", "Cut").await?;
    cluster.node_gone("sealed-0").await?;
    told(&format!(
        "cut off {} ms after the slash was executed",
        cut.elapsed().as_millis()
    ));
    cluster.runs("web", <[Running]>::is_empty).await?;
    let back = Instant::now();
    worker.restake(&cluster).await?;
    let node = cluster
        .node_until("sealed-0", |said| is_ready(&said.body))
        .await
        .with_context(|| format!("back after a restake: {}", joined.log_tail()))?;
    ensure!(text(&node.body, "/metadata/uid") != uid, "the old Node");
    told(&format!(
        "Ready again {} ms after the restake",
        back.elapsed().as_millis()
    ));
    cluster
        .runs("web", |pods| pods.len() == 1)
        .await
        .context("its pods are back")?;

    // Restarts: of the agent, of the webhooks, of the server.
    let before = renewed(&cluster, "sealed-0").await?;
    joined.stop_agent().await?;
    joined.start_agent().await?;
    goes_on(&cluster, &joined, &before, 2)
        .await
        .context("its agent restarted")?;
    let before = renewed(&cluster, "sealed-0").await?;
    cluster.restart_server(&[]).await?;
    goes_on(&cluster, &joined, &before, 2)
        .await
        .context("the webhooks restarted")?;
    let before = renewed(&cluster, "sealed-0").await?;
    cluster = cluster.restart_control_plane().await?;
    goes_on(&cluster, &joined, &before, 2)
        .await
        .context("the server restarted")?;
    cluster
        .runs("kept", |pods| pods == kept)
        .await
        .context("pods stay")?;

    if stock {
        know_no_static_token(machines, &cluster)?;
    }
    joined.stop().await;
    expires.stop().await;
    cluster.stop().await;
    Ok(())
}

/// K3s's own token against a seal, in turns, from nothing to Ready.
async fn compared(machines: &Machines, cluster: &Cluster) -> anyhow::Result<()> {
    let server = cluster.control_plane_folder().join("k3s/server/node-token");
    let (mut by_token, mut by_seal) = (Vec::new(), Vec::new());
    for round in 0..2u8 {
        let name = format!("static-{round}");
        let began = Instant::now();
        let agent = machines.start(&name, round, &server).await?;
        ready(cluster, &agent).await?;
        by_token.push(began.elapsed().as_millis());
        agent.stop().await;
        let name = format!("timed-{round}");
        let worker = cluster.worker(&name).await?;
        let began = Instant::now();
        let agent = machines.sealed(&worker, &name, 5 + round).await?;
        ready(cluster, &agent).await?;
        by_seal.push(began.elapsed().as_millis());
        agent.stop().await;
    }
    told(&format!(
        "Ready by K3s's own token after {by_token:?} ms, by a seal after {by_seal:?} ms"
    ));
    Ok(())
}

/// Names that are nobody's and somebody's.
async fn wrong_names(machines: &Machines, cluster: &Cluster) -> anyhow::Result<()> {
    let thief = cluster.worker("thief").await?;
    for (name, index) in [("nobodys", 20), ("sealed-0", 21)] {
        let before = cluster.node(name).await?;
        let agent = machines.sealed(&thief, name, index).await?;
        refused(&agent).await?;
        let after = cluster.node(name).await?;
        ensure!(
            text(&before.body, "/metadata/uid") == text(&after.body, "/metadata/uid"),
            "{name} was taken: {after:?}"
        );
        ensure!(name != "nobodys" || after.status == 404, "{after:?}");
        agent.stop().await;
    }
    let own = cluster.node("thief").await?;
    ensure!(!is_ready(&own.body), "{own:?}");
    Ok(())
}

/// No file of a machine that joined by a seal holds the secret of the server.
fn know_no_static_token(machines: &Machines, cluster: &Cluster) -> anyhow::Result<()> {
    let server = cluster.control_plane_folder().join("k3s/server/token");
    let token = std::fs::read_to_string(server)?;
    let secret = token
        .trim()
        .rsplit(':')
        .next()
        .unwrap_or_default()
        .to_owned();
    ensure!(secret.len() >= 16, "no secret in the server's token");
    let mut looked = 0;
    for machine in ["m10", "m11"] {
        search(
            &machines.folder().join(machine),
            secret.as_bytes(),
            &mut looked,
        )?;
    }
    ensure!(looked > 10, "only {looked} files were looked at");
    Ok(())
}

/// What a machine keeps of its agent, without what its images and programs hold.
fn search(folder: &Path, secret: &[u8], looked: &mut usize) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() && !path.ends_with("agent/containerd") && !path.ends_with("k3s/data") {
            search(&path, secret, looked)?;
        } else if kind.is_file() && entry.metadata()?.len() < 4 << 20 {
            let held = std::fs::read(&path)?;
            let found = held.windows(secret.len()).any(|window| window == secret);
            ensure!(!found, "the server's token is in {}", path.display());
            *looked += 1;
        }
    }
    Ok(())
}

/// Waits until the agent was told that this name is not its own.
async fn refused(agent: &Agent) -> anyhow::Result<()> {
    const WORDS: [&str; 4] = [
        "400 Bad Request",
        "not authorized",
        "401 Unauthorized",
        "403 Forbidden",
    ];
    let began = Instant::now();
    loop {
        let log = std::fs::read_to_string(&agent.log).unwrap_or_default();
        if WORDS.iter().any(|words| log.contains(words)) {
            return Ok(());
        }
        ensure!(
            began.elapsed() < WITHIN,
            "{} was not refused: {}",
            agent.name,
            agent.log_tail()
        );
        tokio::time::sleep(LOOK).await;
    }
}

fn told(what: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{NAME}: {what}");
}
