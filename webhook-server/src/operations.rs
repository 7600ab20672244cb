//! `/healthz`, `/readyz` and `/metrics`, for a plain listener of their own.
//!
//! A listener of their own, so that they answer while the others are full, and so
//! that nobody who may ask for a review learns the numbers, nor the other way round.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::health::Health;
use crate::status::{KubeStatus, StatusReason};

/// Source: OpenMetrics 1.0, "Overall structure".
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone)]
struct Operations {
    health: Health,
    registry: Arc<Registry>,
}

/// The routes.
pub fn router(health: Health, registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Operations { health, registry })
}

async fn readyz(State(operations): State<Operations>, RawQuery(query): RawQuery) -> Response {
    let report = operations.health.report();
    let verbose = query.is_some_and(|query| {
        query
            .split('&')
            .any(|pair| pair.split('=').next() == Some("verbose"))
    });
    match (report.is_ready(), verbose) {
        (true, false) => "ok".into_response(),
        (true, true) => format!("{}readyz check passed\n", report.lines()).into_response(),
        (false, _) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{}readyz check failed\n", report.lines()),
        )
            .into_response(),
    }
}

async fn metrics(State(operations): State<Operations>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &operations.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => {
            KubeStatus::new(StatusReason::InternalError, "metrics can't be written").into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt;

    use super::*;
    use crate::metrics::ServerMetrics;

    async fn ask(router: &Router, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let code = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .unwrap();
        (code, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn is_ready_while_every_check_holds() {
        let fresh = Arc::new(AtomicBool::new(true));
        let health = Health::new();
        health.add_fn("server", || Ok(()));
        let shared = Arc::clone(&fresh);
        health.add_fn("view", move || {
            if shared.load(Ordering::Relaxed) {
                Ok(())
            } else {
                Err("too old".into())
            }
        });
        let router = router(health, Arc::new(Registry::default()));

        assert_eq!(ask(&router, "/healthz").await, (200, "ok".to_owned()));
        assert_eq!(ask(&router, "/readyz").await, (200, "ok".to_owned()));
        assert_eq!(
            ask(&router, "/readyz?verbose").await,
            (
                200,
                "[+]server ok\n[+]view ok\nreadyz check passed\n".to_owned()
            )
        );
        fresh.store(false, Ordering::Relaxed);
        assert_eq!(
            ask(&router, "/readyz").await,
            (
                503,
                "[+]server ok\n[-]view failed: too old\nreadyz check failed\n".to_owned()
            )
        );
        assert_eq!(
            ask(&router, "/healthz").await.0,
            200,
            "it lives all the same"
        );
    }

    #[tokio::test]
    async fn renders_the_metrics() {
        let mut registry = Registry::default();
        ServerMetrics::register(&mut registry).group("reviews");
        let (code, text) = ask(&router(Health::new(), Arc::new(registry)), "/metrics").await;
        assert_eq!(code, 200);
        assert!(
            text.contains("k3s_daas_http_requests_total{group=\"reviews\""),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"));
    }
}
