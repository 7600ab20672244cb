//! A control plane, and a controller on it that can be killed.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k3s_configs::launch::testing::{self, TestCluster};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use prometheus_client::registry::Registry;
use seal::{Address, ElevatedOwners, identity};
use serde_json::{Value, json};
use tenancy::namespaces::{NamespaceSettings, Quota, Quotas, TenantMetrics, Tenants};
use tokio::task::JoinHandle;

use crate::chain::Chain;

pub(crate) const GRACE: Duration = Duration::from_secs(3);
pub(crate) const RETENTION: Duration = Duration::from_secs(10);
/// How long a test waits for what has to happen soon.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Bench {
    pub(crate) cluster: TestCluster,
    pub(crate) client: Client,
    pub(crate) chain: Arc<Chain>,
    pub(crate) tenants: Tenants<Chain>,
    pub(crate) registry: Registry,
    running: Mutex<Option<JoinHandle<()>>>,
}

pub(crate) fn settings() -> NamespaceSettings {
    let quota = |text: &str| text.parse::<Quota>().unwrap();
    NamespaceSettings {
        grace: GRACE,
        retention: RETENTION,
        warn_before: Duration::from_secs(20),
        quotas: Quotas::new(quota("pods=4"), quota("pods=9"), quota("")).unwrap(),
        ..NamespaceSettings::new(ElevatedOwners::Any)
    }
}

pub(crate) fn owner(number: u8) -> Address {
    Address::from_bytes([number; 32])
}

pub(crate) fn home(number: u8) -> String {
    identity::home_namespace(&owner(number))
}

