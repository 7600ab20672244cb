//! A control plane, the keeper of the configuration, and a webhook that comes and goes.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use k3s_configs::launch::testing::{self, TestCluster};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use node_admission::NodeSettings;
use node_admission::admit::{
    self, Admit, AdmitMetrics, AdmitSettings, WebhookTarget, webhook_configuration,
};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use webhook_server::pki::DevPki;
use webhook_server::{
    GroupLimits, Limits, RouteGroup, ServerConfig, ServerMetrics, TlsFiles, Transport,
};

const SERVER: &str = "system:serviceaccount:k3s-daas-system:server";

pub(crate) struct Bench {
    cluster: Option<TestCluster>,
    admin: Client,
    target: WebhookTarget,
    address: SocketAddr,
    pki: DevPki,
    admit: Arc<Admit>,
    registry: Registry,
    metrics: AdmitMetrics,
    keeper: JoinHandle<()>,
    serving: Option<(CancellationToken, JoinHandle<()>, JoinHandle<()>)>,
    _dir: tempfile::TempDir,
}

/// A patch, of the object or of its status.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    body: Value,
    of_status: bool,
}

/// What the API server said no with.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: u16,
    pub(crate) reason: String,
    pub(crate) message: String,
}

pub(crate) fn note(key: &str, value: &str) -> Change {
    Change {
        body: json!({"metadata": {"annotations": {key: value}}}),
        of_status: false,
    }
}

pub(crate) fn status(status: &Value) -> Change {
    Change {
        body: json!({ "status": status }),
        of_status: true,
    }
}

impl Bench {
    /// `None` where this machine has no control plane. The configuration is kept from the start;
    /// nobody answers yet.
    pub(crate) async fn start() -> Option<Self> {
        let cluster = TestCluster::start().await?;
        let dir = tempfile::tempdir().unwrap();
        let pki = DevPki::generate(&dir.path().join("pki"), &["127.0.0.1".to_owned()]).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let target = WebhookTarget {
            url: format!("https://{address}{}", admit::PATH),
            ca_pem: std::fs::read(&pki.ca).unwrap(),
            control_plane_nodes: ["server-1".to_owned()].into(),
        };
        let admin = cluster.client();
        let mut registry = Registry::default();
        let metrics = AdmitMetrics::register(&mut registry);
        let settings = AdmitSettings::from(&NodeSettings {
            control_plane_nodes: ["server-1".to_owned()].into(),
            ..NodeSettings::default()
        });
        let keeper = tokio::spawn(admit::keep(admin.clone(), target.clone(), metrics.clone()));
        Some(Self {
            cluster: Some(cluster),
            admin,
            target,
            address,
            pki,
            admit: Arc::new(Admit::new(settings, metrics.clone())),
            registry,
            metrics,
            keeper,
            serving: None,
            _dir: dir,
        })
    }

    /// Waits until the API server asks.
    pub(crate) async fn in_force(&self) {
        self.repaired().await;
        self.make_node("probe").await;
        let tries = AtomicU8::new(0);
        self.until("the webhook is asked", async |bench| {
            // What was written is no change the next time.
            let last = tries.fetch_add(1, Ordering::Relaxed);
            let claim = note("k3s.io/internal-ip", &format!("10.7.9.{last}"));
            let answer = bench.kubelet("probe", claim).await;
            answer.is_err_and(|refused| refused.code == 500)
        })
        .await;
        self.delete_node("probe").await;
    }

    /// The webhook answers from here on.
    pub(crate) async fn serve(&mut self) {
        let metrics = ServerMetrics::register(&mut Registry::default());
        let limits = GroupLimits {
            max_body: admit::MAX_BODY,
            ..GroupLimits::reviews()
        };
        let group = RouteGroup::new("admit", limits, &metrics);
        let router = group.wrap(admit::router(Arc::clone(&self.admit)));
        let end = CancellationToken::new();
        let serving = webhook_server::serve(
            ServerConfig {
                name: "admit",
                listen: self.address,
                transport: Transport::Tls(TlsFiles {
                    certificate: self.pki.server_certificate.clone(),
                    key: self.pki.server_key.clone(),
                    client_ca: None,
                }),
                limits: Limits::default(),
            },
            router,
            &metrics,
            end.clone(),
        )
        .await
        .unwrap();
        let (admit, client) = (Arc::clone(&self.admit), self.admin.clone());
        let watch = tokio::spawn(async move { admit.run(client).await });
        self.serving = Some((end, serving.task, watch));
        self.until("all Nodes are known", async |bench| bench.admit.is_ready())
            .await;
    }

    /// Nobody answers any more.
    pub(crate) async fn silence(&mut self) {
        let (end, task, watch) = self.serving.take().unwrap();
        end.cancel();
        watch.abort();
        task.await.unwrap();
    }

    /// The control plane starts on what it had stored.
    pub(crate) async fn restart(&mut self) {
        self.keeper.abort();
        let cluster = self.cluster.take().unwrap().restart().await;
        self.admin = cluster.client();
        self.cluster = Some(cluster);
        // It is there without a keeper.
        self.repaired().await;
        self.keeper = tokio::spawn(admit::keep(
            self.admin.clone(),
            self.target.clone(),
            self.metrics.clone(),
        ));
    }

    pub(crate) async fn stop(mut self) {
        self.keeper.abort();
        self.silence().await;
        self.cluster.take().unwrap().stop().await;
    }

    pub(crate) async fn until(&self, what: &str, check: impl AsyncFn(&Self) -> bool) {
        let patience = Duration::from_secs(40);
        testing::until(what, patience, async || check(self).await).await;
    }

