//! A chart with Roles, a hook and an open network policy, installed by a tenant with a plain helm:
//! install, upgrade, rollback and uninstall, under Pod Security `restricted`.
//!
//! Helm is built once by `tests/tools/helm.sh`; without it this says that it did not run.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::Method;
use k3s_daas_tests::e2e::{Caller, Cluster, home, skipped, workspace};
use seal::Mist;
use serde_json::{Value, json};

const INTERVAL: Duration = Duration::from_millis(20);
const WITHIN: Duration = Duration::from_secs(30);
const DEVELOPER: Mist = Mist(2_000_000_000);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chart_with_roles_installs_in_a_tenants_namespace() {
    let all = tokio::time::timeout(Duration::from_mins(3), all());
    all.await.expect("helm took too long").unwrap();
}

async fn all() -> anyhow::Result<()> {
    let Some(helm) = helm() else {
        skipped("helm_chart", "no helm: run `make helm`, or set HELM_BIN");
        return Ok(());
    };
    let Some(cluster) = Cluster::start(INTERVAL, &[]).await? else {
        skipped(
            "helm_chart",
            "no control plane: set K3S_BIN or run `make control-plane`",
        );
        return Ok(());
    };
    let (wallet, token) = cluster.tenant(DEVELOPER).await?;
    let namespace = home(&wallet.address());
    let core = format!("/api/v1/namespaces/{namespace}");
    let owner = Caller::from(&token);
    let configmaps = format!("{core}/configmaps");
    cluster
        .until_said(&owner, &configmaps, WITHIN, |said| said.ok())
        .await?;
    let guest = Guest {
        cluster: &cluster,
        helm,
        kubeconfig: cluster.kubeconfig(&token, &namespace)?,
        folder: tempfile::tempdir()?,
        namespace: namespace.clone(),
    };
    let chart = workspace().join("tests/fixtures/chart");
    let chart = chart.to_str().context("a path of text")?;

    guest.helm(&["install", "guest", chart]).await?;
    ensure!(guest.replicas().await? == 1);
    let account = cluster.token_of(&namespace, "guest").await?;
    let said = cluster
        .read(&account, &format!("{configmaps}/guest"))
        .await?;
    ensure!(said.ok(), "the chart's Role does not count: {said:?}");
    let pods = cluster.read(&account, &format!("{core}/pods")).await?;
    ensure!(pods.status == 403, "more than the Role says: {pods:?}");
    let policy = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/guest");
    let policy = cluster.read(&owner, &policy).await?.done()?;
    let egress = policy.pointer("/spec/egress").and_then(Value::as_array);
    ensure!(
        egress.is_none_or(Vec::is_empty),
        "egress to everywhere stands: {policy}"
    );

    guest
        .helm(&[
            "upgrade",
            "guest",
            chart,
            "--set",
            "replicas=2,greeting=again",
        ])
        .await?;
    ensure!(guest.replicas().await? == 2);
    let map = cluster.read(&owner, &format!("{configmaps}/guest")).await?;
    ensure!(map.done()?.pointer("/data/greeting") == Some(&json!("again")));
    guest.helm(&["rollback", "guest", "1"]).await?;
    ensure!(guest.replicas().await? == 1);
    let listed = guest.helm(&["list", "--output", "json"]).await?;
    ensure!(listed.contains("deployed"), "{listed}");
    guest.helm(&["uninstall", "guest", "--wait"]).await?;
    let said = cluster.read(&owner, &guest.deployment()).await?;
    ensure!(said.status == 404, "still there: {said:?}");
    cluster.stop().await;
    Ok(())
}

/// `$HELM_BIN`, or what `tests/tools/helm.sh` has built.
fn helm() -> Option<PathBuf> {
    let script = workspace().join("tests/tools/helm.sh");
    let output = std::process::Command::new(script).arg("--path").output();
    let path = String::from_utf8(output.ok()?.stdout).ok()?;
    Some(PathBuf::from(path.trim_end())).filter(|path| path.is_file())
}

struct Guest<'a> {
    cluster: &'a Cluster,
    helm: PathBuf,
    kubeconfig: PathBuf,
    folder: tempfile::TempDir,
    namespace: String,
}

impl Guest<'_> {
    /// Runs helm as the tenant; there are no machines, so the pods of hooks are said to have run.
    async fn helm(&self, words: &[&str]) -> anyhow::Result<String> {
        let mut command = tokio::process::Command::new(&self.helm);
        command
            .args(words)
            .args(["--namespace", &self.namespace])
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .kill_on_drop(true);
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(variable, self.folder.path());
        }
        let output = async { anyhow::Ok(command.output().await?) };
        let output = tokio::select! {
            output = tokio::time::timeout(WITHIN, output) => output.context(words.join(" "))??,
            failed = self.run_hooks() => return failed,
        };
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        ensure!(output.status.success(), "helm {}: {text}", words.join(" "));
        println!("helm {}", words.join(" "));
        Ok(text)
    }

    /// Says that the pods of Jobs ran to their end; never ends but by a failure.
    async fn run_hooks(&self) -> anyhow::Result<String> {
        let pods = format!(
            "/api/v1/namespaces/{}/pods?labelSelector=batch.kubernetes.io/job-name",
            self.namespace
        );
        let done = json!({"status": {"phase": "Succeeded"}});
        loop {
            let found = self.cluster.read(&Caller::Operator, &pods).await?.done()?;
            let items = found.get("items").and_then(Value::as_array);
            for pod in items.into_iter().flatten() {
                let text = |at: &str| pod.pointer(at).and_then(Value::as_str).unwrap_or_default();
                if text("/status/phase") != "Pending" {
                    continue;
                }
                let (namespace, name) = (&self.namespace, text("/metadata/name"));
                let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/status");
                let operator = Caller::Operator;
                let patch = self
                    .cluster
                    .ask(&operator, Method::PATCH, &path, Some(&done));
                let said = patch.await?;
                ensure!(said.ok() || said.status == 404, "{said:?}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn deployment(&self) -> String {
        format!(
            "/apis/apps/v1/namespaces/{}/deployments/guest",
            self.namespace
        )
    }

    async fn replicas(&self) -> anyhow::Result<u64> {
        let path = self.deployment();
        let found = self.cluster.read(&Caller::Operator, &path).await?.done()?;
        let replicas = found.pointer("/spec/replicas").and_then(Value::as_u64);
        replicas.context("no replicas")
    }
}
