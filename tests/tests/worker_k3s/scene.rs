//! The machine, its pods as the API server and as containerd know them, and kubectl.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use http::Method;
use k3s_configs::launch::ControlPlaneKind;
use k3s_configs::launch::agent::Agent;
use k3s_daas_tests::agents::{Machines, ready};
use k3s_daas_tests::cri::{BUSY, Shim, client};
use k3s_daas_tests::e2e::{Caller, Cluster, Said};
use k3s_daas_tests::streams::Stream;
use k3s_daas_tests::worker::{LOOK, MACHINES, WITHIN, Worker, is_ready, text};
use k8s_cri::v1;
use serde_json::{Value, json};
use tokio::process::Command;

/// The node.
pub const NODE: &str = "worker-001";
/// K3s's containerd, as the machine sees it.
const CONTAINERD: &str = "/run/k3s/containerd/containerd.sock";
/// A kubelet that starts waits 5 s for the first bytes of who holds its socket (Kubernetes v1.36.3,
/// the least time that gRPC gives a connection); then it ends, and its agent with it.
const KUBELET_WAITS: Duration = Duration::from_secs(5);
/// Well within.
const LATER: Duration = Duration::from_secs(3);
/// What is left after a kill is gone by then.
pub const TIDY_WITHIN: Duration = Duration::from_mins(2);

/// One machine of a cluster.
pub struct Scene {
    pub shim: Shim,
    pub agent: Agent,
    pub worker: Worker,
    pub cluster: Cluster,
    pub machines: Machines,
}

/// A pod with what tells whether it went on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    pub uid: String,
    pub phase: String,
    pub restarts: u64,
}

impl Scene {
    /// As after a reboot: the socket is held, the agent starts, and the shim comes later.
    pub async fn boot(cluster: Cluster, mut machines: Machines) -> anyhow::Result<Self> {
        let worker = cluster.worker(NODE).await?;
        let folder = machines.folder().join("cri");
        let mut shim = Shim::hold(&folder, Path::new(CONTAINERD))?;
        machines.cri_socket = Some(shim.socket());
        let mut agent = machines.sealed(&worker, NODE, 10).await?;
        let pid = agent.namespace_pid().context("no machine")?.to_string();
        let within = ["nsenter", "--target", &pid, "--mount", "--"];
        shim.within = within.map(str::to_owned).to_vec();
        let (contract, token) = (folder.join("contract.toml"), folder.join("seal.token"));
        cluster.devnet.ids.save(&contract)?;
        private(&token, worker.token.reveal().as_str())?;
        shim.more = vec![
            format!("--sui-staking-contract={}", contract.display()),
            format!("--node-token-file={}", token.display()),
            "--worker-guard-grace-seconds=0".to_owned(),
            "--worker-seal-seconds=1".to_owned(),
        ];
        kubelet_starts(&agent, 1).await?;
        if cluster.control_plane.kind == ControlPlaneKind::K3s {
            // Nobody comes: systemd starts the agent again.
            let began = Instant::now();
            while agent.ended().is_none() {
                ensure!(began.elapsed() < WITHIN, "it waits for ever");
                tokio::time::sleep(LOOK).await;
            }
            told(&format!("the agent gave up after {} ms", ms(began)));
            ensure!(
                began.elapsed() > KUBELET_WAITS.saturating_sub(LATER / 3),
                "at once"
            );
            agent.start_agent().await?;
            kubelet_starts(&agent, 2).await?;
        }
        tokio::time::sleep(LATER).await;
        agent.check().context("an agent whose socket is held")?;
        let node = cluster.node(NODE).await?;
        ensure!(!is_ready(&node.body), "Ready without a runtime: {node:?}");
        let began = Instant::now();
        shim.start()?;
        ready(&cluster, &agent).await?;
        told(&format!("Ready {} ms after the shim's start", ms(began)));
        Ok(Self {
            shim,
            agent,
            worker,
            cluster,
            machines,
        })
    }

    /// Whether the agent is K3s's.
    pub fn stock(&self) -> bool {
        self.cluster.control_plane.kind == ControlPlaneKind::K3s
    }

    /// containerd itself, from outside of the machine.
    pub fn containerd(&self) -> anyhow::Result<PathBuf> {
        let pid = self.agent.namespace_pid().context("no machine")?;
        Ok(PathBuf::from(format!("/proc/{pid}/root{CONTAINERD}")))
    }

