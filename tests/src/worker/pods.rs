//! Deployments that land on the nodes of one pool, with disruption budgets.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use http::Method;
use serde_json::{Value, json};

use super::{LOOK, WITHIN, text};
use crate::e2e::{Caller, Cluster, Said};

/// The namespace of workers' pods: nobody's, and open to nodes that no operator trusts.
pub const MACHINES: &str = "machines";

/// As `tests/tools/images.sh` makes it: machines of tests have no registry.
const PAUSE: &str = "docker.io/k3s-daas/pause:1";

/// A pod that runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Running {
    /// Its name.
    pub name: String,
    /// Its object.
    pub uid: String,
    /// Where.
    pub node: String,
}

impl Cluster {
    /// Makes the namespace.
    pub async fn machines(&self) -> anyhow::Result<()> {
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": MACHINES},
        });
        self.create(&Caller::Operator, "/api/v1/namespaces", &namespace)
            .await?;
        let account = format!("/api/v1/namespaces/{MACHINES}/serviceaccounts/default");
        self.until_said(&Caller::Operator, &account, WITHIN, Said::ok)
            .await?;
        Ok(())
    }

    /// A Deployment on the nodes of a pool; waits until all its pods run.
    pub async fn deploy(&self, app: &str, pool: &str, replicas: usize) -> anyhow::Result<()> {
        let labels = json!({"app": app});
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "nodeSelector": {"pool": pool},
                    "automountServiceAccountToken": false,
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{
                        "name": "main", "image": PAUSE, "imagePullPolicy": "Never",
                    }],
                },
            }},
        });
        let path = format!("/apis/apps/v1/namespaces/{MACHINES}/deployments");
        self.create(&Caller::Operator, &path, &deployment).await?;
        self.runs(app, |pods| pods.len() == replicas).await?;
        Ok(())
    }

    /// How many pods of an app may be down at a time.
    pub async fn budget(&self, app: &str, unavailable: usize) -> anyhow::Result<()> {
        let path = format!("/apis/policy/v1/namespaces/{MACHINES}/poddisruptionbudgets");
        let spec = json!({
            "maxUnavailable": unavailable, "selector": {"matchLabels": {"app": app}},
        });
        let budget = json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": app}, "spec": spec,
        });
        self.create(&Caller::Operator, &path, &budget).await?;
        let one = format!("{path}/{app}");
        let patch = json!({ "spec": spec });
        let patched = self
            .ask(&Caller::Operator, Method::PATCH, &one, Some(&patch))
            .await?
            .done()?;
        let generation = patched.pointer("/metadata/generation").cloned();
        // Until its controller has looked, evictions are refused whatever it says.
        let observed =
            |said: &Said| said.body.pointer("/status/observedGeneration") == generation.as_ref();
        self.until_said(&Caller::Operator, &one, WITHIN, observed)
            .await?;
        Ok(())
    }

    /// The pods of an app that run and are not about to end.
    pub async fn running(&self, app: &str) -> anyhow::Result<Vec<Running>> {
        let path = format!("/api/v1/namespaces/{MACHINES}/pods?labelSelector=app%3D{app}");
        let listed = self.read(&Caller::Operator, &path).await?.done()?;
        let pods = listed.get("items").and_then(Value::as_array);
        let mut running: Vec<Running> = pods
            .context("items")?
            .iter()
            .filter(|pod| {
                text(pod, "/status/phase") == "Running"
                    && pod.pointer("/metadata/deletionTimestamp").is_none()
            })
            .map(|pod| Running {
                name: text(pod, "/metadata/name").to_owned(),
                uid: text(pod, "/metadata/uid").to_owned(),
                node: text(pod, "/spec/nodeName").to_owned(),
            })
            .collect();
        running.sort();
        Ok(running)
    }

    /// Waits until the pods of an app are as wanted.
    pub async fn runs(
        &self,
        app: &str,
        wanted: impl Fn(&[Running]) -> bool,
    ) -> anyhow::Result<Vec<Running>> {
        let began = Instant::now();
        loop {
            let running = self.running(app).await?;
            if wanted(&running) {
                return Ok(running);
            }
            ensure!(began.elapsed() < WITHIN, "{app}: {running:?}");
            tokio::time::sleep(LOOK).await;
        }
    }
}
