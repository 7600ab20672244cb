//! The API as a whole.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use http::{Method, StatusCode, header};
use seal::access::GuardState;
use sui_ledger::directory::SealDirectory;
use tokio::sync::Semaphore;
use webhook_server::{GroupLimits, KubeStatus, RouteGroup, ServerMetrics};

use super::caller::MAX_WAITING;
use super::heartbeat::heartbeat;
use super::kubeconfig::kubectl_config;
use super::metrics::{ApiMetrics, Route};
use super::nodes::list_nodes;
use super::observe::observe;
use super::openapi::openapi;
use super::problem::{Problem, ProblemKind};
use super::rate::RateLimits;
use super::register::register_worker;
use super::security_context::security_context;
use super::settings::ApiSettings;
use super::staking::staking_status;
use super::workers::WorkerRegistry;

/// The group of the API's routes: what strangers can occupy here, they can't take from reviews.
const GROUP: &str = "api";
/// Longer than the calls of the API server that an answer may need.
const DEADLINE: Duration = Duration::from_secs(10);
/// A registration has under 1 KiB.
const MAX_BODY: usize = 16 * 1024;

/// The operators' REST API.
#[derive(Debug)]
pub struct Api<D, W> {
    pub(super) directory: Arc<D>,
    pub(super) workers: W,
    pub(super) guards: GuardState,
    settings: ArcSwap<ApiSettings>,
    pub(super) limits: RateLimits,
    /// Places of look-ups that wait for the chain.
    pub(super) waiting: Semaphore,
    pub(super) metrics: ApiMetrics,
}

impl<D: SealDirectory, W: WorkerRegistry> Api<D, W> {
    /// Answers by this directory; nobody is above viewer before `guards` are in place.
    pub fn new(
        directory: Arc<D>,
        workers: W,
        guards: GuardState,
        settings: ApiSettings,
        metrics: ApiMetrics,
    ) -> Self {
        Self {
            directory,
            workers,
            guards,
            limits: RateLimits::new(settings.requests_per_minute),
            settings: ArcSwap::from_pointee(settings),
            waiting: Semaphore::new(MAX_WAITING),
            metrics,
        }
    }

    /// Answers by these settings from the next request on.
    pub fn replace_settings(&self, settings: ApiSettings) {
        self.limits.set(settings.requests_per_minute);
        self.settings.store(Arc::new(settings));
    }

    pub(super) fn settings(&self) -> Arc<ApiSettings> {
        self.settings.load_full()
    }
}

/// All routes, with their limits. Refusals are problems, those of the limits too.
pub fn router<D, W>(api: Arc<Api<D, W>>, metrics: &ServerMetrics) -> Router
where
    D: SealDirectory,
    W: WorkerRegistry,
{
    // Once for all requests.
    let document = Bytes::from(openapi().to_string());
    let routes = Router::new()
        .route(
            Route::RegisterWorker.path(),
            post(register_worker::<D, W>).fallback(other_method),
        )
        .route(
            Route::Heartbeat.path(),
            post(heartbeat::<D, W>).fallback(other_method),
        )
        .route(
            Route::Nodes.path(),
            get(list_nodes::<D, W>).fallback(other_method),
        )
        .route(
            Route::StakingStatus.path(),
            get(staking_status::<D, W>).fallback(other_method),
        )
        .route(
            Route::SecurityContext.path(),
            get(security_context::<D, W>).fallback(other_method),
        )
        .route(
            Route::KubectlConfig.path(),
            get(kubectl_config::<D, W>).fallback(other_method),
        )
        .route(
            Route::OpenApi.path(),
            get(|| async move {
                (
                    [
                        (header::CONTENT_TYPE, "application/json"),
                        (header::CACHE_CONTROL, "public, max-age=300"),
                    ],
                    document,
                )
            })
            .fallback(other_method),
        )
        .route(
            Route::Health.path(),
            get(|| async { "ok" }).fallback(other_method),
        )
        // Instead of a fallback, so that they have the limits and the form of all others.
        .route("/", any(nothing_here))
        .route("/{*path}", any(nothing_here));
    let limits = GroupLimits {
        max_in_flight: api.settings().in_flight,
        deadline: DEADLINE,
        max_body: MAX_BODY,
    };
    let group = RouteGroup::refusing(GROUP, limits, metrics, |status: KubeStatus| {
        Problem::from(status).into_response()
    });
    group
        .wrap(routes)
        .route_layer(from_fn_with_state(Arc::clone(&api), observe::<D, W>))
        .with_state(api)
}

async fn nothing_here() -> Problem {
    Problem::new(ProblemKind::NotFound, "there is nothing at this path")
}

/// `OPTIONS` is told what there is, everybody else too, in the header `Allow`. Nothing is said of
/// other origins: browsers have no business here.
async fn other_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    Problem::new(
        ProblemKind::MethodNotAllowed,
        "this method is not answered here; the header Allow names those that are",
    )
    .into_response()
}
