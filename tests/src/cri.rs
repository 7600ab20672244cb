//! A real containerd with runc on a machine of namespaces, and the shim in front of it.
//!
//! Shape:  [`Containerd`] is a machine (pid, mount, network and IPC namespaces that die with their
//!         holder) with containerd in it, which can be killed and started again while its pods run
//!         on. [`Shim`] is `k3s-daas worker` behind a socket that this process holds, as systemd
//!         does. [`client`] calls either.
//! Needs:  root, and what `tests/tools/containerd.sh` and `images.sh` make. Where these are not
//!         there, nothing is started and that is said.

pub mod client;
mod groups;
mod pods;
mod registry;
mod shim;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use k8s_cri::v1;

use crate::e2e::{skipped, workspace};

pub use pods::{remove_pod, run_pod, run_pod_of};
pub use registry::Registry;
pub use shim::Shim;

/// Everything comes within this, on a busy machine too.
pub const WITHIN: Duration = Duration::from_secs(60);
/// The pause between two looks.
pub const LOOK: Duration = Duration::from_millis(50);
/// What containers run.
pub const BUSY: &str = "docker.io/k3s-daas/busy:1";
/// The gateway of the pods, on the machine's end of their bridge.
pub const GATEWAY: &str = "10.231.77.1";

/// A machine with containerd. It ends, pods included, when this is dropped, and with this process.
#[derive(Debug)]
pub struct Containerd {
    holder: Child,
    running: Option<Child>,
    folder: tempfile::TempDir,
    tools: PathBuf,
    /// The folder of its pods' control groups in each hierarchy.
    pub group: String,
}

/// The folder that a script of `tests/tools` fills; none where it is not filled.
pub fn made(script: &str, holds: &str) -> Option<PathBuf> {
    let script = workspace().join("tests/tools").join(script);
    let output = Command::new("bash").arg(script).arg("--path").output();
    let folder = String::from_utf8(output.ok()?.stdout).ok()?;
    let folder = PathBuf::from(folder.trim_end());
    folder.join(holds).exists().then_some(folder)
}

impl Containerd {
    /// Starts one with the test images; nothing, and says so, where none can run.
    pub async fn start(test: &str) -> anyhow::Result<Option<Self>> {
        let can = Command::new("bash")
            .arg(workspace().join("tests/tools/can-run-workers.sh"))
            .output()?;
        if can.stdout.trim_ascii() != b"1" {
            skipped(test, String::from_utf8_lossy(&can.stderr).trim());
            return Ok(None);
        }
        let tools = made("containerd.sh", "containerd");
        let (Some(tools), Some(images)) = (tools, made("images.sh", "busy.tar")) else {
            skipped(test, "tests/tools/containerd.sh and images.sh were not run");
            return Ok(None);
        };
        let folder = tempfile::Builder::new().prefix("cri").tempdir()?;
        let holder = hold(folder.path())?;
        let group = format!("/k3s-daas-cri-{}", holder.id());
        let mut containerd = Self {
            holder,
            running: None,
            folder,
            tools,
            group,
        };
        containerd.prepare()?;
        containerd.run().await?;
        for image in ["pause.tar", "busy.tar"] {
            containerd.import(&images.join(image))?;
        }
        Ok(Some(containerd))
    }

    fn prepare(&self) -> anyhow::Result<()> {
        for folder in ["cni.d", "data", "logs"] {
            std::fs::create_dir(self.path(folder))?;
        }
        std::fs::write(self.path("config.toml"), self.config())?;
        std::fs::write(self.path("cni.d/10-pods.conflist"), network())?;
        let lo = self
            .inside("ip")
            .args(["link", "set", "lo", "up"])
            .status()?;
        ensure!(lo.success(), "the machine's loopback");
        Ok(())
    }

