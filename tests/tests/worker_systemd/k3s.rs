//! A stock K3s of one machine that is server and worker, started by systemd, behind the shim.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use k3s_configs::launch::{ControlPlaneKind, Search, find_kubectl};
use k3s_configs::{SERVICE_UNIT, SOCKET_UNIT, WORKER_BINARY};
use k3s_daas_tests::control_plane;
use k3s_daas_tests::cri::{BUSY, made};
use k3s_daas_tests::e2e::{program, skipped};
use k3s_daas_tests::systemd::Machine;
use serde_json::{Value, json};

use super::scene::write;

const UNIT: &str = "k3s.service";
const NODE: &str = "worker-001";
/// A server's first start, on a busy machine.
const WITHIN: Duration = Duration::from_mins(2);
const METRICS: &str = "http://127.0.0.1:9091/metrics";
/// As K3s's installer writes it, and where it finds runc's and containerd's programs.
const K3S_UNIT: &str = "\
[Unit]
Description=Lightweight Kubernetes
Wants=network-online.target
After=network-online.target
[Install]
WantedBy=multi-user.target
[Service]
Type=notify
Environment=PATH=/opt/containerd:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
KillMode=process
Delegate=yes
LimitNOFILE=1048576
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
ExecStart=/usr/local/bin/k3s server
";
const CONFIG: &str = "\
node-name: worker-001
node-ip: 10.99.254.2
flannel-backend: none
disable-network-policy: true
disable-kube-proxy: true
disable-helm-controller: true
disable-cloud-controller: true
egress-selector-mode: disabled
disable: [coredns, servicelb, traefik, local-storage, metrics-server]
pause-image: docker.io/k3s-daas/pause:1
kubelet-arg:
  - eviction-hard=imagefs.available<1%,nodefs.available<1%
";
const NETWORK: &str = "ip link add eth0 type bridge && ip address add 10.99.254.2/24 dev eth0 && \
    ip link set eth0 up && ip route add default via 10.99.254.1";

struct Scene {
    machine: Machine,
    /// What calls kubectl in the machine.
    kubectl: Vec<String>,
    // Last: the machine sees it.
    _rancher: tempfile::TempDir,
}

