//! A containerd with namespaces of its own, and pods on it whose programs are this machine's.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::ensure;
use hyper_util::rt::TokioIo;
use k3s_daas_tests::e2e::workspace;
use k8s_cri::v1;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use tonic::transport::{Channel, Endpoint};

/// The gateway of the pods, on the machine's end of their bridge.
pub const GATEWAY: &str = "10.231.77.1";
const READY: Duration = Duration::from_secs(30);

/// containerd; everything of it ends with this.
#[derive(Debug)]
pub struct Machine {
    child: Child,
    folder: tempfile::TempDir,
    /// The folder of its pods' control groups in each hierarchy.
    pub group: String,
}

/// A running pod of one container.
#[derive(Debug)]
pub struct Pod {
    pub sandbox: String,
    /// The container's control group.
    pub group: String,
}

/// What a script of `tests/tools` says its folder is.
pub fn folder(script: &str) -> anyhow::Result<PathBuf> {
    let script = workspace().join("tests/tools").join(script);
    let output = Command::new("bash").arg(script).arg("--path").output()?;
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim_end()))
}

impl Machine {
    pub async fn start() -> anyhow::Result<Self> {
        let tools = folder("containerd.sh")?;
        let folder = tempfile::Builder::new().prefix("wm").tempdir()?;
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("config.toml"), config(folder.path(), &tools))?;
        std::fs::create_dir(path("cni.d"))?;
        std::fs::write(path("cni.d/10-pods.conflist"), network())?;
        std::fs::create_dir(path("data"))?;
        let log = std::fs::File::create(path("containerd.log"))?;
        // Its end is the end of all processes in its namespaces.
        let script = format!(
            "ip link set lo up; mount -t tmpfs tmpfs /run; \
             exec {}/containerd --config {}/config.toml",
            tools.display(),
            folder.path().display(),
        );
        let path_variable = std::env::var("PATH").unwrap_or_default();
        let child = Command::new("unshare")
            .args([
                "--pid",
                "--mount",
                "--net",
                "--ipc",
                "--fork",
                "--kill-child",
            ])
            .args(["--mount-proc", "--", "sh", "-ec", &script])
            .env("PATH", format!("{}:{path_variable}", tools.display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let group = format!("/k3s-daas-metrics-{}", child.id());
        let machine = Self {
            child,
            folder,
            group,
        };
        machine.ready().await?;
        machine.import(&tools)?;
        Ok(machine)
    }

    async fn ready(&self) -> anyhow::Result<()> {
        let since = Instant::now();
        loop {
            let answer = self.runtime().version(v1::VersionRequest::default()).await;
            match answer {
                Ok(_) => return Ok(()),
                Err(status) if since.elapsed() > READY => {
                    let log = std::fs::read_to_string(self.path("containerd.log"))?;
                    anyhow::bail!("containerd is not ready: {status}\n{log}");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn import(&self, tools: &Path) -> anyhow::Result<()> {
        let images = folder("images.sh")?;
        for image in ["pause.tar", "busy.tar"] {
            let output = Command::new(tools.join("ctr"))
                .arg("--address")
                .arg(self.socket())
                .args(["--namespace", "k8s.io", "images", "import"])
                .arg(images.join(image))
                .output()?;
            ensure!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a pod's container said.
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("logs/{name}.log"))).unwrap_or_default()
    }

    pub fn put(&self, name: &str, text: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.path(name), text)?)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("containerd.sock")
    }

    /// Processes as containerd numbers them.
    pub fn proc_root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root/proc", self.child.id()))
    }

    /// A program in the machine's network.
    pub fn inside(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/proc/{}/ns/net", self.child.id()))
            .arg("--")
            .arg(program);
        command
    }

    fn channel(&self) -> Channel {
        let socket = self.socket();
        Endpoint::from_static("http://localhost").connect_with_connector_lazy(tower::service_fn(
            move |_| {
                let socket = socket.clone();
                async move {
                    tokio::net::UnixStream::connect(socket)
                        .await
                        .map(TokioIo::new)
                }
            },
        ))
    }

    pub fn runtime(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.channel())
    }

