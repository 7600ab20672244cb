//! The audit receiver over its route.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;

use api_gate::{Gate, GateMetrics, GateSettings, Nobody};
use axum::body::Body;
use http::{Request, StatusCode};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tower::ServiceExt as _;

struct Receiver {
    gate: Gate,
    registry: Registry,
}

impl Receiver {
    fn new() -> Self {
        let mut registry = Registry::default();
        let metrics = GateMetrics::register(&mut registry);
        let gate = Gate::new(
            Arc::new(Nobody::default()),
            GateSettings::default(),
            metrics,
        );
        Self { gate, registry }
    }

    async fn post(&self, body: Body) -> StatusCode {
        let request = Request::post("/audit").body(body).unwrap();
        let answer = self.gate.router().oneshot(request).await.unwrap();
        answer.status()
    }

    fn counted(&self, outcome: &str) -> bool {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        let line = format!("k3s_daas_gate_events_total{{outcome=\"{outcome}\"}} 0");
        text.contains("k3s_daas_gate_events_total") && !text.contains(&line)
    }
}

#[tokio::test]
async fn events_of_a_real_api_server_are_heard_and_counted() {
    let receiver = Receiver::new();
    let list = include_str!("fixtures/audit-eventlist-long-running.json");
    assert_eq!(receiver.post(list.into()).await, StatusCode::OK);
    assert!(receiver.counted("unknown"), "no such connections here");
    assert!(!receiver.counted("attributed"));
}

#[tokio::test]
async fn what_is_no_event_list_is_a_bad_request() {
    let receiver = Receiver::new();
    for body in ["", "nonsense", "[1]", r#"{"items":[{"user":"x"}]}"#] {
        let status = receiver.post(body.into()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    }
    let broken = Body::from_stream(futures::stream::iter([
        Ok(r#"{"items":["#),
        Err(std::io::Error::other("gone")),
    ]));
    assert_eq!(receiver.post(broken).await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_batch_is_larger_than_any_event_may_be() {
    let receiver = Receiver::new();
    let event = format!(r#"{{"requestURI":"{}"}},"#, "a".repeat(1 << 20));
    let pieces = std::iter::once(r#"{"items":["#.to_owned())
        .chain(std::iter::repeat_n(event, 64))
        .chain(std::iter::once("{}]}".to_owned()));
    let body = Body::from_stream(futures::stream::iter(pieces.map(Ok::<_, std::io::Error>)));
    assert_eq!(receiver.post(body).await, StatusCode::OK);
}
