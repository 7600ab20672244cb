//! Tenants with pods on machines: one that works, one that watches the API server by itself.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, ensure};
use http::Method;
use k3s_configs::launch::KubectlCommand;
use k3s_configs::launch::agent::Agent;
use k3s_daas_tests::e2e::{Caller, Cluster, Said, home};
use k3s_daas_tests::streams::Stream;
use k3s_daas_tests::worker::{LOOK, WITHIN, text};
use seal::{Mist, SealToken};
use serde_json::{Value, json};
use tokio::process::Command;

const DEVELOPER: Mist = Mist(2_000_000_000);
const BUSY: &str = "docker.io/k3s-daas/busy:1";

/// A tenant with a kubeconfig.
pub struct Tenant {
    pub token: SealToken,
    pub namespace: String,
    pub caller: Caller,
    kubeconfig: PathBuf,
    kubectl: KubectlCommand,
}

impl Tenant {
    /// Stakes and waits until it may work.
    pub async fn begin(cluster: &Cluster, name: &str, folder: &Path) -> anyhow::Result<Self> {
        let (wallet, token) = cluster.tenant(DEVELOPER).await?;
        let namespace = home(&wallet.address());
        let caller = Caller::from(&token);
        let pods = format!("/api/v1/namespaces/{namespace}/pods");
        cluster.until_said(&caller, &pods, WITHIN, Said::ok).await?;
        cluster.account(&namespace, "robot", "view").await?;
        let kubeconfig = folder.join(format!("{name}.kubeconfig"));
        std::fs::copy(cluster.kubeconfig(&token, &namespace)?, &kubeconfig)?;
        let kubectl = cluster.control_plane.kubectl.clone();
        let kubectl = kubectl.with_cache(&folder.join(name));
        Ok(Self {
            token,
            namespace,
            caller,
            kubeconfig,
            kubectl,
        })
    }

    fn pods(&self) -> String {
        format!("/api/v1/namespaces/{}/pods", self.namespace)
    }

    /// A kubectl command of this tenant.
    pub fn command(&self, words: &str) -> Command {
        let mut command = self.kubectl.command(&self.kubeconfig);
        command.args(words.split_whitespace());
        command
    }

    /// A kubectl command that goes on; waits until it says something.
    pub async fn stream(&self, name: &'static str, words: &str) -> anyhow::Result<Stream> {
        let stream = Stream::start(name, self.command(words))?;
        stream.says_more_than(0).await?;
        Ok(stream)
    }

    /// A watch, a log and an exec session, each with something said.
    pub async fn streams(&self) -> anyhow::Result<[Stream; 3]> {
        Ok([
            self.stream("watch", "get pods --watch").await?,
            self.stream("logs", "logs --follow work").await?,
            self.stream("exec", "exec work -- /bin/busy tick").await?,
        ])
    }

