//! A group of routes with a budget, a deadline and a body limit of its own.
//!
//! One layer does all of it, since every layer costs each request: it takes a
//! place in the budget or answers 429, bounds the body or answers 413, bounds the
//! time or answers 504, turns a panic into 500, and counts how it ended.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Layer, Service};
use tracing::Instrument;

use crate::body;
use crate::config::GroupLimits;
use crate::metrics::{GroupMetrics, RequestOutcome, ServerMetrics};
use crate::status::{KubeStatus, StatusReason};

/// Numbers requests across all groups, for logs.
static NEXT_REQUEST: AtomicU64 = AtomicU64::new(1);

/// Routes that share a budget, a deadline and a body limit.
#[derive(Debug, Clone)]
pub struct RouteGroup {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: &'static str,
    limits: GroupLimits,
    budget: Arc<Semaphore>,
    metrics: GroupMetrics,
    refuse: Refuse,
}

/// How a group writes its own refusals.
pub type Refuse = fn(KubeStatus) -> Response;

impl RouteGroup {
    /// A group of this name (metric label and log field).
    pub fn new(name: &'static str, limits: GroupLimits, metrics: &ServerMetrics) -> Self {
        Self::refusing(name, limits, metrics, KubeStatus::into_response)
    }

    /// The same for clients that expect refusals in another form than Kubernetes' own.
    pub fn refusing(
        name: &'static str,
        limits: GroupLimits,
        metrics: &ServerMetrics,
        refuse: Refuse,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                name,
                budget: Arc::new(Semaphore::new(limits.max_in_flight)),
                limits,
                metrics: metrics.group(name),
                refuse,
            }),
        }
    }

    /// Puts the routes that `router` has so far, at least one, under this group's limits.
    pub fn wrap<S>(&self, router: Router<S>) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        router.route_layer(GroupLayer(Arc::clone(&self.shared)))
    }
}

#[derive(Debug, Clone)]
struct GroupLayer(Arc<Shared>);

impl<S> Layer<S> for GroupLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded {
            inner,
            shared: Arc::clone(&self.0),
        }
    }
}

#[derive(Debug, Clone)]
struct Guarded<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Service<Request> for Guarded<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let refuse = self.shared.refuse;
        let Some(mut place) = Place::take(&self.shared) else {
            self.shared.metrics.request(RequestOutcome::Throttled);
            return Box::pin(std::future::ready(Ok(refuse(throttled()))));
        };
        let (parts, body) = request.into_parts();
        let max_body = self.shared.limits.max_body;
        let Ok(body) = body::limit(body, max_body) else {
            place.outcome = RequestOutcome::ClientError;
            drop(place);
            let refusal = KubeStatus::too_large(max_body);
            return Box::pin(std::future::ready(Ok(refuse(refusal))));
        };
        // Debug level: with the usual filter a span costs one atomic load.
        let span = tracing::debug_span!(
            "request",
            request_id = NEXT_REQUEST.fetch_add(1, Ordering::Relaxed),
            group = self.shared.name,
            method = %parts.method,
            path = parts.uri.path(),
        );
        let answer = self.inner.call(Request::from_parts(parts, body));
        let deadline = self.shared.limits.deadline;
        let guarded = async move {
            // The whole of it, not just the fields used: it is dropped at the end.
            let mut place = place;
            let answer = AssertUnwindSafe(answer).catch_unwind();
            let (outcome, response) = match tokio::time::timeout(deadline, answer).await {
                Ok(Ok(Ok(response))) => (outcome_of(response.status()), response),
                Ok(Ok(Err(never))) => match never {},
                Ok(Err(_panic)) => {
                    tracing::error!(group = place.shared.name, "a handler panicked");
                    (RequestOutcome::Panicked, refuse(internal_error()))
                }
                Err(_elapsed) => (RequestOutcome::TimedOut, refuse(timed_out())),
            };
            place.outcome = outcome;
            Ok(response)
        };
        if span.is_disabled() {
            Box::pin(guarded)
        } else {
            Box::pin(guarded.instrument(span))
        }
    }
}

