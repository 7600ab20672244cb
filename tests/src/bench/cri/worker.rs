//! The worker as it runs on a machine: the program itself, in a process of its own.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::e2e::program;

/// A debug build on a busy machine takes a while.
const WITHIN: Duration = Duration::from_secs(30);

/// A running `k3s-daas worker` in proxy mode. Killed when it is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    log: PathBuf,
    /// Where kubelet would call.
    pub(super) socket: PathBuf,
    metrics: SocketAddr,
}

impl Worker {
    /// Starts it in front of this socket and waits until it takes calls.
    pub(super) async fn start(folder: &Path, containerd: &Path) -> anyhow::Result<Self> {
        let program = program().context("build k3s-daas first: cargo build --release")?;
        let (socket, log) = (folder.join("run/cri.sock"), folder.join("worker.log"));
        let metrics = free_address()?;
        let config = folder.join("worker-config.yaml");
        std::fs::write(
            &config,
            serde_json::to_vec(&serde_json::json!({
                "node": { "id": "worker-001" },
                "worker": {
                "mode": "proxy",
                "cri_socket": socket,
                "containerd_socket": containerd,
                "api_socket": folder.join("run/worker.sock"),
                "api_listen": free_address()?.to_string(),
                "metrics_listen": metrics.to_string(),
                "state_dir": folder.join("state"),
            }}))?,
        )?;
        let child = Command::new(program)
            .args(["worker", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        let mut worker = Self {
            child,
            log,
            socket,
            metrics,
        };
        worker.ready().await?;
        Ok(worker)
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("the worker ended with {status}: {}", self.said());
            }
            if super::client::Caller::connect(&self.socket).await.is_ok() {
                return Ok(());
            }
            if began.elapsed() > WITHIN {
                bail!("the worker takes no calls: {}", self.said());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The id of its process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What `/metrics` says.
    pub(super) async fn page(&self) -> anyhow::Result<String> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("http://{}/metrics", self.metrics);
        let answer = client.get(url).send().await?.error_for_status()?;
        Ok(answer.text().await?)
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it.
    pub(super) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}
