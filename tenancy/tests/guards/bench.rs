//! A control plane with the guards kept by a keeper that was there first.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use k3s_configs::launch::testing::TestCluster;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Config};
use prometheus_client::registry::Registry;
use seal::access::GuardState;
use serde_json::{Value, json};
use tenancy::guards::{GuardMetrics, GuardSettings, Guards};

use super::requests::SERVER;

pub(crate) struct Bench {
    cluster: TestCluster,
    pub(crate) admin: Client,
    pub(crate) guards: Guards,
    pub(crate) state: GuardState,
    pub(crate) registry: Registry,
    keeper: Mutex<tokio::task::JoinHandle<()>>,
}

pub(crate) fn settings() -> GuardSettings {
    GuardSettings {
        protected_namespaces: ["monitoring".to_owned()].into(),
        control_plane_nodes: ["server-1".to_owned()].into(),
    }
}

impl Bench {
    /// `None` where this machine has no control plane.
    pub(crate) async fn start() -> Option<Self> {
        let state = GuardState::default();
        let mut registry = Registry::default();
        let guards = Guards::new(
            state.clone(),
            settings(),
            GuardMetrics::register(&mut registry),
        );
        let port = free_port();
        let early = early_client(port);
        let keeper = tokio::spawn({
            let guards = guards.clone();
            async move { guards.run(early).await }
        });
        // Nobody answers yet: it neither ends nor says yes.
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!keeper.is_finished() && !state.in_place());
        keeper.abort();
        let cluster = TestCluster::start().await?;
        let admin = cluster.client();
        // The keeper is there before the namespace of its probes is.
        let keeper = tokio::spawn({
            let (guards, client) = (guards.clone(), admin.clone());
            async move { guards.run(client).await }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!state.in_place(), "no namespace to probe in yet");
        let bench = Self {
            cluster,
            admin,
            guards,
            state,
            registry,
            keeper: Mutex::new(keeper),
        };
        bench.furnish().await;
        Some(bench)
    }

    /// What the tests find there: namespaces, and rights for everyone whom they impersonate, so
    /// that nothing but admission decides.
    async fn furnish(&self) {
        for name in [
            "k3s-daas-system",
            "seal-1111111111111111",
            "seal-2222222222222222",
            "team",
        ] {
            self.apply(
                &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
            )
            .await;
        }
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "plugins", "labels": {"pod-security.kubernetes.io/enforce": "privileged"}},
        }))
        .await;
        let groups = [
            "seal:holders",
            "system:serviceaccounts",
            "system:nodes",
            "operators",
        ];
        let subjects = groups.map(|group| {
            json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": group})
        });
        self.apply(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "everyone-may"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": subjects,
        }))
        .await;
    }

    /// As the server what is the server's, as the operator the rest.
    pub(crate) async fn apply(&self, object: &Value) {
        let object: kube::api::DynamicObject = serde_json::from_value(object.clone()).unwrap();
        let types = object.types.clone().unwrap();
        let client = match types.kind.as_str() {
            "Node" | "SealedNode" => self.acting_as(SERVER.user, SERVER.groups),
            _ => self.admin.clone(),
        };
        let gvk = kube::core::GroupVersionKind::try_from(&types).unwrap();
        let resource = kube::api::ApiResource::from_gvk(&gvk);
        let api: Api<kube::api::DynamicObject> = match &object.metadata.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        let name = object.metadata.name.clone().unwrap();
        api.patch(
            &name,
            &PatchParams::apply("test").force(),
            &Patch::Apply(&object),
        )
        .await
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// A client that acts as somebody.
    pub(crate) fn acting_as(&self, user: &str, groups: &[&str]) -> Client {
        self.cluster.acting_as(user, groups)
    }

    pub(crate) async fn in_place_within(&self, within: Duration) -> Duration {
        let started = Instant::now();
        while !self.state.in_place() {
            assert!(started.elapsed() < within, "{:#?}", self.guards.status());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        started.elapsed()
    }

    pub(crate) async fn away_within(&self, within: Duration) {
        let started = Instant::now();
        while self.state.in_place() {
            assert!(started.elapsed() < within, "nothing was noticed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// How many repairs the keeper counted.
    pub(crate) fn repairs(&self) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text.lines()
            .filter(|line| line.starts_with("k3s_daas_guard_repairs_total{"))
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
            .sum()
    }

    /// Starts another keeper on the same API server; gives how long it took to be sure.
    pub(crate) async fn second_keeper(&self) -> Duration {
        let state = GuardState::default();
        let metrics = GuardMetrics::register(&mut Registry::default());
        let guards = Guards::new(state.clone(), settings(), metrics);
        let started = Instant::now();
        let run = guards.run(self.admin.clone());
        let seen = async {
            while !state.in_place() {
                assert!(
                    started.elapsed() < Duration::from_secs(10),
                    "{:#?}",
                    guards.status()
                );
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = run => unreachable!("it runs for ever"),
            () = seen => started.elapsed(),
        }
    }

    /// Ends the control plane. What the keeper knew stays, although it looks at once and again.
    pub(crate) async fn stop(self) {
        self.cluster.stop().await;
        let looked = Instant::now();
        while looked.elapsed() < Duration::from_secs(1) {
            self.guards.replace_settings(settings());
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(self.state.in_place(), "silence changed something");
        }
        let keeper = self.keeper.into_inner().unwrap();
        assert!(!keeper.is_finished());
        keeper.abort();
    }

    /// Stops the keeper; the guards stay as they are.
    pub(crate) fn pause(&self) {
        self.keeper.lock().unwrap().abort();
        self.state.set(false);
    }

    /// Starts a keeper again.
    pub(crate) fn resume(&self) {
        let (guards, client) = (self.guards.clone(), self.admin.clone());
        *self.keeper.lock().unwrap() = tokio::spawn(async move { guards.run(client).await });
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn early_client(port: u16) -> Client {
    let mut config = Config::new(format!("http://127.0.0.1:{port}").parse().unwrap());
    config.connect_timeout = Some(Duration::from_secs(1));
    Client::try_from(config).unwrap()
}
