//! Limits, and methods and paths that are not answered.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use seal::{ObjectId, SealRecord};
use tower::ServiceExt;

use crate::double::{Bench, SEAL, record, registration, request, sealed_calls, settings, token};

#[tokio::test(start_paused = true)]
async fn a_seal_has_a_hundred_requests_a_minute_and_not_one_more() {
    let bench = Bench::new();
    let other = SealRecord {
        seal_id: ObjectId::from_bytes([5; 32]),
        node_id: None,
        ..record()
    };
    bench.directory.put(&token(5), other);
    let calls = sealed_calls();
    // All calls of a seal count together, those that end in a refusal too.
    for (number, (method, path, body)) in calls.iter().cycle().take(100).enumerate() {
        let answer = bench
            .send(request(method, path, Some(SEAL), body.clone()))
            .await;
        assert_ne!(answer.status, 429, "request {number}");
    }
    for (method, path, body) in calls {
        let answer = bench.send(request(method, path, Some(SEAL), body)).await;
        let problem = answer.is_problem(429, "rate-limited");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(problem["retry_after_seconds"], 1);
    }
    let path = "/api/v1/security-context";
    assert_eq!(bench.get_as(&token(5), path).await.status, 200);
    for open in ["/healthz", "/openapi.json"] {
        assert_eq!(bench.get(open).await.status, 200);
    }

    tokio::time::advance(Duration::from_millis(599)).await;
    assert_eq!(bench.get(path).await.status, 429);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(bench.get(path).await.status, 200);
    assert_eq!(bench.get(path).await.status, 429);
    tokio::time::advance(Duration::from_mins(1)).await;
    for _ in 0..100 {
        assert_eq!(bench.get(path).await.status, 200);
    }
    assert_eq!(bench.get(path).await.status, 429);
}

#[tokio::test(start_paused = true)]
async fn a_rotated_seal_has_the_same_limit_and_a_new_setting_counts_at_once() {
    let bench = Bench::new();
    let mut few = settings();
    few.requests_per_minute = NonZeroU32::new(2).unwrap();
    bench.api.replace_settings(few);
    // The same seal under its next token.
    bench.directory.put(&token(6), record());
    let path = "/api/v1/security-context";
    assert_eq!(bench.get(path).await.status, 200);
    assert_eq!(bench.get_as(&token(6), path).await.status, 200);
    let answer = bench.get(path).await;
    answer.is_problem(429, "rate-limited");
    assert_eq!(answer.header("retry-after"), Some("30"));
    bench.api.replace_settings(settings());
    assert_eq!(bench.get(path).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_random_tokens_waits_in_few_places_and_known_seals_go_on() {
    let bench = Arc::new(Bench::new());
    bench.directory.hang_on_unknown();
    let mut flood = Vec::new();
    for number in 0..64 {
        let app = bench.app.clone();
        let asked = request("GET", "/api/v1/nodes", Some(&token(100 + number)), None);
        flood.push(tokio::spawn(
            async move { app.oneshot(asked).await.unwrap() },
        ));
    }
    while bench.directory.waiting.load(Ordering::SeqCst) < 64 {
        tokio::task::yield_now().await;
    }
    let answer = bench.get_as(&token(99), "/api/v1/nodes").await;
    let problem = answer.is_problem(503, "chain-unavailable");
    assert_eq!(problem["reason"], "overloaded");
    assert_eq!(bench.get("/api/v1/nodes").await.status, 200);
    // The deadline of a request ends them, as a problem too.
    for waiting in flood {
        let response = waiting.await.unwrap();
        assert_eq!(response.status(), 504);
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn past_the_requests_in_flight_the_refusal_is_a_problem_too() {
    let bench = Bench::new();
    let mut few = settings();
    few.in_flight = 1;
    bench.api.replace_settings(few);
    let app = node_admission::api::router(Arc::clone(&bench.api), &bench.metrics);
    bench.directory.hang_on_unknown();
    let asked = request("GET", "/api/v1/nodes", Some(&token(9)), None);
    let waiting = tokio::spawn(app.clone().oneshot(asked));
    while bench.directory.waiting.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let asked = request("GET", "/api/v1/nodes", Some(SEAL), None);
    let refused = app.oneshot(asked).await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(
        refused.headers()["content-type"],
        "application/problem+json"
    );
    assert!(refused.headers().contains_key("retry-after"));
    waiting.abort();
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let bench = Bench::new();
    let body = format!("{}{}", " ".repeat(16 * 1024), registration());
    let answer = bench
        .send(request(
            "POST",
            "/api/v1/register-worker",
            Some(SEAL),
            Some(body),
        ))
        .await;
    answer.is_problem(413, "body-too-large");
}

#[tokio::test]
async fn paths_that_are_not_there_are_problems_too() {
    let bench = Bench::new();
    for path in [
        "/",
        "/api",
        "/api/v1/nodes/",
        "/api/v2/nodes",
        "/metrics",
        "/kubectl",
        "//",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let answer = bench.send(request(method, path, Some(SEAL), None)).await;
            answer.is_problem(404, "not-found");
        }
    }
}

#[tokio::test]
async fn methods_that_are_not_answered_are_problems_that_name_those_that_are() {
    let bench = Bench::new();
    for (method, path, _) in sealed_calls() {
        let allowed = if method == "GET" { "GET,HEAD" } else { method };
        let wrong = if method == "GET" { "POST" } else { "GET" };
        for other in [wrong, "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"] {
            let answer = bench.send(request(other, path, None, None)).await;
            answer.is_problem(405, "method-not-allowed");
            assert_eq!(answer.header("allow"), Some(allowed), "{other} {path}");
        }
        let options = bench.send(request("OPTIONS", path, None, None)).await;
        assert_eq!((options.status, options.text.as_str()), (204, ""));
        assert_eq!(options.header("allow"), Some(allowed));
        assert_eq!(options.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn head_is_get_without_the_body_and_needs_a_token_as_well() {
    let bench = Bench::new();
    for path in ["/kubectl/config", "/api/v1/nodes"] {
        let head = bench.send(request("HEAD", path, Some(SEAL), None)).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""));
        let refused = bench.send(request("HEAD", path, None, None)).await;
        assert_eq!((refused.status, refused.text.as_str()), (401, ""));
    }
    let health = bench.send(request("HEAD", "/healthz", None, None)).await;
    assert_eq!((health.status, health.text.as_str()), (200, ""));
}