impl Scene {
    async fn boot(test: &str) -> anyhow::Result<Option<Self>> {
        if let Some(missing) = Machine::missing()? {
            skipped(test, &missing);
            return Ok(None);
        }
        let found = control_plane::available().ok();
        let Some(k3s) = found.filter(|found| found.kind == ControlPlaneKind::K3s) else {
            skipped(test, "no K3s: set K3S_BIN");
            return Ok(None);
        };
        let tools = made("containerd.sh", "containerd");
        let (Some(tools), Some(images)) = (tools, made("images.sh", "busy.tar")) else {
            skipped(test, "tests/tools/containerd.sh and images.sh were not run");
            return Ok(None);
        };
        let program = program().context("k3s-daas was not built: cargo build")?;
        let own = program.with_file_name(WORKER_BINARY);
        let kubectl = find_kubectl(&Search::from_environment(), Some(&k3s))?;
        let mut words = kubectl
            .words()
            .map(|word| word.to_string_lossy().into_owned());
        let client = words.next().context("a kubectl")?;
        let kubectl = ["/opt/kubectl".to_owned()]
            .into_iter()
            .chain(words)
            .collect();
        let rancher = rancher(&images)?;
        let shown: [(&Path, &str); 7] = [
            (&program, "/usr/local/bin/k3s-daas"),
            (&own, "/usr/local/bin/k3s-daas-worker"),
            (&k3s.path, "/usr/local/bin/k3s"),
            (Path::new(&client), "/opt/kubectl"),
            (&tools, "/opt/containerd"),
            (&tools.join("cni"), "/opt/cni/bin"),
            (rancher.path(), "/var/lib/rancher"),
        ];
        let scene = Self {
            machine: Machine::boot(&shown).await.context("the machine")?,
            kubectl,
            _rancher: rancher,
        };
        scene.machine.run(&["sh", "-ec", NETWORK])?;
        let mut config = CONFIG.to_owned();
        if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            config.push_str("  - fail-cgroupv1=false\n");
        }
        for (path, text) in [
            ("/etc/rancher/k3s/config.yaml", config.as_str()),
            ("/etc/cni/net.d/10-pods.conflist", &pod_network()),
            ("/etc/systemd/system/k3s.service", K3S_UNIT),
            (
                "/etc/k3s-daas/worker-config.yaml",
                "node:\n  id: worker-001\n",
            ),
        ] {
            write(&scene.machine, path, text)?;
        }
        scene.machine.run(&["systemctl", "daemon-reload"])?;
        scene
            .machine
            .run(&["systemctl", "enable", "--now", "--no-block", UNIT])?;
        scene.is_ready().await?;
        let account = ["get", "serviceaccount", "default"];
        scene
            .until("ready for pods", &account, |found| {
                found["kind"] == "ServiceAccount"
            })
            .await?;
        Ok(Some(scene))
    }

    /// kubectl's answer, as JSON; none while the API server does not answer.
    fn read(&self, words: &[&str]) -> anyhow::Result<Option<Value>> {
        let output = self.kubectl(words, "--output=json").output()?;
        Ok(serde_json::from_slice(&output.stdout).ok())
    }

    fn kubectl(&self, words: &[&str], last: &str) -> std::process::Command {
        let mut all: Vec<&str> = self.kubectl.iter().map(String::as_str).collect();
        all.extend([
            "--kubeconfig=/etc/rancher/k3s/k3s.yaml",
            "--request-timeout=10s",
        ]);
        all.extend(words);
        all.push(last);
        self.machine.command(&all)
    }

    async fn until(
        &self,
        what: &str,
        words: &[&str],
        is_so: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let read = self.read(words)?;
            if read.as_ref().is_some_and(&is_so) {
                return Ok(());
            }
            if began.elapsed() > WITHIN {
                let journal = self.machine.journal(UNIT)?;
                let from = journal.len().saturating_sub(3_000);
                let end = journal.get(from..).unwrap_or_default();
                bail!("not {what}: {read:?}\n{end}");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn is_ready(&self) -> anyhow::Result<()> {
        self.until("Ready", &["get", "node", NODE], |node| {
            conditions(node).any(|one| one["type"] == "Ready" && one["status"] == "True")
        })
        .await
    }

    /// Makes a pod and waits until it runs.
    async fn pod(&self, name: &str) -> anyhow::Result<()> {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name},
            "spec": {
                "nodeName": NODE,
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 1,
                "tolerations": [{"operator": "Exists"}],
                "containers": [{
                    "name": "main", "image": BUSY, "imagePullPolicy": "Never",
                    "command": ["/bin/busy", "sleep", "3600"],
                }],
            },
        });
        let file = format!("/tmp/{name}.json");
        write(&self.machine, &file, &pod.to_string())?;
        let created = self.kubectl(&["create", "--filename"], &file).output()?;
        let said = String::from_utf8_lossy(&created.stderr);
        ensure!(created.status.success(), "{said}");
        self.runs(name, 0).await
    }

    /// Waits until a pod's container runs that was started so often again.
    async fn runs(&self, name: &str, again: u64) -> anyhow::Result<()> {
        let what = format!("{name} running, started again {again} times");
        self.until(&what, &["get", "pod", name], |pod| {
            let main = &pod["status"]["containerStatuses"][0];
            main["restartCount"] == again && main["state"]["running"].is_object()
        })
        .await
    }

    fn restarts(&self, unit: &str) -> anyhow::Result<u32> {
        Ok(self.machine.property(unit, "NRestarts")?.parse()?)
    }

    /// How many sandboxes kubelet has asked for through the shim.
    fn sandboxes(&self) -> anyhow::Result<u64> {
        let metrics = self.machine.run(&["curl", "--silent", "--fail", METRICS])?;
        let series = "k3s_daas_cri_calls_total{method=\"RunPodSandbox\",code=\"OK\"} ";
        let found = metrics.lines().find_map(|line| line.strip_prefix(series));
        Ok(found.unwrap_or("0").parse()?)
    }
}