    /// A pod with this command on the machine; waits until it runs.
    pub async fn pod(
        &self,
        cluster: &Cluster,
        (name, account): (&str, &str),
        machine: &str,
        words: &[&str],
    ) -> anyhow::Result<()> {
        let command: Vec<&str> = ["/bin/busy"].iter().chain(words).copied().collect();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "nodeSelector": {"kubernetes.io/hostname": machine},
                "serviceAccountName": account,
                "terminationGracePeriodSeconds": 1,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 65534,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{
                    "name": "main", "image": BUSY, "imagePullPolicy": "Never",
                    "command": command,
                    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                    },
                }],
            },
        });
        cluster.create(&self.caller, &self.pods(), &pod).await?;
        let runs = |said: &Said| text(&said.body, "/status/phase") == "Running";
        let path = format!("{}/{name}", self.pods());
        let operator = Caller::Operator;
        cluster
            .until_said(&operator, &path, WITHIN, runs)
            .await
            .with_context(|| format!("{name} should run"))?;
        Ok(())
    }

    /// A pod on the machine that watches the tenant's pods as its own account.
    pub async fn robot(
        &self,
        cluster: &Cluster,
        name: &str,
        machine: &Agent,
    ) -> anyhow::Result<Robot> {
        let url = format!("{}{}?watch=1", cluster.control_plane.url, self.pods());
        let words = ["watch", url.as_str()];
        self.pod(cluster, (name, "robot"), &machine.name, &words)
            .await?;
        let robot = Robot {
            prefix: format!("{}_{name}_", self.namespace),
            logs: machine.dir.join("pods"),
        };
        robot.says("watching", SystemTime::UNIX_EPOCH).await?;
        Ok(robot)
    }

    /// Keeps a pod from being evicted.
    pub async fn keep(&self, cluster: &Cluster, name: &str) -> anyhow::Result<()> {
        let path = format!(
            "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
            self.namespace
        );
        let budget = json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": name},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": name}}},
        });
        cluster.create(&self.caller, &path, &budget).await?;
        // Until its controller has looked, it keeps nothing.
        let healthy = |said: &Said| {
            let healthy = said.body.pointer("/status/currentHealthy");
            healthy.and_then(Value::as_u64) == Some(1)
        };
        let path = format!("{path}/{name}");
        cluster
            .until_said(&Caller::Operator, &path, WITHIN, healthy)
            .await?;
        Ok(())
    }

    /// Changes a pod, which every watch of it shows.
    pub async fn touch(&self, cluster: &Cluster, name: &str) -> anyhow::Result<()> {
        let now = format!("{:?}", Instant::now());
        let label: Value = json!({"metadata": {"annotations": {"touched": now}}});
        let path = format!("{}/{name}", self.pods());
        let operator = Caller::Operator;
        cluster
            .ask(&operator, Method::PATCH, &path, Some(&label))
            .await?
            .done()
            .map(drop)
    }
}

/// A pod that watches, as its machine has its log: whoever is cut off can't be asked for it.
pub struct Robot {
    prefix: String,
    logs: PathBuf,
}

impl Robot {
    /// When it first said this since.
    pub async fn says(&self, what: &str, since: SystemTime) -> anyhow::Result<SystemTime> {
        let since = whole(since);
        let began = Instant::now();
        loop {
            let said = self.said();
            let found = said
                .iter()
                .find(|(at, line)| *at >= since && line.starts_with(what));
            if let Some((at, _)) = found {
                return Ok(*at);
            }
            ensure!(began.elapsed() < WITHIN, "it never said {what}: {said:?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether it said this since.
    pub fn has_said(&self, what: &str, since: SystemTime) -> bool {
        let since = whole(since);
        let said = self.said();
        said.iter()
            .any(|(at, line)| *at >= since && line.starts_with(what))
    }

    /// Everything that it has said, and when.
    fn said(&self) -> Vec<(SystemTime, String)> {
        let folders = std::fs::read_dir(&self.logs).into_iter().flatten();
        let its = folders.flatten().filter(|folder| {
            let name = folder.file_name();
            name.to_str()
                .is_some_and(|name| name.starts_with(&self.prefix))
        });
        let logs =
            its.filter_map(|folder| std::fs::read_to_string(folder.path().join("main/0.log")).ok());
        let text: String = logs.collect();
        text.lines().filter_map(line).collect()
    }
}

/// Pods say whole milliseconds.
fn whole(at: SystemTime) -> SystemTime {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    let nanoseconds = since.unwrap_or_default().subsec_nanos() % 1_000_000;
    at - Duration::from_nanos(nanoseconds.into())
}

/// `<when it was read> stdout F <milliseconds> <words>`.
fn line(line: &str) -> Option<(SystemTime, String)> {
    let said = line.splitn(4, ' ').nth(3)?;
    let (at, words) = said.split_once(' ')?;
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(at.parse().ok()?);
    Some((at, words.to_owned()))
}