impl Bench {
    /// `None` where this machine has no control plane.
    pub(crate) async fn start() -> Option<Self> {
        let cluster = TestCluster::start().await?;
        let client = cluster.client();
        let chain = Arc::new(Chain::new());
        let mut registry = Registry::default();
        let metrics = TenantMetrics::register(&mut registry);
        let tenants = Tenants::new(Arc::clone(&chain), settings(), metrics);
        let running = Mutex::new(Some(spawn(&tenants, &client, "one")));
        let bench = Self {
            cluster,
            client,
            chain,
            tenants,
            registry,
            running,
        };
        // The controller was there first: it waits for its lease's namespace.
        bench
            .make(None, &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "k3s-daas-system" } }))
            .await;
        Some(bench)
    }

    /// Kills the controller and starts another one.
    pub(crate) async fn restart(&self) {
        self.kill().await;
        *self.running.lock().unwrap() = Some(spawn(&self.tenants, &self.client, "one"));
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
        self.cluster.stop().await;
    }

    pub(crate) async fn ensure_home(&self, number: u8, tier: seal::Tier) -> String {
        self.tenants
            .ensure_home(&self.client, &owner(number), tier)
            .await
            .unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// The namespace, if it is there.
    pub(crate) async fn namespace(&self, name: &str) -> Option<Namespace> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.get_opt(name).await.unwrap()
    }

    /// Its state: `gone`, `terminating`, what its label says, or nothing.
    pub(crate) async fn state(&self, name: &str) -> String {
        let Some(namespace) = self.namespace(name).await else {
            return "gone".to_owned();
        };
        if namespace.metadata.deletion_timestamp.is_some() {
            return "terminating".to_owned();
        }
        let labels = namespace.metadata.labels.unwrap_or_default();
        labels
            .get(identity::LABEL_STATE)
            .cloned()
            .unwrap_or_default()
    }

    pub(crate) async fn reaches(&self, name: &str, state: &str) {
        let what = format!("{name} is {state}");
        until(&what, async || self.state(name).await == state).await;
    }

    /// An object of any kind, by `kind.version.group` as kubectl has it.
    pub(crate) fn objects(&self, namespace: Option<&str>, kind: &str) -> Api<DynamicObject> {
        let (version, group, plural) = match kind {
            "Namespace" => ("v1", "", "namespaces"),
            "Pod" => ("v1", "", "pods"),
            "Service" => ("v1", "", "services"),
            "ConfigMap" => ("v1", "", "configmaps"),
            "Deployment" => ("v1", "apps", "deployments"),
            "StatefulSet" => ("v1", "apps", "statefulsets"),
            "CronJob" => ("v1", "batch", "cronjobs"),
            "Job" => ("v1", "batch", "jobs"),
            "ResourceQuota" => ("v1", "", "resourcequotas"),
            "LimitRange" => ("v1", "", "limitranges"),
            "NetworkPolicy" => ("v1", "networking.k8s.io", "networkpolicies"),
            "RoleBinding" => ("v1", "rbac.authorization.k8s.io", "rolebindings"),
            "Event" => ("v1", "events.k8s.io", "events"),
            "Lease" => ("v1", "coordination.k8s.io", "leases"),
            other => panic!("{other}"),
        };
        let gvk = kube::core::GroupVersionKind::gvk(group, version, kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// Makes an object; what the API server says if it does not.
    pub(crate) async fn try_make(
        &self,
        namespace: Option<&str>,
        object: &Value,
    ) -> Result<(), String> {
        let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        let kind = object.types.clone().unwrap().kind;
        let objects = self.objects(namespace, &kind);
        let made = objects.create(&PostParams::default(), &object).await;
        made.map(drop).map_err(|error| error.to_string())
    }

    /// Deletes an object at once.
    pub(crate) async fn unmake(&self, namespace: &str, object: &Value) {
        let kind = object["kind"].as_str().unwrap();
        let name = object["metadata"]["name"].as_str().unwrap();
        let now = kube::api::DeleteParams::default().grace_period(0);
        let deleted = self.objects(Some(namespace), kind).delete(name, &now).await;
        deleted.unwrap();
    }

    /// Makes an object. A quota without its first count refuses all it counts: tries again.
    pub(crate) async fn make(&self, namespace: Option<&str>, object: &Value) {
        let begun = Instant::now();
        while let Err(error) = self.try_make(namespace, object).await {
            assert!(begun.elapsed() < PATIENCE, "{error}");
            assert!(!error.contains("exceeded quota"), "{error}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub(crate) async fn get(&self, namespace: &str, kind: &str, name: &str) -> Option<Value> {
        let found = self
            .objects(Some(namespace), kind)
            .get_opt(name)
            .await
            .unwrap();
        found.map(|object| serde_json::to_value(object).unwrap())
    }

    pub(crate) async fn patch(
        &self,
        namespace: Option<&str>,
        kind: &str,
        name: &str,
        patch: Value,
    ) {
        let patch = Patch::Merge(patch);
        let params = PatchParams::default();
        let patched = self.objects(namespace, kind);
        patched.patch(name, &params, &patch).await.unwrap();
    }

    /// The reasons of the events in a namespace.
    pub(crate) async fn reasons(&self, namespace: &str) -> Vec<String> {
        let events = self.objects(Some(namespace), "Event");
        let found = events
            .list(&kube::api::ListParams::default())
            .await
            .unwrap();
        let mut reasons: Vec<String> = found
            .items
            .iter()
            .filter(|event| event.data["regarding"]["kind"] == "Namespace")
            .filter_map(|event| event.data["reason"].as_str().map(str::to_owned))
            .collect();
        reasons.sort();
        reasons
    }
}

pub(crate) fn spawn(tenants: &Tenants<Chain>, client: &Client, identity: &str) -> JoinHandle<()> {
    let (tenants, client, identity) = (tenants.clone(), client.clone(), identity.to_owned());
    tokio::spawn(async move { tenants.run(client, identity).await })
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    testing::until(what, PATIENCE, is_so).await;
}

/// A pod that Pod Security `restricted` lets in.
pub(crate) fn pod_spec() -> Value {
    json!({
        "securityContext": { "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{
            "name": "a",
            "image": "registry.invalid/a",
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
        }],
    })
}

pub(crate) fn template() -> Value {
    json!({ "metadata": { "labels": { "app": "a" } }, "spec": pod_spec() })
}

pub(crate) fn pod(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": pod_spec() })
}