    /// A pod whose container runs a script of bash, with this machine's programs and a folder on
    /// its disk at `/data`.
    pub async fn pod(&self, name: &str, script: &str, host_network: bool) -> anyhow::Result<Pod> {
        let mode = if host_network {
            v1::NamespaceMode::Node
        } else {
            v1::NamespaceMode::Pod
        };
        let config = v1::PodSandboxConfig {
            metadata: Some(v1::PodSandboxMetadata {
                name: name.into(),
                uid: name.into(),
                namespace: "default".into(),
                attempt: 0,
            }),
            log_directory: self.path("logs").to_string_lossy().into(),
            linux: Some(v1::LinuxPodSandboxConfig {
                cgroup_parent: format!("{}/pod-{name}", self.group),
                security_context: Some(v1::LinuxSandboxSecurityContext {
                    namespace_options: Some(v1::NamespaceOption {
                        network: mode as i32,
                        ..Default::default()
                    }),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut runtime = self.runtime();
        let request = v1::RunPodSandboxRequest {
            config: Some(config.clone()),
            ..Default::default()
        };
        let sandbox = runtime
            .run_pod_sandbox(request)
            .await?
            .into_inner()
            .pod_sandbox_id;
        let mounted = |host: &Path, inside: &str, readonly| v1::Mount {
            host_path: host.to_string_lossy().into(),
            container_path: inside.into(),
            readonly,
            ..Default::default()
        };
        let container = v1::ContainerConfig {
            metadata: Some(v1::ContainerMetadata {
                name: "app".into(),
                attempt: 0,
            }),
            image: Some(v1::ImageSpec {
                image: "docker.io/k3s-daas/busy:1".into(),
                ..Default::default()
            }),
            command: vec!["/usr/bin/bash".into(), "-c".into(), script.into()],
            envs: vec![v1::KeyValue {
                key: "PATH".into(),
                value: "/usr/bin".into(),
            }],
            mounts: vec![
                mounted(Path::new("/usr"), "/usr", true),
                mounted(Path::new("/usr/lib"), "/lib", true),
                mounted(Path::new("/usr/lib64"), "/lib64", true),
                mounted(&self.path("data"), "/data", false),
            ],
            log_path: format!("{name}.log"),
            linux: Some(v1::LinuxContainerConfig {
                security_context: Some(v1::LinuxContainerSecurityContext {
                    run_as_user: Some(v1::Int64Value { value: 0 }),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let request = v1::CreateContainerRequest {
            pod_sandbox_id: sandbox.clone(),
            config: Some(container),
            sandbox_config: Some(config),
        };
        let container = runtime
            .create_container(request)
            .await?
            .into_inner()
            .container_id;
        let request = v1::StartContainerRequest {
            container_id: container.clone(),
        };
        runtime.start_container(request).await?;
        let group = format!("{}/pod-{name}/{container}", self.group);
        Ok(Pod { sandbox, group })
    }

    pub async fn stop(&self, pod: &Pod) -> anyhow::Result<()> {
        let id = || pod.sandbox.clone();
        let mut runtime = self.runtime();
        runtime
            .stop_pod_sandbox(v1::StopPodSandboxRequest {
                pod_sandbox_id: id(),
            })
            .await?;
        runtime
            .remove_pod_sandbox(v1::RemovePodSandboxRequest {
                pod_sandbox_id: id(),
            })
            .await?;
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = remove_groups(&self.group);
    }
}

/// Empty control groups stay until they are removed, the deepest first.
fn remove_groups(group: &str) -> std::io::Result<()> {
    let root = Path::new("/sys/fs/cgroup");
    let mut tops = vec![root.join(group.trim_start_matches('/'))];
    for entry in std::fs::read_dir(root)? {
        tops.push(entry?.path().join(group.trim_start_matches('/')));
    }
    for top in tops.into_iter().filter(|top| top.is_dir()) {
        let mut folders = vec![top];
        let mut next = 0;
        while let Some(folder) = folders.get(next).cloned() {
            next += 1;
            for entry in std::fs::read_dir(folder)?.flatten() {
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        for folder in folders.iter().rev() {
            // Its last process may still be ending.
            for _ in 0..50 {
                if std::fs::remove_dir(folder).is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
    Ok(())
}

/// Two lines are for a root without `CAP_SYS_RESOURCE`.
fn config(folder: &Path, tools: &Path) -> String {
    let (folder, tools) = (folder.display(), tools.display());
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