fn conditions(node: &Value) -> impl Iterator<Item = &Value> {
    let all = node["status"]["conditions"].as_array();
    all.into_iter().flatten()
}

/// K3s's own folder: containerd's layers can't lie on the machine's copy-on-write files.
fn rancher(images: &Path) -> anyhow::Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix("rancher").tempdir()?;
    let agent = folder.path().join("k3s/agent");
    let drop_ins = agent.join("etc/containerd/config-v3.toml.d");
    std::fs::create_dir_all(agent.join("images"))?;
    std::fs::create_dir_all(&drop_ins)?;
    for image in ["pause.tar", "busy.tar"] {
        std::fs::copy(images.join(image), agent.join("images").join(image))?;
    }
    // For a root without `CAP_SYS_RESOURCE`.
    let drop_in = "[plugins.'io.containerd.cri.v1.runtime']\n  restrict_oom_score_adj = true\n";
    std::fs::write(drop_ins.join("tests.toml"), drop_in)?;
    Ok(folder)
}

fn pod_network() -> String {
    let plugin = json!({
        "type": "bridge", "bridge": "cni0", "isGateway": true,
        "ipam": {"type": "host-local", "subnet": "10.42.0.0/24", "routes": [{"dst": "0.0.0.0/0"}]},
    });
    json!({"cniVersion": "1.0.0", "name": "pods", "plugins": [plugin]}).to_string()
}

/// Installed under a K3s that runs pods, rebooted, killed, taken away.
pub(crate) async fn all(test: &str) -> anyhow::Result<()> {
    let Some(mut scene) = Scene::boot(test).await? else {
        return Ok(());
    };
    scene.pod("before").await?;
    let install = [
        "k3s-daas",
        "worker",
        "install",
        "--agent-unit",
        UNIT,
        "--restart-agent",
    ];
    scene.machine.run(&install).context("install")?;
    scene.is_ready().await?;
    scene.runs("before", 0).await?;
    scene.pod("through").await?;
    ensure!(
        scene.sandboxes()? == 1,
        "{} came through",
        scene.sandboxes()?
    );

    for turn in 1..=2 {
        scene.machine.reboot().await.context("a reboot")?;
        scene.is_ready().await?;
        for pod in ["before", "through"] {
            scene.runs(pod, turn).await?;
        }
        for unit in [UNIT, SERVICE_UNIT] {
            let restarts = scene.restarts(unit)?;
            ensure!(restarts == 0, "{unit} was started {restarts} times more");
        }
        ensure!(scene.sandboxes()? >= 2, "pods went past the shim");
    }

    let k3s = scene.machine.property(UNIT, "InvocationID")?;
    let kill = ["systemctl", "kill", "--signal=KILL", SERVICE_UNIT];
    scene.machine.run(&kill)?;
    scene.pod("later").await.context("a pod after the kill")?;
    ensure!(scene.machine.property(UNIT, "InvocationID")? == k3s);
    scene.is_ready().await?;

    let uninstall = ["k3s-daas", "worker", "uninstall", "--agent-unit", UNIT];
    scene.machine.run(&uninstall).context("uninstall")?;
    scene.is_ready().await?;
    for (pod, again) in [("before", 2), ("through", 2), ("later", 0)] {
        scene.runs(pod, again).await?;
    }
    scene.pod("direct").await?;
    let known = scene
        .machine
        .property(SOCKET_UNIT, "LoadState")
        .context("systemd")?;
    ensure!(known == "not-found", "systemd knows a {known} socket");
    Ok(())
}
