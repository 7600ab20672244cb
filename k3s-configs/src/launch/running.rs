//! A control plane that runs: waiting for it, and ending it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::process::{Child, ChildStdin, Command};

use super::error::LaunchError;
use super::find::ControlPlaneKind;
use super::kubectl::KubectlCommand;
use super::place::Door;

/// Between two questions whether it is ready.
const POLL: Duration = Duration::from_millis(150);
/// What one such question may take.
const QUESTION: Duration = Duration::from_secs(10);
/// What an orderly end may take; then it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// How much of the log an error quotes.
const TAIL: u64 = 4096;

/// What must be answered: namespaces and the service account that clients begin with are made by
/// controllers a moment after the API server says that it is ready.
const READY_PATHS: [&str; 3] = [
    "/readyz",
    "/api/v1/namespaces/default",
    "/api/v1/namespaces/default/serviceaccounts/default",
];

/// How to run a control plane and where it leaves things.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) command: Command,
    pub(super) program: PathBuf,
    pub(super) url: String,
    pub(super) direct_url: String,
    pub(super) doors: Vec<Door>,
    pub(super) join_url: Option<String>,
    pub(super) admin_kubeconfig: PathBuf,
    pub(super) ca: PathBuf,
    pub(super) log: PathBuf,
}

/// A control plane that answers. It ends when this value is dropped, and with this process.
#[derive(Debug)]
pub struct ControlPlane {
    /// Which one runs.
    pub kind: ControlPlaneKind,
    /// A kubeconfig in group `system:masters`, for the direct address.
    pub admin_kubeconfig: PathBuf,
    /// Where clients find the API server: at the gate, where it is behind one.
    pub url: String,
    /// Where the API server listens; the same without a gate.
    pub direct_url: String,
    /// What the gate has to open; empty without one.
    pub doors: Vec<Door>,
    /// Where workers join: K3s's supervisor, or what stands in for it. Only with
    /// [`StartOptions::reachable_at`](super::StartOptions::reachable_at).
    pub join_url: Option<String>,
    /// The Kubernetes version that it says it is.
    pub version: String,
    /// The CA of its certificate.
    pub ca_pem: String,
    /// The kubectl that goes with it.
    pub kubectl: KubectlCommand,
    /// What it logged.
    pub log: PathBuf,
    /// From its start until it answered.
    pub ready_after: Duration,
    ca: PathBuf,
    child: Child,
    /// Its end is the signal to stop; see `launch`.
    stdin: Option<ChildStdin>,
}

pub(super) fn spawn(
    kind: ControlPlaneKind,
    mut plan: Plan,
    kubectl: KubectlCommand,
) -> Result<ControlPlane, LaunchError> {
    let log = File::create(&plan.log).map_err(|source| LaunchError::file(&plan.log, source))?;
    let log_too = log
        .try_clone()
        .map_err(|source| LaunchError::file(&plan.log, source))?;
    // An earlier run's would be taken for this one's before it is there.
    match std::fs::remove_file(&plan.admin_kubeconfig) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(LaunchError::file(&plan.admin_kubeconfig, source));
        }
        _ => {}
    }
    let mut child = plan
        .command
        .stdin(Stdio::piped())
        .stdout(log)
        .stderr(log_too)
        // Ctrl-C is for us: we stop it in our order.
        .process_group(0)
        .spawn()
        .map_err(|source| LaunchError::Spawn {
            program: plan.program,
            source,
        })?;
    let stdin = child.stdin.take();
    Ok(ControlPlane {
        kind,
        admin_kubeconfig: plan.admin_kubeconfig,
        url: plan.url,
        direct_url: plan.direct_url,
        doors: plan.doors,
        join_url: plan.join_url,
        version: String::new(),
        ca_pem: String::new(),
        kubectl,
        log: plan.log,
        ready_after: Duration::ZERO,
        ca: plan.ca,
        child,
        stdin,
    })
}

impl ControlPlane {
    pub(super) async fn wait_ready(
        &mut self,
        started: Instant,
        within: Duration,
    ) -> Result<(), LaunchError> {
        loop {
            self.check()?;
            let last = match self.answers().await {
                Ok(version) => {
                    self.version = version;
                    break;
                }
                Err(last) => last,
            };
            if started.elapsed() >= within {
                let tail = tail(&self.log);
                return Err(LaunchError::NotReady {
                    waited: within,
                    last,
                    log: self.log.clone(),
                    tail,
                });
            }
            tokio::time::sleep(POLL).await;
        }
        self.ca_pem = std::fs::read_to_string(&self.ca)
            .map_err(|source| LaunchError::file(&self.ca, source))?;
        self.ready_after = started.elapsed();
        Ok(())
    }

    /// The version, once each path is answered well; else the last line that kubectl said.
    async fn answers(&self) -> Result<String, String> {
        if !self.admin_kubeconfig.exists() {
            return Err("no kubeconfig yet".to_owned());
        }
        for path in READY_PATHS {
            self.get(path).await?;
        }
        let version = self.get("/version").await?;
        let version: serde_json::Value =
            serde_json::from_slice(&version).map_err(|error| format!("/version: {error}"))?;
        version
            .get("gitVersion")
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned)
            .ok_or_else(|| "/version: no gitVersion".to_owned())
    }

    async fn get(&self, path: &str) -> Result<Vec<u8>, String> {
        let mut command = self.kubectl.command(&self.admin_kubeconfig);
        command.args(["get", "--request-timeout=5s", "--raw", path]);
        let output = tokio::time::timeout(QUESTION, command.output())
            .await
            .map_err(|_| format!("{path}: no answer within {QUESTION:?}"))?
            .map_err(|error| format!("{}: {error}", self.kubectl))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        Err(format!("{path}: {last}"))
    }

    /// Whether it still runs; the error says how it ended.
    pub fn check(&mut self) -> Result<(), LaunchError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.ended(status)),
            Err(source) => Err(LaunchError::file(&self.log, source)),
        }
    }

    /// Waits until it ends, which it should not do by itself.
    pub async fn ends(&mut self) -> LaunchError {
        match self.child.wait().await {
            Ok(status) => self.ended(status),
            Err(source) => LaunchError::file(&self.log, source),
        }
    }

    fn ended(&self, status: ExitStatus) -> LaunchError {
        LaunchError::Ended {
            status,
            log: self.log.clone(),
            tail: tail(&self.log),
        }
    }

    /// Ends it in order, and kills it if that takes too long.
    pub async fn stop(mut self) {
        self.stdin = None;
        if tokio::time::timeout(STOP_WITHIN, self.child.wait())
            .await
            .is_err()
        {
            tracing::warn!(log = %self.log.display(), "the control plane did not stop in time");
        }
        // What is left is the destructor's.
    }
}

impl Drop for ControlPlane {
    /// Ends it as [`ControlPlane::stop`] does, so that a folder that is removed next is no longer
    /// written to. This blocks for the moment that takes; who can wait calls `stop`.
    fn drop(&mut self) {
        self.stdin = None;
        let deadline = Instant::now() + STOP_WITHIN;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() >= deadline {
                // For K3s this ends the shell; its watcher sees to K3s itself.
                if let Err(error) = self.child.start_kill() {
                    tracing::warn!(%error, "the control plane can't be killed");
                }
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The end of a log, for an error.
pub(super) fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut text = Vec::new();
        file.take(TAIL).read_to_end(&mut text)?;
        Ok(text)
    };
    match read() {
        Ok(text) => String::from_utf8_lossy(&text).trim().to_owned(),
        Err(error) => error.to_string(),
    }
}
