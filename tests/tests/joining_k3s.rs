//! Stock agents on machines of their own join by their seals and live with them: K3s's where there
//! is one, else the double of `tests/control-plane`. Needs root and what `make workers` installs.
//!
//! Nothing touches a machine after its agent was started, but for the restart that is tried; the
//! server's own token is never there.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, ensure};
use k3s_configs::access::{CaHash, join_token};
use k3s_configs::launch::ControlPlaneKind;
use k3s_configs::launch::agent::{self, Agent, AgentNetwork, AgentOptions};
use k3s_daas_tests::control_plane;
use k3s_daas_tests::e2e::{Caller, Cluster, Said, skipped, workspace};
use k3s_daas_tests::worker::{LOOK, Running, Seen, WITHIN, Watched, Worker, is_ready, text};

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
    let tools = folder("containerd.sh")?;
    if let Some(missing) = agent::missing(&tools).first() {
        skipped(NAME, &missing.to_string());
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
    let images = folder("images.sh")?;
    let machines = Machines {
        url: cluster
            .control_plane
            .join_url
            .clone()
            .context("nobody to join")?,
        ca: CaHash::of_bundle(cluster.control_plane.ca_pem.as_bytes(), SystemTime::now())?,
        images: vec![images.join("pause.tar")],
        network,
        tools,
        folder: tempfile::Builder::new().prefix("w").tempdir()?,
    };
    scene(cluster, &machines).await
}

async fn scene(mut cluster: Cluster, machines: &Machines) -> anyhow::Result<()> {
    let stock = cluster.control_plane.kind == ControlPlaneKind::K3s;
    if stock {
        machines.compared(&cluster).await.context("compared")?;
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

    machines
        .wrong_names(&cluster)
        .await
        .context("names of others")?;

    // Benign, and back within the grace.
    while staked.elapsed() < MINUTE {
        tokio::time::sleep(LOOK).await;
    }
    cluster.budget("kept", 0).await?;
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
    goes_on(&cluster, &joined, &before)
        .await
        .context("its agent restarted")?;
    let before = renewed(&cluster, "sealed-0").await?;
    cluster.restart_server(&[]).await?;
    goes_on(&cluster, &joined, &before)
        .await
        .context("the webhooks restarted")?;
    let before = renewed(&cluster, "sealed-0").await?;
    cluster = cluster.restart_control_plane().await?;
    goes_on(&cluster, &joined, &before)
        .await
        .context("the server restarted")?;
    cluster
        .runs("kept", |pods| pods == kept)
        .await
        .context("pods stay")?;

    if stock {
        machines.know_no_static_token(&cluster)?;
    }
    joined.stop().await;
    expires.stop().await;
    cluster.stop().await;
    Ok(())
}

struct Machines {
    url: String,
    ca: CaHash,
    images: Vec<PathBuf>,
    tools: PathBuf,
    // Last: no agent outlives its network.
    folder: tempfile::TempDir,
    network: AgentNetwork,
}

impl Machines {
    /// Starts a machine whose agent calls itself `name` and has this worker's token.
    async fn sealed(&self, worker: &Worker, name: &str, index: u8) -> anyhow::Result<Agent> {
        let token = join_token(&self.ca, &worker.token.join_credential());
        let file = self.folder.path().join(format!("{name}-{index}.token"));
        std::fs::write(&file, token.as_bytes())?;
        self.start(name, index, &file).await
    }

    async fn start(&self, name: &str, index: u8, token: &Path) -> anyhow::Result<Agent> {
        let folder = self.folder.path().join(format!("m{index}"));
        let options = AgentOptions {
            images: self.images.clone(),
            more: vec![format!("--node-label=pool={name}")],
            ..AgentOptions::new(folder, name, index, &self.url, token, &self.tools)
        };
        let binary = control_plane::available()?;
        Ok(agent::start(&binary, &self.network, &options).await?)
    }

    /// K3s's own token against a seal, in turns, from nothing to Ready.
    async fn compared(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let server = cluster.control_plane_folder().join("k3s/server/node-token");
        let (mut by_token, mut by_seal) = (Vec::new(), Vec::new());
        for round in 0..2u8 {
            let name = format!("static-{round}");
            let began = Instant::now();
            let agent = self.start(&name, round, &server).await?;
            ready(cluster, &agent).await?;
            by_token.push(began.elapsed().as_millis());
            agent.stop().await;
            let name = format!("timed-{round}");
            let worker = cluster.worker(&name).await?;
            let began = Instant::now();
            let agent = self.sealed(&worker, &name, 5 + round).await?;
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
    async fn wrong_names(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let thief = cluster.worker("thief").await?;
        for (name, index) in [("nobodys", 20), ("sealed-0", 21)] {
            let before = cluster.node(name).await?;
            let agent = self.sealed(&thief, name, index).await?;
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
    fn know_no_static_token(&self, cluster: &Cluster) -> anyhow::Result<()> {
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
                &self.folder.path().join(machine),
                secret.as_bytes(),
                &mut looked,
            )?;
        }
        ensure!(looked > 10, "only {looked} files were looked at");
        Ok(())
    }
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

async fn ready(cluster: &Cluster, agent: &Agent) -> anyhow::Result<()> {
    let ready = cluster.node_until(&agent.name, |said| is_ready(&said.body));
    ready
        .await
        .map(drop)
        .with_context(|| format!("{} never got Ready: {}", agent.name, agent.log_tail()))
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

/// When a kubelet last renewed its lease.
async fn renewed(cluster: &Cluster, name: &str) -> anyhow::Result<String> {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}");
    let lease = cluster.read(&Caller::Operator, &path).await?;
    Ok(text(&lease.body, "/spec/renewTime").to_owned())
}

/// Waits until its kubelet has renewed its lease twice since, and its Node is Ready.
async fn goes_on(cluster: &Cluster, agent: &Agent, before: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    let (mut last, mut turns) = (before.to_owned(), 0);
    while turns < 2 {
        let now = renewed(cluster, &agent.name).await?;
        if now != last {
            (last, turns) = (now, turns + 1);
        }
        ensure!(began.elapsed() < WITHIN, "{}", agent.log_tail());
        tokio::time::sleep(LOOK).await;
    }
    ready(cluster, agent).await
}

/// What a script of `tests/tools` says its folder is.
fn folder(script: &str) -> anyhow::Result<PathBuf> {
    let script = workspace().join("tests/tools").join(script);
    let output = std::process::Command::new("bash")
        .arg(script)
        .arg("--path")
        .output()?;
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim_end()))
}

fn told(what: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{NAME}: {what}");
}
