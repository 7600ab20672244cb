//! A directory and a namespace maker in memory, and the router around them.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    clippy::unwrap_used,
    clippy::indexing_slicing
)]

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use authn_webhook::{
    Audiences, Authn, AuthnMetrics, HomeNamespace, HomeNamespaceError, NodeJoin, NodeJoinError,
    Policy, router,
};
use axum::Router;
use axum::body::Body;
use prometheus_client::registry::Registry;
use seal::access::GuardState;
use seal::testing::active_record;
use seal::{
    Address, CredentialHash, ElevatedOwners, NodeClaim, NodeName, SealRecord, Thresholds, Tier,
    UnixMillis,
};
use sui_ledger::directory::{End, SealDirectory, Unavailable};
use tower::ServiceExt;
use webhook_server::{GroupLimits, RouteGroup, ServerMetrics};

pub const SEAL: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
pub const JOIN: &str = "xh5g4g.98bigncycpcjpj15";
pub const HASH: &str = "a0059ad2a65d3c11ea4140fee3e7f0edd58653c361217eb3c94116f56c3c242d";
pub const NOW: u64 = 1_790_000_000_000;

pub trait Ask {
    fn parse_hash(&self) -> CredentialHash;
}

impl Ask for str {
    fn parse_hash(&self) -> CredentialHash {
        CredentialHash::parse(self).unwrap()
    }
}

pub fn record() -> SealRecord {
    SealRecord {
        expires_at: UnixMillis(NOW + 1),
        ..active_record()
    }
}

pub fn review(token: &str, audiences: Option<&[&str]>) -> String {
    let mut spec = serde_json::json!({ "token": token });
    if let Some(audiences) = audiences {
        spec["audiences"] = audiences.into();
    }
    serde_json::json!({
        "kind": "TokenReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": null},
        "spec": spec,
        "status": {"user": {}},
    })
    .to_string()
}

