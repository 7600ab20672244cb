//! A directory and namespaces in memory, and a router over them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use authz_webhook::{App, AuthzMetrics, NamespaceOwners, NodeStandings, Settings, router};
use axum::Router;
use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use prometheus_client::registry::Registry;
use seal::access::{Bound, GuardState, NamespaceView, Ownership, Policy};
use seal::testing::active_record;
use seal::{
    Address, CredentialHash, ElevatedOwners, NodeClaim, NodeName, NodeStanding, ObjectId,
    SealRecord, Thresholds, Tier, UnixMillis, Unusable, identity,
};
use serde_json::{Value, json};
use sui_ledger::directory::{End, SealDirectory, Unavailable};
use tower::ServiceExt;

pub(crate) const NOW: UnixMillis = UnixMillis(1_000_000);

/// What a chain would hold, and how reachable it is.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) seals: HashMap<CredentialHash, SealRecord>,
    pub(crate) claims: HashMap<NodeName, NodeClaim>,
    pub(crate) ends: HashMap<CredentialHash, End>,
    pub(crate) unavailable: Option<Unavailable>,
    pub(crate) silent: bool,
}

/// The directory over that chain.
#[derive(Debug, Default)]
pub(crate) struct Directory(pub(crate) Mutex<Ledger>);

impl Directory {
    async fn read<T>(&self, read: impl FnOnce(&Ledger) -> T) -> Result<T, Unavailable> {
        if self.0.lock().unwrap().silent {
            std::future::pending::<()>().await;
        }
        let ledger = self.0.lock().unwrap();
        match ledger.unavailable {
            Some(unavailable) => Err(unavailable),
            None => Ok(read(&ledger)),
        }
    }
}

impl SealDirectory for Directory {
    async fn seal(&self, hash: CredentialHash) -> Result<Option<Arc<SealRecord>>, Unavailable> {
        self.read(|ledger| ledger.seals.get(&hash).cloned().map(Arc::new))
            .await
    }

    async fn claim(&self, name: &NodeName) -> Result<Option<NodeClaim>, Unavailable> {
        self.read(|ledger| ledger.claims.get(name).copied()).await
    }

    async fn owner_seals(&self, owner: Address) -> Result<Arc<[CredentialHash]>, Unavailable> {
        self.read(|ledger| {
            let held = ledger.seals.iter().filter(|(_, seal)| seal.owner == owner);
            held.map(|(hash, _)| *hash).collect()
        })
        .await
    }

    fn now(&self) -> UnixMillis {
        NOW
    }

    fn thresholds(&self) -> Thresholds {
        Thresholds::default()
    }

    fn last_known_end(&self, hash: &CredentialHash) -> Option<End> {
        self.0.lock().unwrap().ends.get(hash).copied()
    }
}

/// Namespaces with their owners.
#[derive(Debug, Default)]
pub(crate) struct Namespaces(pub(crate) HashMap<String, Ownership>);

impl NamespaceOwners for Namespaces {
    fn view(&self, name: &str) -> NamespaceView {
        NamespaceView {
            ownership: self.0.get(name).copied().unwrap_or(Ownership::Unknown),
            bound: Bound::No,
        }
    }
}

/// Nodes with their standing.
#[derive(Debug, Default)]
pub(crate) struct Standings(pub(crate) Mutex<HashMap<String, NodeStanding>>);

impl NodeStandings for Standings {
    fn standing(&self, name: &str) -> NodeStanding {
        let known = self.0.lock().unwrap();
        known.get(name).copied().unwrap_or(NodeStanding::Unknown)
    }

    fn owner(&self, _name: &str) -> Option<Address> {
        None
    }
}

/// A person with one seal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder(pub(crate) u8);

impl Holder {
    pub(crate) fn owner(self) -> Address {
        Address::from_bytes([self.0; 32])
    }

    pub(crate) fn hash(self) -> CredentialHash {
        CredentialHash::from_bytes([self.0 ^ 0xff; 32])
    }

    pub(crate) fn seal_id(self) -> ObjectId {
        ObjectId::from_bytes([self.0 ^ 0x0f; 32])
    }

    pub(crate) fn home(self) -> String {
        identity::home_namespace(&self.owner())
    }

