//! Test implementations of who stakes and who registers, and routers around them.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use cri_shim::api::{
    Joined, MachineOrder, Open, Private, Registering, StakeOrder, Staked, Staking, Unstaked,
    WorkError, private_router, public_router,
};
use cri_shim::standing::Standings;
use cri_shim::stats::Summary;
use http::Request;
use http_body_util::BodyExt as _;
use prometheus_client::registry::Registry;
use seal::{SealToken, Tier, UnixMillis};
use serde_json::Value;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;
use webhook_server::ServerMetrics;

pub(crate) const NODE: &str = "worker-001";
pub(crate) const STAKING: &str = "/api/v1/staking";
pub(crate) const REGISTER: &str = "/api/v1/register";
pub(crate) const UNSTAKE: &str = "/api/v1/unstake";
pub(crate) const METRICS: &str = "/api/v1/metrics";
pub(crate) const HEALTH: &str = "/health";

/// The machine's own token in these tests.
pub(crate) fn own_token() -> SealToken {
    SealToken::from_bytes([0x11; 32])
}

/// A test implementation: answers what it was told to, after it was let go.
pub(crate) struct TestWork {
    pub(crate) refuse: Mutex<Option<WorkError>>,
    pub(crate) stakes: Mutex<Vec<StakeOrder>>,
    pub(crate) registrations: Mutex<Vec<MachineOrder>>,
    pub(crate) unstakes: AtomicUsize,
    pub(crate) begun: AtomicUsize,
    pub(crate) ended: AtomicUsize,
    /// An order ends when there is a permit.
    pub(crate) gate: Semaphore,
}

impl TestWork {
    async fn work<T>(&self, done: T) -> Result<T, WorkError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let permit = self.gate.acquire().await.unwrap();
        permit.forget();
        self.ended.fetch_add(1, Ordering::SeqCst);
        match self.refuse.lock().unwrap().clone() {
            Some(error) => Err(error),
            None => Ok(done),
        }
    }

    /// How many orders came.
    pub(crate) fn orders(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
}

impl Staking for TestWork {
    async fn stake(&self, order: StakeOrder) -> Result<Staked, WorkError> {
        self.stakes.lock().unwrap().push(order);
        let staked = Staked {
            token: own_token(),
            expires_at: UnixMillis(1_790_000_000_000),
            tier: Tier::Developer,
        };
        self.work(staked).await
    }

    async fn unstake(&self) -> Result<Unstaked, WorkError> {
        self.unstakes.fetch_add(1, Ordering::SeqCst);
        let withdrawable_at = UnixMillis(1_790_000_100_000);
        self.work(Unstaked { withdrawable_at }).await
    }
}

impl Registering for TestWork {
    async fn register(&self, order: MachineOrder) -> Result<Joined, WorkError> {
        self.registrations.lock().unwrap().push(order);
        let joined = Joined {
            api_server: "https://192.0.2.1:6443".into(),
            config_file: "/etc/test/config.yaml".into(),
            token_file: "/etc/test/token".into(),
        };
        self.work(joined).await
    }
}

/// Both routers, and what stands behind them.
pub(crate) struct Rig {
    pub(crate) work: Arc<TestWork>,
    pub(crate) private: Router,
    pub(crate) public: Router,
}

impl Rig {
    /// Orders end at once.
    pub(crate) fn new() -> Self {
        Self::with(Some(figures()), true, Semaphore::MAX_PERMITS)
    }

    pub(crate) fn with(figures: Option<Summary>, staked: bool, permits: usize) -> Self {
        let work = Arc::new(TestWork {
            refuse: Mutex::new(None),
            stakes: Mutex::default(),
            registrations: Mutex::default(),
            unstakes: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            gate: Semaphore::new(permits),
        });
        let own = staked.then(|| own_token().credential_hash());
        let open = Arc::new(Open {
            mode: "proxy",
            node: NODE.parse().unwrap(),
            standings: Standings::fixed(None),
            own: Box::new(move || own),
            figures: Box::new(move || figures.clone()),
        });
        let metrics = ServerMetrics::register(&mut Registry::default());
        let private = Private {
            open: Arc::clone(&open),
            staking: Arc::clone(&work),
            registering: Arc::clone(&work),
        };
        Self {
            work,
            private: private_router(private, &metrics),
            public: public_router(open, &metrics),
        }
    }
}

pub(crate) fn figures() -> Summary {
    Summary {
        cpu_usage: Some(45.5),
        memory_usage: None,
        pod_count: Some(25),
        container_count: Some(48),
        network_rx: Some(1_024_000),
        network_tx: None,
        timestamp: 1_234_567_890,
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Told {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The last word of the problem's type; none where it is no problem.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.header("content-type") != Some("application/problem+json") {
            return None;
        }
        let body = self.json();
        assert_eq!(body["status"], self.status, "{body}");
        assert!(body["title"].is_string(), "{body}");
        let kind = body["type"].as_str().unwrap();
        Some(kind.rsplit(':').next().unwrap().to_owned())
    }
}

/// Asks once. What every answer has is looked at here.
pub(crate) async fn ask(router: &Router, request: Request<Body>) -> Told {
    let response: Response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let told = Told {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes().to_vec(),
    };
    assert_eq!(told.header("cache-control"), Some("no-store"), "{told:?}");
    assert_eq!(
        told.header("x-content-type-options"),
        Some("nosniff"),
        "{told:?}"
    );
    if told.status >= 400 {
        assert!(told.problem().is_some(), "{told:?}");
    }
    told
}

pub(crate) fn with_body(
    method: &str,
    path: &str,
    kind: Option<&str>,
    body: impl Into<Body>,
) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = match kind {
        Some(kind) => request.header("content-type", kind),
        None => request,
    };
    request.body(body.into()).unwrap()
}

pub(crate) fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    with_body("POST", path, Some("application/json"), body)
}

pub(crate) fn bare(method: &str, path: &str) -> Request<Body> {
    with_body(method, path, None, Body::empty())
}

pub(crate) fn good_stake() -> Value {
    let wallet = format!("0x{}", "ab".repeat(32));
    serde_json::json!({
        "node_id": NODE, "stake_amount": "500000000", "duration": 3_600, "wallet": wallet,
    })
}
