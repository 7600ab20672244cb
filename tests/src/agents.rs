//! Stock agents on machines of their own: K3s's where there is one, else the double of
//! `tests/control-plane`. Needs root and what `make workers` installs.
//!
//! Shape:  [`Machines::of`] a cluster that listens where machines reach it; [`Machines::sealed`] starts
//!         one that joins by its seal; [`ready`] and [`goes_on`] wait for it.

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, ensure};
use k3s_configs::access::{CaHash, join_token};
use k3s_configs::launch::agent::{self, Agent, AgentNetwork, AgentOptions};

use crate::control_plane;
use crate::e2e::{Caller, Cluster, workspace};
use crate::worker::{LOOK, WITHIN, Worker, is_ready, text};

/// What agents need to start.
pub struct Machines {
    url: String,
    ca: CaHash,
    images: Vec<PathBuf>,
    tools: PathBuf,
    /// Where kubelets call their container runtime, of machines that are started from now on.
    pub cri_socket: Option<PathBuf>,
    // Last: no agent outlives its network.
    folder: tempfile::TempDir,
    network: AgentNetwork,
}

impl Machines {
    /// What keeps agents from running on this machine, if anything does.
    pub fn missing() -> anyhow::Result<Option<String>> {
        let missing = agent::missing(&folder("containerd.sh")?);
        Ok(missing.first().map(ToString::to_string))
    }

    /// Of this control plane.
    pub fn of(cluster: &Cluster, network: AgentNetwork) -> anyhow::Result<Self> {
        let control_plane = &cluster.control_plane;
        let images = folder("images.sh")?;
        Ok(Self {
            url: control_plane.join_url.clone().context("nobody to join")?,
            ca: CaHash::of_bundle(control_plane.ca_pem.as_bytes(), SystemTime::now())?,
            images: vec![images.join("pause.tar"), images.join("busy.tar")],
            tools: folder("containerd.sh")?,
            cri_socket: None,
            folder: tempfile::Builder::new().prefix("w").tempdir()?,
            network,
        })
    }

    /// The folder of all machines; each has its own in it, `m<index>`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a machine whose agent calls itself `name` and has this worker's token.
    pub async fn sealed(&self, worker: &Worker, name: &str, index: u8) -> anyhow::Result<Agent> {
        let token = join_token(&self.ca, &worker.token.join_credential());
        let file = self.folder.path().join(format!("{name}-{index}.token"));
        std::fs::write(&file, token.as_bytes())?;
        self.start(name, index, &file).await
    }

    /// Starts a machine with the token of this file.
    pub async fn start(&self, name: &str, index: u8, token: &Path) -> anyhow::Result<Agent> {
        let folder = self.folder.path().join(format!("m{index}"));
        let options = AgentOptions {
            images: self.images.clone(),
            cri_socket: self.cri_socket.clone(),
            more: vec![format!("--node-label=pool={name}")],
            ..AgentOptions::new(folder, name, index, &self.url, token, &self.tools)
        };
        let binary = control_plane::available()?;
        Ok(agent::start(&binary, &self.network, &options).await?)
    }
}

/// Waits until its Node is Ready.
pub async fn ready(cluster: &Cluster, agent: &Agent) -> anyhow::Result<()> {
    let ready = cluster.node_until(&agent.name, |said| is_ready(&said.body));
    ready
        .await
        .map(drop)
        .with_context(|| format!("{} never got Ready: {}", agent.name, agent.log_tail()))
}

/// When a kubelet last renewed its lease.
pub async fn renewed(cluster: &Cluster, name: &str) -> anyhow::Result<String> {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}");
    let lease = cluster.read(&Caller::Operator, &path).await?;
    Ok(text(&lease.body, "/spec/renewTime").to_owned())
}

/// Waits until its kubelet has renewed its lease so often since, and its Node is Ready.
pub async fn goes_on(
    cluster: &Cluster,
    agent: &Agent,
    before: &str,
    times: u32,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let (mut last, mut turns) = (before.to_owned(), 0);
    while turns < times {
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
