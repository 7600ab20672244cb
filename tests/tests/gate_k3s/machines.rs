//! Stock agents behind the gate, and their connections.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, ensure};
use k3s_configs::access::{CaHash, join_token};
use k3s_configs::launch::agent::{self, Agent, AgentNetwork, AgentOptions};
use k3s_daas_tests::control_plane;
use k3s_daas_tests::e2e::{Caller, Cluster, workspace};
use k3s_daas_tests::worker::{LOOK, WITHIN, Worker, is_ready, text};

/// What agents need to start.
pub struct Machines {
    url: String,
    ca: CaHash,
    images: Vec<PathBuf>,
    tools: PathBuf,
    // Last: no agent outlives its network.
    folder: tempfile::TempDir,
    network: AgentNetwork,
}

impl Machines {
    /// Of this control plane.
    pub fn of(cluster: &Cluster, network: AgentNetwork) -> anyhow::Result<Self> {
        let control_plane = &cluster.control_plane;
        let images = folder("images.sh")?;
        Ok(Self {
            url: control_plane.join_url.clone().context("nobody to join")?,
            ca: CaHash::of_bundle(control_plane.ca_pem.as_bytes(), SystemTime::now())?,
            images: vec![images.join("pause.tar"), images.join("busy.tar")],
            tools: folder("containerd.sh")?,
            folder: tempfile::Builder::new().prefix("w").tempdir()?,
            network,
        })
    }

    /// A folder for files of tests.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A machine that has joined by its seal and is Ready.
    pub async fn join(
        &self,
        cluster: &Cluster,
        worker: &Worker,
        index: u8,
    ) -> anyhow::Result<Agent> {
        let name = worker.name.as_str();
        let token = join_token(&self.ca, &worker.token.join_credential());
        let file = self.folder.path().join(format!("{name}.token"));
        std::fs::write(&file, token.as_bytes())?;
        let folder = self.folder.path().join(format!("m{index}"));
        let options = AgentOptions {
            images: self.images.clone(),
            more: vec![format!("--node-label=pool={name}")],
            ..AgentOptions::new(folder, name, index, &self.url, &file, &self.tools)
        };
        let binary = control_plane::available()?;
        let agent = agent::start(&binary, &self.network, &options).await?;
        ready(cluster, &agent).await?;
        Ok(agent)
    }
}

/// Waits until its Node is Ready.
pub async fn ready(cluster: &Cluster, agent: &Agent) -> anyhow::Result<()> {
    let ready = cluster.node_until(&agent.name, |said| is_ready(&said.body));
    ready
        .await
        .map(drop)
        .with_context(|| format!("{} is not Ready: {}", agent.name, agent.log_tail()))
}

/// When a kubelet last renewed its lease.
pub async fn renewed(cluster: &Cluster, name: &str) -> anyhow::Result<String> {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}");
    let lease = cluster.read(&Caller::Operator, &path).await?;
    Ok(text(&lease.body, "/spec/renewTime").to_owned())
}

/// Waits until its kubelet has renewed its lease since, and its Node is Ready.
pub async fn goes_on(cluster: &Cluster, agent: &Agent, before: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    while renewed(cluster, &agent.name).await? == before {
        ensure!(began.elapsed() < WITHIN, "{}", agent.log_tail());
        tokio::time::sleep(LOOK).await;
    }
    ready(cluster, agent).await
}

/// The source addresses of the open connections of a peer.
pub async fn connections_of(
    cluster: &Cluster,
    peer: Ipv4Addr,
) -> anyhow::Result<BTreeSet<Ipv4Addr>> {
    let all = cluster.connections().await?;
    let its = all.iter().filter(|one| one.peer.ip() == IpAddr::V4(peer));
    Ok(its.map(|one| one.source).collect())
}

/// The same once none came and went for a while, with users on them.
pub async fn settled(cluster: &Cluster, agent: &Agent) -> anyhow::Result<BTreeSet<Ipv4Addr>> {
    let began = Instant::now();
    let mut before = connections_of(cluster, agent.address).await?;
    let mut since = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let now = connections_of(cluster, agent.address).await?;
        if now != before {
            (before, since) = (now, Instant::now());
        }
        if since.elapsed() > SETTLED && !before.is_empty() {
            return Ok(before);
        }
        ensure!(began.elapsed() < WITHIN, "never settled: {before:?}");
    }
}

const SETTLED: std::time::Duration = std::time::Duration::from_secs(3);

/// What a script of `tests/tools` says its folder is.
pub fn folder(script: &str) -> anyhow::Result<PathBuf> {
    let script = workspace().join("tests/tools").join(script);
    let output = std::process::Command::new("bash")
        .arg(script)
        .arg("--path")
        .output()?;
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim_end()))
}