    /// Starts containerd, again after [`kill`](Self::kill), and waits until it answers.
    pub async fn run(&mut self) -> anyhow::Result<()> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("containerd.log"))?;
        let script = format!(
            "echo $$ >{0}/containerd.pid; exec {1}/containerd --config {0}/config.toml",
            self.folder.path().display(),
            self.tools.display(),
        );
        let path = std::env::var("PATH").unwrap_or_default();
        let child = self
            .inside("sh")
            .args(["-c", &script])
            .env("PATH", format!("{}:{path}", self.tools.display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.running = Some(child);
        let began = Instant::now();
        loop {
            let mut runtime = client::runtime(&self.socket());
            let version = runtime.version(v1::VersionRequest::default());
            match tokio::time::timeout(WITHIN, version).await? {
                Ok(_) => return Ok(()),
                Err(status) if began.elapsed() > WITHIN => {
                    bail!("containerd is not ready: {status}\n{}", self.log());
                }
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Kills containerd with -9; pods run on.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let pid = std::fs::read_to_string(self.path("containerd.pid"))?;
        let killed = self.inside("kill").args(["-9", pid.trim()]).status()?;
        ensure!(killed.success(), "containerd can't be killed");
        if let Some(mut running) = self.running.take() {
            running.wait()?;
        }
        Ok(())
    }

    /// Makes an archive's image known.
    pub fn import(&self, archive: &Path) -> anyhow::Result<()> {
        let output = Command::new(self.tools.join("ctr"))
            .arg("--address")
            .arg(self.socket())
            .args(["--namespace", "k8s.io", "images", "import"])
            .arg(archive)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {said}", archive.display());
        Ok(())
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.path("containerd.sock")
    }

    /// A file of its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("containerd.log")).unwrap_or_default()
    }

    /// Processes as containerd numbers them.
    pub fn proc_root(&self) -> PathBuf {
        // The holder's only child is the first process of the machine.
        let id = self.holder.id();
        let children = format!("/proc/{id}/task/{id}/children");
        let first = std::fs::read_to_string(children).unwrap_or_default();
        PathBuf::from(format!("/proc/{}/root/proc", first.trim()))
    }

    /// A program in the machine.
    pub fn inside(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let of = |kind: &str| format!("/proc/{}/ns/{kind}", self.holder.id());
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--pid={}", of("pid_for_children")))
            .arg(format!("--mount={}", of("mnt")))
            .arg(format!("--net={}", of("net")))
            .arg(format!("--ipc={}", of("ipc")))
            .arg("--")
            .arg(program);
        command
    }

    /// How many pods' processes containerd's shims hold in this machine.
    pub fn shims(&self) -> anyhow::Result<usize> {
        let mut count = 0;
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
            let arguments = String::from_utf8_lossy(&read("cmdline")).into_owned();
            let ours = arguments.contains(&*self.socket().to_string_lossy());
            count += usize::from(ours && arguments.contains("containerd-shim-runc-v2"));
        }
        Ok(count)
    }

    /// Two lines are for a root without `CAP_SYS_RESOURCE`.
    fn config(&self) -> String {
        let (folder, tools) = (self.folder.path().display(), self.tools.display());
        format!(
            r#"version = 3
root = "{folder}/root"
state = "{folder}/state"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  enable_unprivileged_ports = false
  enable_unprivileged_icmp = false
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["{tools}/cni"]
  conf_dir = "{folder}/cni.d"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "docker.io/k3s-daas/pause:1"
"#
        )
    }
}

/// The process whose namespaces are the machine's; its child buries who dies in there.
fn hold(folder: &Path) -> anyhow::Result<Child> {
    let mut holder = Command::new("unshare")
        .args(["--pid", "--mount", "--net", "--ipc", "--fork"])
        .args(["--kill-child", "--mount-proc", "--", "sh", "-c"])
        .arg("mount -t tmpfs tmpfs /run && : >\"$0/held\"; while :; do sleep 5; done")
        .arg(folder)
        .stdin(Stdio::null())
        .spawn()?;
    let began = Instant::now();
    while !folder.join("held").exists() {
        if let Some(status) = holder.try_wait()? {
            bail!("the machine ended with {status}");
        }
        ensure!(began.elapsed() < WITHIN, "the machine does not come up");
        std::thread::sleep(LOOK);
    }
    Ok(holder)
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        if let Some(mut running) = self.running.take() {
            let _ = running.wait();
        }
        let _ = groups::remove(&self.group);
    }
}

fn network() -> String {
    let plugin = serde_json::json!({
        "type": "bridge", "bridge": "pods0", "isGateway": true,
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/cni-ipam",
            "ranges": [[{ "subnet": "10.231.77.0/24", "gateway": GATEWAY }]],
        },
    });
    serde_json::json!({ "cniVersion": "1.0.0", "name": "pods", "plugins": [plugin] }).to_string()
}
