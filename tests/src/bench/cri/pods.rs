//! A containerd of the benchmark's own with sandboxes in it, on the machine's own network: what is
//! measured is calls, not networks.
//!
//! Errors: a containerd that does not start says why in its log, the end of which is told.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use k8s_cri::v1;
use prost::Message as _;
use tempfile::TempDir;

use super::client::{Call, Caller};
use crate::e2e::workspace;

const PAUSE: &str = "docker.io/k3s-daas/pause:1";
const CGROUPS: &str = "/sys/fs/cgroup";
const WITHIN: Duration = Duration::from_secs(30);
/// The control group of all of them, and of no other benchmark's.
fn group() -> String {
    format!("k3s-daas-bench-{}", std::process::id())
}

/// A running containerd.
#[derive(Debug)]
pub(super) struct Runtime {
    child: Child,
    folder: TempDir,
    /// Its socket.
    pub(super) socket: PathBuf,
    sandboxes: Vec<String>,
}

impl Runtime {
    /// Starts one; nothing, loudly, where that can't be.
    pub(super) async fn start() -> anyhow::Result<Option<Self>> {
        let (Some(programs), Some(images)) = (made("containerd.sh"), made("images.sh")) else {
            crate::e2e::skipped("bench cri", "containerd or its images are not built");
            return Ok(None);
        };
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("containerd.sock");
        let config = folder.path().join("config.toml");
        std::fs::write(&config, configuration(folder.path()))?;
        let mut path = programs.clone().into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        // In a mount namespace of its own: its mounts end with it.
        let child = Command::new("unshare")
            .args(["--mount", "--propagation", "private"])
            .arg(programs.join("containerd"))
            .arg("--config")
            .arg(&config)
            .env("PATH", path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log"))?)
            .spawn()?;
        let mut runtime = Self {
            child,
            folder,
            socket,
            sandboxes: Vec::new(),
        };
        runtime.ready().await?;
        let imported = Command::new(programs.join("ctr"))
            .arg("--address")
            .arg(&runtime.socket)
            .args(["--namespace", "k8s.io", "images", "import", "--local"])
            .arg("--snapshotter")
            .arg("native")
            .arg(images.join("pause.tar"))
            .output()?;
        let said = String::from_utf8_lossy(&imported.stderr);
        ensure!(imported.status.success(), "importing the image: {said}");
        Ok(Some(runtime))
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let status = Call::new("Status", &v1::StatusRequest::default())?;
        let began = Instant::now();
        loop {
            if let Some(ended) = self.child.try_wait()? {
                bail!("containerd ended with {ended}: {}", self.said());
            }
            if let Ok(mut caller) = Caller::connect(&self.socket).await
                && caller.call(&status).await.is_ok()
            {
                return Ok(());
            }
            if began.elapsed() > WITHIN {
                bail!("containerd does not answer: {}", self.said());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Runs so many sandboxes.
    pub(super) async fn run(&mut self, count: usize) -> anyhow::Result<()> {
        let mut caller = Caller::connect(&self.socket).await?;
        for n in 0..count {
            let call = Call::new("RunPodSandbox", &sandbox(n, self.folder.path()))?;
            let answer = caller
                .ask(&call)
                .await
                .with_context(|| format!("sandbox {n}: {}", self.said()))?;
            let answer = v1::RunPodSandboxResponse::decode(answer)?;
            self.sandboxes.push(answer.pod_sandbox_id);
        }
        Ok(())
    }

    /// Removes what runs, and ends.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let mut caller = Caller::connect(&self.socket).await?;
        for id in std::mem::take(&mut self.sandboxes) {
            let request = v1::RemovePodSandboxRequest { pod_sandbox_id: id };
            caller
                .ask(&Call::new("RemovePodSandbox", &request)?)
                .await?;
        }
        Ok(())
    }

    fn said(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A benchmark that failed leaves neither shims, which have our socket in their arguments,
        // nor what they hold, which is in our group.
        let (socket, group) = (self.socket.to_string_lossy().into_owned(), group());
        let has = |file: PathBuf, text: &str| {
            let read = std::fs::read(file).unwrap_or_default();
            String::from_utf8_lossy(&read).contains(text)
        };
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let process = entry.path();
            let shim = has(process.join("cmdline"), "containerd-shim");
            if (shim && has(process.join("cmdline"), &socket))
                || has(process.join("cgroup"), &group)
            {
                let id = entry.file_name();
                let _ = Command::new("kill").arg("-KILL").arg(id).status();
            }
        }
        for hierarchy in std::fs::read_dir(CGROUPS).into_iter().flatten().flatten() {
            remove_group(&hierarchy.path().join(&group));
        }
        remove_group(&Path::new(CGROUPS).join(&group));
    }
}

/// Removes an empty group and those below.
fn remove_group(group: &Path) {
    for below in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if below.path().is_dir() {
            remove_group(&below.path());
        }
    }
    let _ = std::fs::remove_dir(group);
}

/// The folder that a tool has made, if it has.
fn made(tool: &str) -> Option<PathBuf> {
    let output = Command::new(workspace().join("tests/tools").join(tool))
        .arg("--path")
        .output()
        .ok()?;
    let folder = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    folder.is_dir().then_some(folder)
}

/// All of its data below this folder, no network plugins, and no copying file system: the tests'
/// machines may have none.
fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"version = 3
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.nri.v1.nri"]
[grpc]
  address = "{folder}/containerd.sock"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "native"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{PAUSE}"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  conf_dir = "{folder}/cni"
"#
    )
}

fn sandbox(n: usize, folder: &Path) -> v1::RunPodSandboxRequest {
    let options = v1::NamespaceOption {
        network: v1::NamespaceMode::Node.into(),
        pid: v1::NamespaceMode::Container.into(),
        ..v1::NamespaceOption::default()
    };
    let (name, uid) = (
        format!("pod-{n:03}"),
        format!("00000000-0000-4000-8000-{n:012}"),
    );
    let labels = [
        ("io.kubernetes.pod.name", name.as_str()),
        ("io.kubernetes.pod.namespace", "bench"),
        ("io.kubernetes.pod.uid", uid.as_str()),
    ];
    let config = v1::PodSandboxConfig {
        metadata: Some(v1::PodSandboxMetadata {
            name: name.clone(),
            uid: uid.clone(),
            namespace: "bench".to_owned(),
            attempt: 0,
        }),
        log_directory: folder.join("logs").join(&name).display().to_string(),
        labels: labels
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        linux: Some(v1::LinuxPodSandboxConfig {
            cgroup_parent: format!("/{}", group()),
            security_context: Some(v1::LinuxSandboxSecurityContext {
                namespace_options: Some(options),
                ..v1::LinuxSandboxSecurityContext::default()
            }),
            ..v1::LinuxPodSandboxConfig::default()
        }),
        ..v1::PodSandboxConfig::default()
    };
    v1::RunPodSandboxRequest {
        config: Some(config),
        runtime_handler: String::new(),
    }
}
