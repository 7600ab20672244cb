//! A control plane, and a controller on it that can be killed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use k3s_configs::launch::testing::{self, TestCluster};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use node_admission::sealed_node::{NodeState, SealedNode, SealedNodeStatus};
use node_admission::{NodeMetrics, NodeSettings, Nodes};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::chain::{Chain, FAR};

pub(crate) const GRACE: Duration = Duration::from_secs(4);
/// How long a test waits for what has to happen soon.
const PATIENCE: Duration = Duration::from_secs(45);
/// Where the tests' pods are.
pub(crate) const PODS: &str = "pods";

pub(crate) struct Bench {
    pub(crate) cluster: TestCluster,
    pub(crate) client: Client,
    pub(crate) chain: Arc<Chain>,
    pub(crate) nodes: Nodes<Chain>,
    pub(crate) registry: Registry,
    following: JoinHandle<()>,
    running: Mutex<Option<JoinHandle<()>>>,
}

pub(crate) fn settings() -> NodeSettings {
    NodeSettings {
        control_plane_nodes: ["master".to_owned()].into(),
        drain_grace: GRACE,
        warn_before: Duration::from_secs(20),
        ..NodeSettings::default()
    }
}

pub(crate) fn spawn(nodes: &Nodes<Chain>, client: &Client, identity: &str) -> JoinHandle<()> {
    let (nodes, client, identity) = (nodes.clone(), client.clone(), identity.to_owned());
    tokio::spawn(async move { nodes.run(client, identity).await })
}

impl Bench {
    /// `None` where this machine has no control plane.
    pub(crate) async fn start() -> Option<Self> {
        let cluster = TestCluster::start().await?;
        let client = cluster.client();
        let chain = Arc::new(Chain::new());
        let mut registry = Registry::default();
        let metrics = NodeMetrics::register(&mut registry);
        let nodes = Nodes::new(Arc::clone(&chain), settings(), metrics);
        let following = {
            let (nodes, client) = (nodes.clone(), client.clone());
            tokio::spawn(async move { nodes.follow(client).await })
        };
        let running = Mutex::new(Some(spawn(&nodes, &client, "one")));
        let bench = Self {
            cluster,
            client,
            chain,
            nodes,
            registry,
            following,
            running,
        };
        // The controller was there first: it waits for its lease's namespace.
        let namespaces: Api<Namespace> = Api::all(bench.client.clone());
        for name in ["k3s-daas-system", PODS] {
            let namespace = json!({ "metadata": { "name": name } });
            let namespace = serde_json::from_value(namespace).unwrap();
            let made = namespaces.create(&PostParams::default(), &namespace).await;
            made.unwrap();
        }
        // Pods need it, and its controller may be late.
        let account = json!({ "metadata": { "name": "default" } });
        let account = serde_json::from_value(account).unwrap();
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> =
            Api::namespaced(bench.client.clone(), PODS);
        let _ = accounts.create(&PostParams::default(), &account).await;
        until("the view is there", async || {
            bench.nodes.view_age().is_some()
        })
        .await;
        Some(bench)
    }

    /// Kills the controller and starts another one.
    pub(crate) async fn restart(&self) {
        self.kill().await;
        self.revive();
    }

    pub(crate) fn revive(&self) {
        *self.running.lock().unwrap() = Some(spawn(&self.nodes, &self.client, "one"));
    }

    /// Kills the controller. The metrics are shared with the next one, so its end is awaited.
    pub(crate) async fn kill(&self) {
        let running = self.running.lock().unwrap().take();
        if let Some(running) = running {
            running.abort();
            let _ = running.await;
        }
    }

    pub(crate) async fn stop(self) {
        self.kill().await;
        self.following.abort();
        let _ = self.following.await;
        self.cluster.stop().await;
    }

    /// A node with a usable seal, whose agent asked.
    pub(crate) async fn joined(&self, name: &str, owner: u8) {
        self.chain.stake(name, owner, FAR);
        self.admit(name).await;
        self.reaches(name, NodeState::Active).await;
    }

    pub(crate) async fn admit(&self, name: &str) {
        let record = self.chain.record(name);
        let hash = self.chain.hash(name);
        let name = name.parse().unwrap();
        let admitted = self.nodes.admit(&self.client, &name, hash, &record).await;
        admitted.unwrap_or_else(|error| panic!("{error:?}"));
    }

    pub(crate) fn kube_nodes(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }

