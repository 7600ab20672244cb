//! A seal directory and a cluster in memory, and the router around them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use k3s_configs::access::ClusterAccess;
use node_admission::api::{Api, ApiMetrics, ApiSettings, WorkerError, WorkerRegistry, router};
use node_admission::sealed_node::{
    Heartbeat, NodeState, Registration, SealedNode, SealedNodeSpec, SealedNodeStatus,
};
use prometheus_client::registry::Registry;
use seal::access::GuardState;
use seal::testing::active_record;
use seal::{
    Address, CredentialHash, ElevatedOwners, Mist, NodeClaim, NodeName, ObjectId, SealRecord,
    SealStatus, SealToken, Thresholds, UnixMillis,
};
use serde_json::{Value, json};
use sui_ledger::directory::{End, SealDirectory, Unavailable};
use tower::ServiceExt;
use webhook_server::ServerMetrics;
use webhook_server::pki::DevPki;

/// The token of the worker's seal.
pub(crate) const SEAL: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/// The join credential of that seal.
pub(crate) const JOIN: &str = "xh5g4g.98bigncycpcjpj15";
pub(crate) const NODE: &str = "worker-001";
pub(crate) const NOW: u64 = 1_790_000_000_000;
pub(crate) const CLUSTER: &str = "https://10.0.0.1:6443";

/// A CA, made once.
pub(crate) static CA: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let pki = DevPki::generate(dir.path(), &["localhost".to_owned()]).unwrap();
    std::fs::read(pki.ca).unwrap()
});

pub(crate) fn token(number: u8) -> String {
    SealToken::from_bytes([number; 32]).reveal().to_string()
}

pub(crate) fn hash(token: &str) -> CredentialHash {
    SealToken::parse(token).unwrap().credential_hash()
}

/// A worker's seal of the tier viewer.
pub(crate) fn record() -> SealRecord {
    SealRecord {
        stake: Mist(500_000_000),
        node_id: Some(NODE.parse().unwrap()),
        issued_at: UnixMillis(NOW - 1_000),
        expires_at: UnixMillis(NOW + 1),
        ..active_record()
    }
}

#[derive(Debug, Default)]
pub(crate) struct FakeDirectory {
    records: Mutex<BTreeMap<CredentialHash, Arc<SealRecord>>>,
    claims: Mutex<HashMap<String, NodeClaim>>,
    unavailable: Mutex<Option<Unavailable>>,
    /// Listed as every owner's, as before news of a transfer.
    listed: Mutex<Vec<CredentialHash>>,
    claims_unavailable: AtomicBool,
    hangs: AtomicBool,
    pub(crate) waiting: AtomicUsize,
}

impl FakeDirectory {
    /// Puts a seal on chain, with the claim of its node's name.
    pub(crate) fn put(&self, token: &str, record: SealRecord) {
        let hash = hash(token);
        if let Some(name) = &record.node_id {
            let claim = NodeClaim {
                owner: record.owner,
                hash,
            };
            self.claims.lock().unwrap().insert(name.to_string(), claim);
        }
        self.records.lock().unwrap().insert(hash, Arc::new(record));
    }

    pub(crate) fn claim_for(&self, name: &str, claim: Option<NodeClaim>) {
        let mut claims = self.claims.lock().unwrap();
        match claim {
            Some(claim) => claims.insert(name.to_owned(), claim),
            None => claims.remove(name),
        };
    }

    pub(crate) fn fail(&self, cause: Option<Unavailable>) {
        *self.unavailable.lock().unwrap() = cause;
    }

    pub(crate) fn list_for_all(&self, hash: CredentialHash) {
        self.listed.lock().unwrap().push(hash);
    }

    pub(crate) fn fail_claims(&self) {
        self.claims_unavailable.store(true, Ordering::SeqCst);
    }

    /// Look-ups of what is unknown never end.
    pub(crate) fn hang_on_unknown(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }
}