    pub(crate) fn record(self, tier: Tier) -> SealRecord {
        let thresholds = Thresholds::default();
        SealRecord {
            seal_id: self.seal_id(),
            owner: self.owner(),
            stake: match tier {
                Tier::Viewer => thresholds.viewer,
                Tier::Developer => thresholds.developer,
                Tier::Admin => thresholds.admin,
                Tier::Super => thresholds.super_,
            },
            issued_at: UnixMillis(1),
            expires_at: UnixMillis(NOW.0 + 1),
            ..active_record()
        }
    }

    /// The user as `authn-webhook` names it.
    pub(crate) fn user(self) -> Value {
        json!({
            "user": identity::user_name(&self.owner()),
            "uid": self.seal_id().to_string(),
            "groups": [identity::GROUP_HOLDERS, "system:authenticated"],
            "extra": {
                "k3s-daas.io/seal": [self.seal_id().to_string()],
                "k3s-daas.io/credential-hash": [format!("{}", self.hash())],
                "k3s-daas.io/tier": ["super"],
            },
        })
    }

    pub(crate) fn end(how: Unusable) -> End {
        End {
            seq: 2,
            how,
            at: NOW,
        }
    }
}

/// A webhook with everything it runs on.
#[derive(Debug)]
pub(crate) struct Webhook {
    pub(crate) directory: Arc<Directory>,
    pub(crate) standings: Arc<Standings>,
    pub(crate) registry: Registry,
    pub(crate) app: Arc<App<Directory, Namespaces>>,
    pub(crate) guards: GuardState,
    router: Router,
}

/// What a review was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) outcome: &'static str,
    pub(crate) reason: String,
    pub(crate) evaluation_error: String,
}

impl Webhook {
    pub(crate) fn new(namespaces: Namespaces) -> Self {
        Self::with(namespaces, Settings::new(Policy::new(ElevatedOwners::Any)))
    }

    pub(crate) fn with(namespaces: Namespaces, mut settings: Settings) -> Self {
        settings.deadline = Duration::from_millis(100);
        let directory = Arc::new(Directory::default());
        let standings = Arc::new(Standings::default());
        let mut registry = Registry::default();
        let metrics = AuthzMetrics::register(&mut registry);
        let guards = GuardState::default();
        guards.set(true);
        let app = Arc::new(App::new(
            Arc::clone(&directory),
            Arc::new(namespaces),
            Arc::clone(&standings) as Arc<dyn NodeStandings>,
            settings,
            guards.clone(),
            metrics,
        ));
        Self {
            directory,
            standings,
            registry,
            router: router(Arc::clone(&app)),
            app,
            guards,
        }
    }

    pub(crate) fn ledger(&self, change: impl FnOnce(&mut Ledger)) {
        change(&mut self.directory.0.lock().unwrap());
    }

    pub(crate) fn stake(&self, holder: Holder, tier: Tier) {
        self.ledger(|ledger| {
            ledger.seals.insert(holder.hash(), holder.record(tier));
        });
    }

    /// Sends a spec as a whole review and reads the answer.
    pub(crate) async fn ask(&self, spec: Value) -> Answered {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "metadata": {"creationTimestamp": null}, "spec": spec, "status": {"allowed": false},
        });
        let (code, body) = self.post(review.to_string().into_bytes()).await;
        assert_eq!(code, StatusCode::OK, "{body}");
        assert_eq!(body["apiVersion"], "authorization.k8s.io/v1");
        assert_eq!(body["kind"], "SubjectAccessReview");
        let flag = |name: &str| body["status"][name].as_bool().unwrap_or(false);
        let text = |name: &str| body["status"][name].as_str().unwrap_or("").to_owned();
        Answered {
            outcome: match (flag("allowed"), flag("denied")) {
                (true, false) => "allow",
                (false, true) => "deny",
                (false, false) => "no-opinion",
                (true, true) => panic!("allowed and denied: {body}"),
            },
            reason: text("reason"),
            evaluation_error: text("evaluationError"),
        }
    }

    /// The holder asks for what `attributes` says (`resourceAttributes` or the other).
    pub(crate) async fn ask_as(&self, holder: Holder, attributes: &Value) -> Answered {
        let mut spec = holder.user();
        for (key, value) in attributes.as_object().unwrap() {
            if key.ends_with("Attributes") {
                spec[key] = value.clone();
            }
        }
        self.ask(spec).await
    }

    pub(crate) async fn post(&self, body: Vec<u8>) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/authorize")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .unwrap();
        self.send(request).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = tokio::time::timeout(
            Duration::from_secs(10),
            self.router.clone().oneshot(request),
        )
        .await
        .unwrap()
        .unwrap();
        let code = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}