    fn acting_as(&self, user: &str, group: &str) -> Api<Node> {
        let cluster = self.cluster.as_ref().unwrap();
        Api::all(cluster.acting_as(user, &[group, "system:authenticated"]))
    }

    fn as_kubelet(&self, name: &str) -> Api<Node> {
        self.acting_as(&format!("system:node:{name}"), "system:nodes")
    }

    /// As the kubelet of this Node.
    pub(crate) async fn kubelet(&self, name: &str, change: Change) -> Result<(), Refused> {
        patch(&self.as_kubelet(name), name, change).await
    }

    /// As the user that all machines share, on this Node; with all rights.
    pub(crate) async fn shared(&self, name: &str, change: Change) -> Result<(), Refused> {
        let api = self.acting_as("system:k3s-controller", "system:masters");
        patch(&api, name, change).await
    }

    pub(crate) async fn operator(&self, name: &str, change: Change) -> Result<(), Refused> {
        patch(&Api::all(self.admin.clone()), name, change).await
    }

    /// A kubelet's report every few minutes: whole addresses, other conditions.
    pub(crate) async fn heartbeat(&self, name: &str) -> Result<(), Refused> {
        let nodes: Api<Node> = Api::all(self.admin.clone());
        let node = nodes.get(name).await.unwrap();
        let addresses = node.status.and_then(|status| status.addresses);
        let addresses = serde_json::to_value(addresses.unwrap_or_default()).unwrap();
        let at = k8s_openapi::jiff::Timestamp::now().to_string();
        let report = json!({"addresses": addresses, "conditions": [{"type": "Ready",
            "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": at}]});
        self.kubelet(name, status(&report)).await
    }

    pub(crate) async fn make_as_kubelet(&self, name: &str, node: &Value) -> Result<(), Refused> {
        let node: Node = serde_json::from_value(node.clone()).unwrap();
        let api = self.as_kubelet(name);
        let made = api.create(&PostParams::default(), &node).await;
        made.map(drop).map_err(refused)
    }

    /// As the server makes Nodes of seals.
    pub(crate) async fn make_node(&self, name: &str) {
        let node = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        let api = self.acting_as(SERVER, "system:masters");
        api.create(&PostParams::default(), &node).await.unwrap();
    }

    pub(crate) async fn delete_node(&self, name: &str) {
        let api = self.acting_as(SERVER, "system:masters");
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Where the API server says that it is; on a loopback address alone it says nothing.
    pub(crate) async fn advertised_address(&self) -> Option<String> {
        let slices: Api<EndpointSlice> = Api::namespaced(self.admin.clone(), "default");
        let of_it = ListParams::default().labels("kubernetes.io/service-name=kubernetes");
        let list = slices.list(&of_it).await.unwrap();
        let mut endpoints = list
            .items
            .iter()
            .flat_map(|slice| slice.endpoints.iter().flatten());
        endpoints
            .next()
            .map(|endpoint| endpoint.addresses[0].clone())
    }

    /// How many reviews were answered.
    pub(crate) fn reviews(&self) -> u64 {
        let sum = self.sum_of("k3s_daas_admit_reviews_total{");
        format!("{sum:.0}").parse().unwrap()
    }

    /// How long one took, from its body to its answer.
    pub(crate) fn mean_review(&self) -> Duration {
        let of =
            |what: &str| self.sum_of(&format!("k3s_daas_admit_review_duration_seconds_{what}"));
        Duration::from_secs_f64(of("sum") / of("count"))
    }

    fn sum_of(&self, beginning: &str) -> f64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text.lines()
            .filter(|line| line.starts_with(beginning))
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
            .sum()
    }

    fn configurations(&self) -> Api<ValidatingWebhookConfiguration> {
        Api::all(self.admin.clone())
    }

    pub(crate) async fn tamper(&self, patch: &Value) {
        let params = PatchParams::default();
        let api = self.configurations();
        let tampered = api
            .patch(admit::NAME, &params, &Patch::Strategic(patch))
            .await
            .unwrap();
        assert_ne!(Self::seen(&tampered), self.meant(), "nothing was changed");
    }

    pub(crate) async fn remove_configuration(&self) {
        let params = DeleteParams::default();
        drop(
            self.configurations()
                .delete(admit::NAME, &params)
                .await
                .unwrap(),
        );
    }

    /// Waits until the configuration is as it should be, to the letter.
    pub(crate) async fn repaired(&self) {
        self.until("the configuration is as it should be", async |bench| {
            let live = bench.configurations().get_opt(admit::NAME).await.unwrap();
            live.is_some_and(|live| Self::seen(&live) == bench.meant())
        })
        .await;
    }

    fn seen(live: &ValidatingWebhookConfiguration) -> Value {
        let finalizers: BTreeSet<_> = live.metadata.finalizers.iter().flatten().collect();
        json!({"labels": live.metadata.labels, "webhooks": live.webhooks, "finalizers": finalizers})
    }

    fn meant(&self) -> Value {
        let document = webhook_configuration(&self.target);
        json!({"labels": document["metadata"]["labels"], "webhooks": document["webhooks"],
            "finalizers": []})
    }
}

async fn patch(api: &Api<Node>, name: &str, change: Change) -> Result<(), Refused> {
    let params = PatchParams::default();
    let body = Patch::Merge(change.body);
    let answer = if change.of_status {
        api.patch_status(name, &params, &body).await
    } else {
        api.patch(name, &params, &body).await
    };
    answer.map(drop).map_err(refused)
}

fn refused(error: kube::Error) -> Refused {
    match error {
        kube::Error::Api(status) => Refused {
            code: status.code,
            reason: status.reason.clone(),
            message: status.message.clone(),
        },
        error => panic!("{error}"),
    }
}