pub fn body(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

#[derive(Debug, Default)]
pub struct FakeDirectory {
    records: Mutex<HashMap<CredentialHash, Arc<SealRecord>>>,
    claims: Mutex<HashMap<NodeName, NodeClaim>>,
    unavailable: Mutex<Option<Unavailable>>,
    hangs: AtomicBool,
    asked: AtomicUsize,
    waiting: AtomicUsize,
}

impl FakeDirectory {
    pub fn put(&self, hash: CredentialHash, record: SealRecord) {
        self.records.lock().unwrap().insert(hash, Arc::new(record));
    }

    /// A seal for this machine, which holds the claim of the name.
    pub fn put_node(&self, hash: CredentialHash, name: &str, record: SealRecord) {
        let name: NodeName = name.parse().unwrap();
        let owner = record.owner;
        let record = SealRecord {
            node_id: Some(name.clone()),
            ..record
        };
        self.put(hash, record);
        let claim = NodeClaim { owner, hash };
        self.claims.lock().unwrap().insert(name, claim);
    }

    pub fn fail(&self, cause: Option<Unavailable>) {
        *self.unavailable.lock().unwrap() = cause;
    }

    pub fn hang_on_unknown(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl SealDirectory for FakeDirectory {
    async fn seal(&self, hash: CredentialHash) -> Result<Option<Arc<SealRecord>>, Unavailable> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(cause) = *self.unavailable.lock().unwrap() {
            return Err(cause);
        }
        let found = self.records.lock().unwrap().get(&hash).cloned();
        if found.is_none() && self.hangs.load(Ordering::SeqCst) {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            let _waiting = Waiting(&self.waiting);
            std::future::pending::<()>().await;
        }
        Ok(found)
    }

    async fn claim(&self, name: &NodeName) -> Result<Option<NodeClaim>, Unavailable> {
        if let Some(cause) = *self.unavailable.lock().unwrap() {
            return Err(cause);
        }
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(self.claims.lock().unwrap().get(name).copied())
    }

    async fn owner_seals(&self, _owner: Address) -> Result<Arc<[CredentialHash]>, Unavailable> {
        Ok(Arc::from([]))
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

#[derive(Debug, Clone, Default)]
pub struct FakeHome {
    asked: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
    there: Arc<AtomicBool>,
}

impl FakeHome {
    pub fn is_there(&self, there: bool) {
        self.there.store(there, Ordering::SeqCst);
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub fn fails(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    pub fn hang(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }
}

impl HomeNamespace for FakeHome {
    fn is_there(&self, _owner: &Address, _tier: Tier) -> bool {
        self.there.load(Ordering::SeqCst)
    }

    async fn ensure(&self, _owner: &Address, _tier: Tier) -> Result<(), HomeNamespaceError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.fails.load(Ordering::SeqCst) {
            return Err(HomeNamespaceError::Api(io::Error::other("no").into()));
        }
        Ok(())
    }
}

/// How an attempt to make a Node goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Making {
    #[default]
    Made,
    Reserved,
    Taken,
    Fails,
    Hangs,
}

#[derive(Debug, Clone, Default)]
pub struct FakeNodes {
    asked: Arc<Mutex<Vec<(String, CredentialHash)>>>,
    making: Arc<Mutex<Making>>,
}

impl FakeNodes {
    pub fn asked(&self) -> Vec<(String, CredentialHash)> {
        self.asked.lock().unwrap().clone()
    }

    pub fn go(&self, making: Making) {
        *self.making.lock().unwrap() = making;
    }
}

impl NodeJoin for FakeNodes {
    async fn admit(
        &self,
        name: &NodeName,
        hash: CredentialHash,
        record: &Arc<SealRecord>,
    ) -> Result<(), NodeJoinError> {
        assert_eq!(record.node_id.as_ref(), Some(name));
        self.asked.lock().unwrap().push((name.to_string(), hash));
        let making = *self.making.lock().unwrap();
        match making {
            Making::Made => Ok(()),
            Making::Reserved => Err(NodeJoinError::Reserved),
            Making::Taken => Err(NodeJoinError::Taken),
            Making::Fails => Err(NodeJoinError::Api(io::Error::other("no").into())),
            Making::Hangs => std::future::pending().await,
        }
    }
}

pub struct Answer {
    pub code: u16,
    pub body: serde_json::Value,
}

pub struct World {
    pub directory: Arc<FakeDirectory>,
    pub home: FakeHome,
    pub nodes: FakeNodes,
    pub guards: GuardState,
    pub authn: Arc<Authn<FakeDirectory, FakeHome, FakeNodes>>,
    registry: Registry,
    router: Router,
}

impl World {
    pub fn new() -> Self {
        let directory = Arc::new(FakeDirectory::default());
        let home = FakeHome::default();
        let nodes = FakeNodes::default();
        let mut registry = Registry::default();
        let policy = Policy {
            audiences: Audiences::default(),
            elevated: ElevatedOwners::Any,
        };
        let metrics = AuthnMetrics::register(&mut registry);
        let guards = GuardState::default();
        guards.set(true);
        let authn = Arc::new(Authn::new(
            Arc::clone(&directory),
            policy,
            guards.clone(),
            home.clone(),
            nodes.clone(),
            metrics,
        ));
        let server = ServerMetrics::register(&mut registry);
        let group = RouteGroup::new("authn", GroupLimits::reviews(), &server);
        Self {
            directory,
            home,
            nodes,
            guards,
            registry,
            router: group.wrap(router(Arc::clone(&authn))),
            authn,
        }
    }

    pub async fn ask(&self, text: String) -> Answer {
        self.ask_as("application/json", text.into_bytes()).await
    }

    pub async fn ask_as(&self, content_type: &str, body: Vec<u8>) -> Answer {
        let request = http::Request::post("/authenticate")
            .header("content-type", content_type)
            .body(Body::from(body))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let code = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .unwrap();
        Answer {
            code,
            body: serde_json::from_slice(&bytes).unwrap(),
        }
    }

    pub fn counted(&self, outcome: &str, reason: &str) -> usize {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let series =
            format!("k3s_daas_authn_reviews_total{{outcome=\"{outcome}\",reason=\"{reason}\"}} ");
        text.lines()
            .find_map(|line| line.strip_prefix(&series))
            .unwrap()
            .parse()
            .unwrap()
    }
}

/// Collects everything that is logged, at the finest level.
#[derive(Debug, Clone, Default)]
pub struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    pub fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + use<> {
        let logs = self.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing::level_filters::LevelFilter::TRACE)
            .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(move || logs.clone())
            .finish()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
