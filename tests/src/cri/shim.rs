//! The worker's program behind a socket that this process holds, as a socket unit of systemd does.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use k8s_cri::v1;

use super::{LOOK, WITHIN, client};
use crate::e2e::program;

/// The shim of a machine. While no process runs, callers wait at its socket.
#[derive(Debug)]
pub struct Shim {
    listener: UnixListener,
    folder: PathBuf,
    containerd: PathBuf,
    running: Option<Child>,
    metrics: SocketAddr,
    /// More of the configuration, `section_key` and value, as flags.
    pub more: Vec<String>,
    /// Runs the program, such as `nsenter …`; as it is where empty.
    pub within: Vec<String>,
}

impl Shim {
    /// Holds the socket in this folder; nothing runs yet.
    pub fn hold(folder: &Path, containerd: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self {
            listener: UnixListener::bind(folder.join("cri.sock"))?,
            folder: folder.to_owned(),
            containerd: containerd.to_owned(),
            running: None,
            metrics: TcpListener::bind(("127.0.0.1", 0))?.local_addr()?,
            more: Vec::new(),
            within: Vec::new(),
        })
    }

    /// Where kubelet calls.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("cri.sock")
    }

    /// Where root has more to say.
    pub fn control(&self) -> PathBuf {
        self.folder.join("worker.sock")
    }

    /// Starts the program; nothing where it was not built.
    pub fn start(&mut self) -> anyhow::Result<bool> {
        let Some(program) = program() else {
            crate::e2e::skipped("the shim", "k3s-daas was not built: cargo build");
            return Ok(false);
        };
        ensure!(self.running.is_none(), "it runs");
        // Standard input becomes the third file, where LISTEN_FDS has it.
        let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
        let listener = OwnedFd::from(self.listener.try_clone()?);
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("worker.log"))?;
        let mut words = self
            .within
            .iter()
            .map(String::as_str)
            .chain(["sh", "-c", script]);
        let mut command = Command::new(words.next().context("a program")?);
        command.args(words);
        command.arg(program).arg("worker");
        let at = |name: &str| self.folder.join(name).display().to_string();
        for (flag, value) in [
            ("--node-id", "worker-001".to_owned()),
            ("--worker-cri-socket", at("cri.sock")),
            (
                "--worker-containerd-socket",
                self.containerd.display().to_string(),
            ),
            ("--worker-state-dir", at("state")),
            ("--worker-api-socket", at("worker.sock")),
            ("--worker-api-listen", String::new()),
            ("--worker-metrics-listen", self.metrics.to_string()),
        ] {
            command.arg(format!("{flag}={value}"));
        }
        let child = command
            .args(&self.more)
            .stdin(Stdio::from(listener))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.running = Some(child);
        Ok(true)
    }

    /// Waits until it answers.
    pub async fn answers(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let mut runtime = client::runtime(&self.socket());
            let version = runtime.version(v1::VersionRequest::default());
            if let Ok(Ok(_)) = tokio::time::timeout(WITHIN, version).await {
                return Ok(());
            }
            if let Some(child) = &mut self.running {
                let ended = child.try_wait()?;
                ensure!(ended.is_none(), "the worker ended: {}", self.log());
            }
            ensure!(began.elapsed() < WITHIN, "no answer: {}", self.log());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Its process.
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref().map(Child::id)
    }

    /// Kills it with -9.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.running.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Ends it by SIGTERM and waits for its end; says whether it ended in order.
    pub async fn stop(&mut self) -> anyhow::Result<bool> {
        let Some(mut child) = self.running.take() else {
            return Ok(true);
        };
        let id = child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status.success());
            }
            ensure!(began.elapsed() < WITHIN, "it does not end: {}", self.log());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What `/metrics` says.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("http://{}/metrics", self.metrics);
        Ok(client
            .get(url)
            .send()
            .await?
            .error_for_status()?
            .text()
            .await?)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("worker.log")).unwrap_or_default()
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