    /// Makes a pod with this command on the machine, whoever schedules.
    pub async fn create(&self, name: &str, words: &[&str]) -> anyhow::Result<()> {
        let command: Vec<&str> = ["/bin/busy"].iter().chain(words).copied().collect();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": "all"}},
            "spec": {
                "nodeName": NODE,
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 1,
                "tolerations": [{"operator": "Exists"}],
                "containers": [{
                    "name": "main", "image": BUSY, "imagePullPolicy": "Never", "command": command,
                }],
            },
        });
        self.cluster
            .create(&Caller::Operator, &pods(), &pod)
            .await
            .with_context(|| format!("pod {name}"))
    }

    /// Makes a DaemonSet with a pod on the machine, which no drain moves.
    pub async fn daemon(&self, name: &str) -> anyhow::Result<()> {
        let labels = json!({"app": name});
        let set = json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "nodeSelector": {"kubernetes.io/hostname": NODE},
                    "automountServiceAccountToken": false,
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [{
                        "name": "main", "image": BUSY, "imagePullPolicy": "Never",
                    }],
                },
            }},
        });
        let path = format!("/apis/apps/v1/namespaces/{MACHINES}/daemonsets");
        self.cluster.create(&Caller::Operator, &path, &set).await
    }

    /// Begins a pod's end.
    pub async fn delete(&self, name: &str) -> anyhow::Result<()> {
        let path = format!("{}/{name}", pods());
        let said = self
            .cluster
            .ask(&Caller::Operator, Method::DELETE, &path, None)
            .await?;
        said.done().map(drop)
    }

    /// Waits until it runs.
    pub async fn runs(&self, name: &str) -> anyhow::Result<()> {
        let path = format!("{}/{name}", pods());
        let runs = |said: &Said| text(&said.body, "/status/phase") == "Running";
        let until = self
            .cluster
            .until_said(&Caller::Operator, &path, TIDY_WITHIN, runs);
        until.await.map(drop).with_context(|| name.to_owned())
    }

    /// The machine's pods by their names, as the API server knows them.
    pub async fn pods(&self) -> anyhow::Result<BTreeMap<String, Pod>> {
        let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{NODE}");
        let listed = self.cluster.read(&Caller::Operator, &path).await?.done()?;
        let items = listed.get("items").and_then(Value::as_array);
        let pod = |pod: &Value| {
            let restarts = pod.pointer("/status/containerStatuses/0/restartCount");
            let known = Pod {
                uid: text(pod, "/metadata/uid").to_owned(),
                phase: text(pod, "/status/phase").to_owned(),
                restarts: restarts.and_then(Value::as_u64).unwrap_or_default(),
            };
            (text(pod, "/metadata/name").to_owned(), known)
        };
        Ok(items.context("items")?.iter().map(pod).collect())
    }

    /// containerd's sandboxes: pods' uids, each with how many are ready.
    pub async fn sandboxes(&self) -> anyhow::Result<BTreeMap<String, usize>> {
        let mut runtime = client::runtime(&self.containerd()?);
        let request = v1::ListPodSandboxRequest::default();
        let listed = runtime.list_pod_sandbox(request).await?.into_inner();
        let mut all = BTreeMap::new();
        for sandbox in listed.items {
            let is_ready = sandbox.state() == v1::PodSandboxState::SandboxReady;
            let uid = sandbox.metadata.unwrap_or_default().uid;
            *all.entry(uid).or_default() += usize::from(is_ready);
        }
        Ok(all)
    }

    /// Waits until each pod runs in one sandbox and there is no other.
    pub async fn tidy(&self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        loop {
            let pods = self.pods().await?;
            let wanted: BTreeMap<String, usize> =
                pods.values().map(|pod| (pod.uid.clone(), 1)).collect();
            let there = self.sandboxes().await?;
            if there == wanted && pods.values().all(|pod| pod.phase == "Running") {
                return Ok(began.elapsed());
            }
            ensure!(
                began.elapsed() < TIDY_WITHIN,
                "pods {pods:?}, sandboxes {there:?}, {}",
                self.agent.log_tail()
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A kubectl command of the operator.
    pub fn kubectl(&self, words: &str) -> Command {
        let control_plane = &self.cluster.control_plane;
        let mut command = control_plane
            .kubectl
            .command(&control_plane.admin_kubeconfig);
        command.args(["--namespace", MACHINES]);
        command.args(words.split_whitespace());
        command
    }

    /// Runs one to its end.
    pub async fn said(&self, words: &str) -> anyhow::Result<String> {
        let output = tokio::time::timeout(WITHIN, self.kubectl(words).output()).await??;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        ensure!(output.status.success(), "kubectl {words}: {text}");
        Ok(text)
    }

    /// Begins one that goes on.
    pub async fn stream(&self, name: &'static str, words: &str) -> anyhow::Result<Stream> {
        let stream = Stream::start(name, self.kubectl(words))?;
        stream.says_more_than(0).await?;
        Ok(stream)
    }

    /// Starts the agent as systemd does when it has ended.
    pub async fn revive_agent(&mut self) -> anyhow::Result<bool> {
        let ended = self.agent.ended().is_some();
        if ended {
            self.agent.start_agent().await?;
        }
        Ok(ended)
    }

    /// What the worker holds in memory, in KiB.
    pub fn resident(&self) -> anyhow::Result<u64> {
        let id = self.shim.id().context("no worker")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.context("VmRSS")?.parse()?)
    }

    /// Ends everything in order.
    pub async fn stop(mut self) {
        let _ = self.shim.stop().await;
        self.agent.stop().await;
        self.cluster.stop().await;
        drop(self.machines);
    }
}

/// Waits until the agent has started its kubelet so often.
async fn kubelet_starts(agent: &Agent, times: usize) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        // The double's kubelet is a process with a log of its own.
        let own = agent.dir.join("k3s/agent/logs/kubelet.log");
        let logs = [&agent.log, &own].map(|log| std::fs::read_to_string(log).unwrap_or_default());
        if logs.concat().matches("\"Kubelet version\"").count() >= times {
            return Ok(());
        }
        ensure!(began.elapsed() < WITHIN, "no kubelet: {}", agent.log_tail());
        tokio::time::sleep(LOOK).await;
    }
}

/// Where the machine's pods are.
pub fn pods() -> String {
    format!("/api/v1/namespaces/{MACHINES}/pods")
}

/// Milliseconds since.
pub fn ms(since: Instant) -> u128 {
    since.elapsed().as_millis()
}

fn private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    Ok(writeln!(file, "{text}")?)
}

/// A measurement, for who reads the test's output.
pub fn told(what: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{}: {what}", crate::NAME);
}