impl SealDirectory for FakeDirectory {
    async fn seal(&self, hash: CredentialHash) -> Result<Option<Arc<SealRecord>>, Unavailable> {
        if let Some(cause) = *self.unavailable.lock().unwrap() {
            return Err(cause);
        }
        let found = self.records.lock().unwrap().get(&hash).cloned();
        if found.is_none() && self.hangs.load(Ordering::SeqCst) {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        Ok(found)
    }

    async fn claim(&self, name: &NodeName) -> Result<Option<NodeClaim>, Unavailable> {
        if self.claims_unavailable.load(Ordering::SeqCst) {
            return Err(Unavailable::ReadTimedOut);
        }
        Ok(self.claims.lock().unwrap().get(name.as_str()).copied())
    }

    async fn owner_seals(&self, owner: Address) -> Result<Arc<[CredentialHash]>, Unavailable> {
        let records = self.records.lock().unwrap();
        Ok(records
            .iter()
            .filter(|(_, record)| record.owner == owner && record.status != SealStatus::Retired)
            .map(|(hash, _)| *hash)
            .chain(self.listed.lock().unwrap().iter().copied())
            .collect())
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(NOW)
    }

    fn thresholds(&self) -> Thresholds {
        Thresholds::default()
    }

    fn last_known_end(&self, _hash: &CredentialHash) -> Option<End> {
        None
    }
}

/// What is known of workers.
#[derive(Debug, Default)]
pub(crate) struct FakeWorkers {
    nodes: Mutex<BTreeMap<String, Arc<SealedNode>>>,
    refuses: Mutex<Option<WorkerError>>,
    unknown: AtomicBool,
}

impl FakeWorkers {
    pub(crate) fn put(&self, node: SealedNode) {
        let name = node.metadata.name.clone().unwrap();
        self.nodes.lock().unwrap().insert(name, Arc::new(node));
    }

    pub(crate) fn refuse(&self, error: Option<WorkerError>) {
        *self.refuses.lock().unwrap() = error;
    }

    pub(crate) fn know_nothing(&self) {
        self.unknown.store(true, Ordering::SeqCst);
    }

    fn change(&self, name: &NodeName, change: impl FnOnce(&mut SealedNodeStatus)) -> bool {
        let mut nodes = self.nodes.lock().unwrap();
        let Some(node) = nodes.get_mut(name.as_str()) else {
            return false;
        };
        change(Arc::make_mut(node).status.get_or_insert_default());
        true
    }
}

/// A SealedNode of this name and owner.
pub(crate) fn sealed_node(name: &str, owner: Address) -> SealedNode {
    let spec = SealedNodeSpec {
        owner: owner.to_string(),
        seal_id: ObjectId::from_bytes([1; 32]).to_string(),
        credential_hash: hash(SEAL).to_string(),
    };
    let mut node = SealedNode::new(name, spec);
    node.status = Some(SealedNodeStatus {
        state: NodeState::Pending,
        ..SealedNodeStatus::default()
    });
    node
}

/// The cluster of a router: shared with the test.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cluster(pub(crate) Arc<FakeWorkers>);

impl WorkerRegistry for Cluster {
    async fn register(
        &self,
        name: &NodeName,
        _hash: CredentialHash,
        record: &SealRecord,
        registration: Registration,
    ) -> Result<(), WorkerError> {
        if let Some(error) = *self.0.refuses.lock().unwrap() {
            return Err(error);
        }
        if self.sealed_node(name.as_str()).is_none() {
            self.0.put(sealed_node(name.as_str(), record.owner));
        }
        self.0
            .change(name, |status| status.registration = Some(registration));
        Ok(())
    }

    async fn heartbeat(&self, name: &NodeName, heartbeat: Heartbeat) -> Result<(), WorkerError> {
        if let Some(error) = *self.0.refuses.lock().unwrap() {
            return Err(error);
        }
        let known = self
            .0
            .change(name, |status| status.heartbeat = Some(heartbeat));
        known.then_some(()).ok_or(WorkerError::Missing)
    }

    fn is_known(&self) -> bool {
        !self.0.unknown.load(Ordering::SeqCst)
    }

