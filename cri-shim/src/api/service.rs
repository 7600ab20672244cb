//! The API as a whole.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use http::{HeaderValue, header};
use seal::{CredentialHash, NodeName, UnixMillis};
use serde::Serialize;
use webhook_server::{GroupLimits, KubeStatus, RouteGroup, Secret, ServerMetrics};

use super::body::{Body, RegisterBody, StakingBody, UnstakeBody};
use super::health::health;
use super::orders::{Registering, Staking, WorkError, permissions};
use super::problem::{Problem, ProblemKind, refused};
use super::usage::usage;
use crate::standing::Standings;
use crate::stats::Summary;

/// No good body is longer than a few hundred bytes.
const MAX_BODY: usize = 4 * 1024;
/// Longer than a transaction and its way back take.
const ORDERS_DEADLINE: Duration = Duration::from_mins(3);
/// Nothing there waits for anybody.
const OPEN_DEADLINE: Duration = Duration::from_secs(5);
/// Requests in flight at once, of each router.
const IN_FLIGHT: usize = 16;

/// What everybody on the machine may ask.
pub struct Open {
    /// `proxy` or `observe`.
    pub mode: &'static str,
    /// The machine's node.
    pub node: NodeName,
    /// The machine's seal as the chain has it.
    pub standings: Standings,
    /// The hash of the machine's seal token; none while it has none.
    pub own: Box<dyn Fn() -> Option<CredentialHash> + Send + Sync>,
    /// The newest figures; none before the first look.
    pub figures: Box<dyn Fn() -> Option<Summary> + Send + Sync>,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("mode", &self.mode)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// What root may order besides.
#[derive(Debug)]
pub struct Private<S, R> {
    /// What everybody may ask.
    pub open: Arc<Open>,
    /// Who stakes.
    pub staking: Arc<S>,
    /// Who registers.
    pub registering: Arc<R>,
}

impl<S, R> Clone for Private<S, R> {
    fn clone(&self) -> Self {
        Self {
            open: Arc::clone(&self.open),
            staking: Arc::clone(&self.staking),
            registering: Arc::clone(&self.registering),
        }
    }
}

/// `GET /health` and `GET /api/v1/metrics`, for a port on loopback.
pub fn public_router(open: Arc<Open>, metrics: &ServerMetrics) -> Router {
    limited("worker", OPEN_DEADLINE, metrics, asked(open))
}

/// The same, and the orders: for a socket that root alone may open.
pub fn private_router<S: Staking, R: Registering>(
    private: Private<S, R>,
    metrics: &ServerMetrics,
) -> Router {
    let open = Arc::clone(&private.open);
    let orders = Router::new()
        .route(
            "/api/v1/staking",
            post(stake::<S, R>).fallback(other_method),
        )
        .route(
            "/api/v1/register",
            post(register::<S, R>).fallback(other_method),
        )
        .route(
            "/api/v1/unstake",
            post(unstake::<S, R>).fallback(other_method),
        )
        .with_state(private)
        .merge(asked(open));
    limited("worker_orders", ORDERS_DEADLINE, metrics, orders)
}

fn asked(open: Arc<Open>) -> Router {
    Router::new()
        .route("/health", get(health).fallback(other_method))
        .route("/api/v1/metrics", get(usage).fallback(other_method))
        .with_state(open)
}

/// Under limits, in one form, and never cached.
fn limited(
    group: &'static str,
    deadline: Duration,
    metrics: &ServerMetrics,
    routes: Router,
) -> Router {
    let limits = GroupLimits {
        max_in_flight: IN_FLIGHT,
        deadline,
        max_body: MAX_BODY,
    };
    // Instead of a fallback, so that they have the limits and the form of all others.
    let routes = routes
        .route("/", any(nothing_here))
        .route("/{*path}", any(nothing_here));
    let group = RouteGroup::refusing(group, limits, metrics, |status: KubeStatus| {
        Problem::from(status).into_response()
    });
    group.wrap(routes).route_layer(from_fn(uncached))
}

async fn uncached(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

async fn nothing_here() -> Problem {
    Problem::new(ProblemKind::NotFound, "there is nothing at this path")
}

async fn other_method() -> Problem {
    Problem::new(
        ProblemKind::MethodNotAllowed,
        "this method is not answered here; the header Allow names those that are",
    )
}

/// A stake's answer. The token is for whoever ordered it: nobody else reaches this socket.
#[derive(Debug, Serialize)]
struct StakingAnswer {
    success: bool,
    seal_token: Secret,
    /// Ms since the epoch.
    expires_at: UnixMillis,
    /// `join-node`, and the tiers that the stake is worth.
    permissions: Vec<&'static str>,
}

async fn stake<S: Staking, R: Registering>(
    State(private): State<Private<S, R>>,
    Body(body): Body<StakingBody>,
) -> Result<Json<StakingAnswer>, Problem> {
    let order = body.order(&private.open.node)?;
    let staking = private.staking;
    let staked = to_its_end("stake", async move { staking.stake(order).await }).await?;
    Ok(Json(StakingAnswer {
        success: true,
        seal_token: staked.token.reveal().into(),
        expires_at: staked.expires_at,
        permissions: permissions(staked.tier),
    }))
}

/// An unstake's answer.
#[derive(Debug, Serialize)]
struct UnstakeAnswer {
    success: bool,
    /// From when on the stake can be withdrawn, ms since the epoch.
    withdrawable_at: UnixMillis,
}

async fn unstake<S: Staking, R: Registering>(
    State(private): State<Private<S, R>>,
    Body(body): Body<UnstakeBody>,
) -> Result<Json<UnstakeAnswer>, Problem> {
    body.order(&private.open.node)?;
    let staking = private.staking;
    let unstaked = to_its_end("unstake", async move { staking.unstake().await }).await?;
    Ok(Json(UnstakeAnswer {
        success: true,
        withdrawable_at: unstaked.withdrawable_at,
    }))
}

/// A registration's answer. The agent's token is in its file and nowhere else.
#[derive(Debug, Serialize)]
struct RegisterAnswer {
    success: bool,
    node_id: NodeName,
    api_server: String,
    config_file: String,
    token_file: String,
}

async fn register<S: Staking, R: Registering>(
    State(private): State<Private<S, R>>,
    Body(body): Body<RegisterBody>,
) -> Result<Json<RegisterAnswer>, Problem> {
    let order = body.order(&private.open.node)?;
    let registering = private.registering;
    let joined = to_its_end("register", async move { registering.register(order).await }).await?;
    Ok(Json(RegisterAnswer {
        success: true,
        node_id: private.open.node.clone(),
        api_server: joined.api_server,
        config_file: joined.config_file.display().to_string(),
        token_file: joined.token_file.display().to_string(),
    }))
}

/// Carries an order out whether or not the caller waits for it: a transaction that was sent is
/// followed to its end, and its token gets its place.
async fn to_its_end<T: Send + 'static>(
    what: &'static str,
    work: impl Future<Output = Result<T, WorkError>> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::spawn(async move {
        let done = work.await;
        match &done {
            Ok(_) => tracing::info!(order = what, "carried out"),
            Err(error) => tracing::warn!(order = what, error = %error, "not carried out"),
        }
        done
    });
    match done.await {
        Ok(done) => done.map_err(|error| refused(&error)),
        Err(_panic) => Err(Problem::new(ProblemKind::Internal, "internal error")),
    }
}