/// A place in the budget; given back, and the outcome counted, on drop, so that
/// no early end can lose either.
struct Place {
    shared: Arc<Shared>,
    outcome: RequestOutcome,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let permit = Arc::clone(&shared.budget).try_acquire_owned().ok()?;
        shared.metrics.in_flight.inc();
        Some(Self {
            shared: Arc::clone(shared),
            outcome: RequestOutcome::Cancelled,
            _permit: permit,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.metrics.in_flight.dec();
        self.shared.metrics.request(self.outcome);
    }
}

fn outcome_of(status: StatusCode) -> RequestOutcome {
    if status.is_server_error() {
        RequestOutcome::ServerError
    } else if status.is_client_error() {
        RequestOutcome::ClientError
    } else {
        RequestOutcome::Answered
    }
}

fn throttled() -> KubeStatus {
    KubeStatus::too_many_requests("too many requests are in flight, please try again later", 1)
}

fn timed_out() -> KubeStatus {
    KubeStatus::new(StatusReason::Timeout, "the request took too long")
}

fn internal_error() -> KubeStatus {
    KubeStatus::new(StatusReason::InternalError, "internal error")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use axum::routing::{get, post};
    use tokio::sync::Notify;
    use tower::ServiceExt;

    use super::*;

    fn limits(max_in_flight: usize) -> GroupLimits {
        GroupLimits {
            max_in_flight,
            deadline: Duration::from_millis(50),
            max_body: 8,
        }
    }

    fn request(path: &str, body: &'static str) -> Request {
        let method = if body.is_empty() { "GET" } else { "POST" };
        Request::builder()
            .method(method)
            .uri(path)
            .body(Body::from(body))
            .unwrap()
    }

    async fn text(response: Response) -> serde_json::Value {
        let bytes = axum::body::to_bytes(response.into_body(), 4096)
            .await
            .unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn one_request_too_many_is_answered_429_and_other_groups_are_not_touched() {
        let metrics = ServerMetrics::default();
        let gate = Arc::new(Notify::new());
        let waiting = Arc::clone(&gate);
        let group = RouteGroup::new(
            "a",
            GroupLimits {
                deadline: Duration::from_secs(20),
                ..limits(1)
            },
            &metrics,
        );
        let busy = group.wrap(Router::new().route(
            "/busy",
            get(move || async move { waiting.notified().await }),
        ));
        let other = RouteGroup::new("b", limits(1), &metrics)
            .wrap(Router::new().route("/other", get(|| async {})));
        let app = busy.merge(other);

        let first = tokio::spawn(app.clone().oneshot(request("/busy", "")));
        while group.shared.metrics.in_flight.get() == 0 {
            tokio::task::yield_now().await;
        }
        let refused = app.clone().oneshot(request("/busy", "")).await.unwrap();
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()["retry-after"], "1");
        assert_eq!(text(refused).await["reason"], "TooManyRequests");
        let other = app.clone().oneshot(request("/other", "")).await.unwrap();
        assert_eq!(other.status(), 200);

        gate.notify_one();
        assert_eq!(first.await.unwrap().unwrap().status(), 200);
        assert_eq!(group.shared.metrics.in_flight.get(), 0);
        gate.notify_one();
        let again = app.oneshot(request("/busy", "")).await.unwrap();
        assert_eq!(again.status(), 200, "the place was given back");
    }

    #[tokio::test]
    async fn a_request_past_its_deadline_is_answered_504() {
        let group = RouteGroup::new("a", limits(1), &ServerMetrics::default());
        let app = group.wrap(Router::new().route("/", get(std::future::pending::<()>)));
        let response = app.oneshot(request("/", "")).await.unwrap();
        assert_eq!(response.status(), 504);
        assert_eq!(text(response).await["reason"], "Timeout");
        assert_eq!(group.shared.metrics.in_flight.get(), 0);
    }

    #[tokio::test]
    async fn a_groups_own_refusals_take_the_form_that_it_was_given() {
        let refuse = |status: KubeStatus| status.reason().label().into_response();
        let group = RouteGroup::refusing("a", limits(1), &ServerMetrics::default(), refuse);
        let routes = Router::new()
            .route("/", get(std::future::pending::<()>).post(|| async {}))
            .route("/bug", get(|| async { panic!("a bug") as () }));
        let app = group.wrap(routes);
        for (path, body, expected) in [
            ("/", "", "Timeout"),
            ("/", "123456789", "RequestEntityTooLarge"),
            ("/bug", "", "InternalError"),
        ] {
            let response = app.clone().oneshot(request(path, body)).await.unwrap();
            let bytes = axum::body::to_bytes(response.into_body(), 64).await;
            assert_eq!(bytes.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_answered_413() {
        let group = RouteGroup::new("a", limits(1), &ServerMetrics::default());
        let app = group.wrap(Router::new().route("/", post(|| async {})));
        let small = app.clone().oneshot(request("/", "12345678")).await.unwrap();
        assert_eq!(small.status(), 200);
        let large = app.oneshot(request("/", "123456789")).await.unwrap();
        assert_eq!(large.status(), 413);
        assert_eq!(text(large).await["reason"], "RequestEntityTooLarge");
    }

    #[tokio::test]
    async fn a_panic_is_answered_500_and_gives_its_place_back() {
        async fn fails() {
            panic!("a bug");
        }
        let group = RouteGroup::new("a", limits(1), &ServerMetrics::default());
        let app = group.wrap(Router::new().route("/", get(fails)));
        for _ in 0..2 {
            let response = app.clone().oneshot(request("/", "")).await.unwrap();
            assert_eq!(response.status(), 500);
        }
    }

    #[tokio::test]
    async fn a_request_whose_client_goes_away_gives_its_place_back() {
        let group = RouteGroup::new("a", limits(1), &ServerMetrics::default());
        let app = group.wrap(Router::new().route("/", get(std::future::pending::<()>)));
        let abandoned = tokio::spawn(app.oneshot(request("/", "")));
        while group.shared.metrics.in_flight.get() == 0 {
            tokio::task::yield_now().await;
        }
        abandoned.abort();
        assert!(abandoned.await.unwrap_err().is_cancelled());
        assert_eq!(group.shared.metrics.in_flight.get(), 0);
        assert_eq!(group.shared.budget.available_permits(), 1);
    }
}