    fn sealed_nodes(&self) -> Vec<Arc<SealedNode>> {
        self.0.nodes.lock().unwrap().values().cloned().collect()
    }

    fn sealed_node(&self, name: &str) -> Option<Arc<SealedNode>> {
        self.0.nodes.lock().unwrap().get(name).cloned()
    }
}

/// An API with one worker's seal on chain.
pub(crate) struct Bench {
    pub(crate) directory: Arc<FakeDirectory>,
    pub(crate) workers: Arc<FakeWorkers>,
    pub(crate) guards: GuardState,
    pub(crate) api: Arc<Api<FakeDirectory, Cluster>>,
    pub(crate) metrics: ServerMetrics,
    pub(crate) app: Router,
    registry: Registry,
}

/// An answer as a whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Makes sure that it is a problem of this type, whole and without any secret.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, kind: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(self.header("cache-control"), Some("no-store"));
        let body = self.json();
        assert_eq!(body["type"], format!("urn:k3s-daas:problem:{kind}"));
        assert_eq!(body["status"], status);
        assert!(!body["title"].as_str().unwrap().is_empty());
        assert!(!body["detail"].as_str().unwrap().is_empty());
        for secret in [SEAL, JOIN] {
            assert!(!self.text.contains(secret), "{}", self.text);
        }
        body
    }
}

pub(crate) fn settings() -> ApiSettings {
    let access = ClusterAccess {
        url: CLUSTER.to_owned(),
        ca_pem: Some(CA.clone()),
        tls_server_name: None,
    };
    ApiSettings::new(access, ElevatedOwners::Any).unwrap()
}

impl Bench {
    pub(crate) fn new() -> Self {
        let directory = Arc::new(FakeDirectory::default());
        directory.put(SEAL, record());
        let cluster = Cluster::default();
        let guards = GuardState::default();
        guards.set(true);
        let mut registry = Registry::default();
        let metrics = ServerMetrics::register(&mut registry);
        let api = Arc::new(Api::new(
            Arc::clone(&directory),
            cluster.clone(),
            guards.clone(),
            settings(),
            ApiMetrics::register(&mut registry),
        ));
        Self {
            directory,
            workers: cluster.0,
            guards,
            app: router(Arc::clone(&api), &metrics),
            api,
            metrics,
            registry,
        }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1024 * 1024).await.unwrap();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    pub(crate) async fn get_as(&self, token: &str, path: &str) -> Answer {
        self.send(request("GET", path, Some(token), None)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_as(SEAL, path).await
    }

    pub(crate) async fn post_as(&self, token: &str, path: &str, body: &Value) -> Answer {
        let body = Some(body.to_string());
        self.send(request("POST", path, Some(token), body)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_as(SEAL, path, body).await
    }

    pub(crate) fn rendered_metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

pub(crate) fn request(
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<String>,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    request
        .body(body.map_or_else(Body::empty, Body::from))
        .unwrap()
}

pub(crate) fn registration() -> Value {
    json!({
        "node_id": NODE,
        "seal_token": SEAL,
        "ip_address": "10.0.1.5",
        "capacity": { "cpu": "4", "memory": "16Gi", "storage": "100Gi" },
    })
}

pub(crate) fn heartbeat() -> Value {
    json!({
        "node_id": NODE,
        "timestamp": NOW,
        "usage": {
            "cpu_usage": 12.5, "memory_usage": 40.0, "pod_count": 8, "container_count": 11,
            "network_rx": 1_000_000, "network_tx": 2_000_000,
        },
    })
}

/// Every call that needs a seal: method, path and a good body.
pub(crate) fn sealed_calls() -> Vec<(&'static str, &'static str, Option<String>)> {
    vec![
        (
            "POST",
            "/api/v1/register-worker",
            Some(registration().to_string()),
        ),
        (
            "POST",
            "/api/v1/nodes/heartbeat",
            Some(heartbeat().to_string()),
        ),
        ("GET", "/api/v1/nodes", None),
        ("GET", "/api/v1/staking/status", None),
        ("GET", "/api/v1/security-context", None),
        ("GET", "/kubectl/config", None),
    ]
}
