//! A control plane, and nodes that ask to join it.

use std::sync::Arc;
use std::time::Duration;

use k3s_configs::launch::testing::{self, TestCluster};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use node_admission::sealed_node::SealedNode;
use node_admission::{JoinError, NodeMetrics, NodeSettings, Nodes};
use prometheus_client::registry::Registry;
use seal::NodeName;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::chain::{Chain, hash, record};

/// How long a test waits for what has to happen soon.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Bench {
    pub(crate) cluster: TestCluster,
    pub(crate) client: Client,
    pub(crate) nodes: Nodes<Chain>,
    registry: Registry,
    following: JoinHandle<()>,
}

pub(crate) fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

impl Bench {
    /// `None` where this machine has no control plane.
    pub(crate) async fn start() -> Option<Self> {
        let cluster = TestCluster::start().await?;
        let client = cluster.client();
        let mut registry = Registry::default();
        let metrics = NodeMetrics::register(&mut registry);
        let settings = NodeSettings {
            control_plane_nodes: ["master".to_owned()].into(),
            trusted_nodes: ["trusted-1".to_owned()].into(),
            ..NodeSettings::default()
        };
        let nodes = Nodes::new(Arc::new(Chain::new()), settings, metrics);
        let following = {
            let (nodes, client) = (nodes.clone(), client.clone());
            tokio::spawn(async move { nodes.follow(client).await })
        };
        let bench = Self {
            cluster,
            client,
            nodes,
            registry,
            following,
        };
        until("the view is there", async || {
            bench.nodes.view_age().is_some()
        })
        .await;
        Some(bench)
    }

    pub(crate) async fn stop(self) {
        self.following.abort();
        let _ = self.following.await;
        self.cluster.stop().await;
    }

    /// The first review of this owner's agent.
    pub(crate) async fn admit(&self, owner: u8, node: &str) -> Result<(), JoinError> {
        self.admit_by(&self.nodes, owner, node).await
    }

    pub(crate) async fn admit_by(
        &self,
        nodes: &Nodes<Chain>,
        owner: u8,
        node: &str,
    ) -> Result<(), JoinError> {
        let name = name(node);
        let record = record(owner, &name);
        nodes.admit(&self.client, &name, hash(owner), &record).await
    }

    pub(crate) fn kube_nodes(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }

    pub(crate) fn sealed_nodes(&self) -> Api<SealedNode> {
        Api::all(self.client.clone())
    }

    pub(crate) async fn node(&self, name: &str) -> Option<Node> {
        self.kube_nodes().get_opt(name).await.unwrap()
    }

    pub(crate) async fn sealed(&self, name: &str) -> Option<SealedNode> {
        self.sealed_nodes().get_opt(name).await.unwrap()
    }

    pub(crate) async fn patch_node(&self, name: &str, patch: Value) {
        let patch = Patch::Merge(patch);
        let params = PatchParams::default();
        let patched = self.kube_nodes().patch(name, &params, &patch).await;
        patched.unwrap();
    }

    /// The value of a counter as it is scraped.
    pub(crate) fn count(&self, series: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.unwrap_or_else(|| panic!("{series}"))
            .trim()
            .parse()
            .unwrap()
    }
}

/// Another process of the server: it remembers nothing.
pub(crate) fn fresh() -> Nodes<Chain> {
    let metrics = NodeMetrics::default();
    Nodes::new(Arc::new(Chain::new()), NodeSettings::default(), metrics)
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    testing::until(what, PATIENCE, is_so).await;
}