    pub(crate) fn sealed_nodes(&self) -> Api<SealedNode> {
        Api::all(self.client.clone())
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), PODS)
    }

    pub(crate) async fn node(&self, name: &str) -> Option<Node> {
        self.kube_nodes().get_opt(name).await.unwrap()
    }

    pub(crate) async fn sealed(&self, name: &str) -> Option<SealedNode> {
        self.sealed_nodes().get_opt(name).await.unwrap()
    }

    pub(crate) async fn status(&self, name: &str) -> SealedNodeStatus {
        let sealed = self.sealed(name).await;
        sealed.and_then(|sealed| sealed.status).unwrap_or_default()
    }

    pub(crate) async fn reaches(&self, name: &str, state: NodeState) {
        until(&format!("{name} is {state:?}"), async || {
            self.status(name).await.state == state
        })
        .await;
    }

    /// No Node, no pods, and the SealedNode says so.
    pub(crate) async fn is_cut(&self, name: &str) {
        self.reaches(name, NodeState::Cut).await;
        until(&format!("{name} is gone"), async || {
            let drained = self.condition(name, "Drained").await;
            let joined = self.condition(name, "Joined").await;
            self.node(name).await.is_none() && drained == "True" && joined == "False"
        })
        .await;
        assert_eq!(self.pods_of(name).await, Vec::<String>::new(), "{name}");
    }

    /// The Node is there and pods may come.
    pub(crate) async fn is_open(&self, name: &str) {
        self.reaches(name, NodeState::Active).await;
        until(&format!("{name} is open"), async || {
            let Some(node) = self.node(name).await else {
                return false;
            };
            let spec = node.spec.clone().unwrap_or_default();
            let joined = self.condition(name, "Joined").await;
            let is_marked = our_taints(&node).is_empty();
            node.metadata.deletion_timestamp.is_none()
                && spec.unschedulable != Some(true)
                && is_marked
                && joined == "True"
        })
        .await;
    }

    /// `True`, `False`, or nothing.
    pub(crate) async fn condition(&self, name: &str, type_: &str) -> String {
        let conditions = self.status(name).await.conditions;
        let found = conditions.into_iter().find(|one| one.type_ == type_);
        found.map(|found| found.status).unwrap_or_default()
    }

    pub(crate) async fn patch_node(&self, name: &str, patch: Value) {
        let patch = Patch::Merge(patch);
        let params = PatchParams::default();
        let patched = self.kube_nodes().patch(name, &params, &patch).await;
        patched.unwrap();
    }

    pub(crate) async fn patch_status(&self, name: &str, patch: Value) {
        let patch = Patch::Merge(json!({ "status": patch }));
        let params = PatchParams::default();
        let all = self.sealed_nodes();
        let patched = all.patch_status(name, &params, &patch).await;
        patched.unwrap();
    }

    pub(crate) async fn delete_node(&self, name: &str) {
        let nodes = self.kube_nodes();
        let deleted = nodes.delete(name, &DeleteParams::default()).await;
        drop(deleted.unwrap());
    }

    /// A pod that runs and is ready, on a node, with this label.
    pub(crate) async fn pod(&self, name: &str, node: &str, app: &str, metadata: Value) {
        let mut pod = json!({
            "metadata": { "name": name, "labels": { "app": app } },
            "spec": {
                "nodeName": node,
                "terminationGracePeriodSeconds": 0,
                "tolerations": [{ "operator": "Exists" }],
                "containers": [{ "name": "a", "image": "example.com/a:1" }],
            },
        });
        for (key, value) in metadata.as_object().into_iter().flatten() {
            pod["metadata"][key] = value.clone();
        }
        let pod = serde_json::from_value(pod).unwrap();
        let pods = self.pods();
        let made = pods.create(&PostParams::default(), &pod).await;
        made.unwrap();
        let status = json!({ "status": {
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": "True" }],
        } });
        let params = PatchParams::default();
        let status = Patch::Merge(status);
        let patched = pods.patch_status(name, &params, &status);
        patched.await.unwrap();
    }

    /// What is bound to a node.
    pub(crate) async fn pods_of(&self, node: &str) -> Vec<String> {
        let bound = ListParams::default().fields(&format!("spec.nodeName={node}"));
        let pods = self.pods().list(&bound).await.unwrap();
        let names = pods.items.into_iter().filter_map(|pod| pod.metadata.name);
        names.collect()
    }

    /// Reasons of the events about a node, sorted.
    pub(crate) async fn reasons(&self, node: &str) -> Vec<String> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), "default");
        let all = events.list(&ListParams::default()).await.unwrap();
        let about = all.items.into_iter().filter(|event| {
            let regarding = event.regarding.clone().unwrap_or_default();
            regarding.name.as_deref() == Some(node)
                && event.reporting_controller.as_deref() == Some("k3s-daas.io/node-admission")
        });
        let mut reasons: Vec<String> = about.filter_map(|event| event.reason).collect();
        reasons.sort();
        reasons
    }

    /// Both versions: nothing was written while they stay.
    pub(crate) async fn versions(&self, name: &str) -> (Option<String>, Option<String>) {
        let node = self.node(name).await;
        let sealed = self.sealed(name).await;
        (
            node.and_then(|node| node.metadata.resource_version),
            sealed.and_then(|sealed| sealed.metadata.resource_version),
        )
    }
}

/// Keys of our taints.
pub(crate) fn our_taints(node: &Node) -> Vec<String> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone());
    let keys = taints
        .unwrap_or_default()
        .into_iter()
        .map(|taint| taint.key);
    keys.filter(|key| key.starts_with("k3s-daas.io/")).collect()
}

/// The value of a series as it is scraped.
pub(crate) fn metric(registry: &Registry, series: &str) -> f64 {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix(series));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    testing::until(what, PATIENCE, is_so).await;
}
