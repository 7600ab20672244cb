//! `POST /api/v1/nodes/heartbeat`: what a worker says of itself, every 30 s.
//!
//! Trust:  self-reported: the operator's claim about their own machine. It is shown to people, and
//!         nothing is decided by it: whether a node lives Kubernetes judges by the renewals of the
//!         node's Lease, and what it may be paid or punished for by the chain's record alone.
//!
//! Units:  `timestamp` is Unix time, in ms, or in seconds where it is below 10^11 (which as ms
//!         would be 1973), or an RFC 3339 text. Usage is in percent; a figure that the worker does
//!         not have is absent, never 0.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use k8s_openapi::jiff;
use serde::{Deserialize, Deserializer, Serialize};
use sui_ledger::directory::SealDirectory;
use utoipa::ToSchema;

use super::body::{Body, Object, parse};
use super::caller::{Caller, own_node};
use super::nodes::State as NodeStateView;
use super::problem::{Problem, ProblemBody};
use super::service::Api;
use super::workers::WorkerRegistry;
use crate::sealed_node::Heartbeat;

/// How often workers are asked to call.
const EVERY_SECONDS: u32 = 30;
/// Clocks of workers may be this far off, in ms.
const MAX_SKEW_MS: u64 = 5 * 60 * 1_000;
/// Numbers below are seconds.
const FIRST_MS: u64 = 100_000_000_000;
/// Kubernetes recommends at most 110 pods a node; nobody has ever run so many.
const MAX_PODS: u32 = 100_000;
/// More containers than pods, by far.
const MAX_CONTAINERS: u32 = 1_000_000;

/// A worker's heartbeat.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeHeartbeat {
    /// The node that the caller's seal names.
    #[schema(example = "worker-001")]
    node_id: String,
    /// When it was sent: Unix time in ms (or in seconds), or RFC 3339. At most 5 minutes off.
    timestamp: Timestamp,
    /// What is in use.
    #[schema(value_type = Usage)]
    usage: Object<Usage>,
}

/// Unix time in ms (or in seconds), or RFC 3339.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Timestamp {
    /// Unix time in ms; in seconds where it is below 10^11.
    #[schema(example = 1_790_000_000_000_u64)]
    Unix(u64),
    /// RFC 3339.
    Text(String),
}

/// What is in use on a machine, as it says itself. A figure that it does not have is absent.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_field_names, reason = "the names on the wire")]
pub(super) struct Usage {
    /// Part of all processors, in percent.
    #[schema(minimum = 0, maximum = 100, example = 12.5, nullable = false)]
    #[serde(default, deserialize_with = "present")]
    cpu_usage: Option<f64>,
    /// Part of the memory, in percent.
    #[schema(minimum = 0, maximum = 100, example = 40.0, nullable = false)]
    #[serde(default, deserialize_with = "present")]
    memory_usage: Option<f64>,
    /// Pods.
    #[schema(maximum = 100_000, example = 8, nullable = false)]
    #[serde(default, deserialize_with = "present")]
    pod_count: Option<u32>,
    /// Containers.
    #[schema(maximum = 1_000_000, example = 11, nullable = false)]
    #[serde(default, deserialize_with = "present")]
    container_count: Option<u32>,
    /// Bytes received since the machine's start.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "present")]
    network_rx: Option<u64>,
    /// Bytes sent since the machine's start.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "present")]
    network_tx: Option<u64>,
}

/// A figure that is there: `null` is none.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// A heartbeat was kept.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HeartbeatKept {
    /// Always true.
    #[schema(example = true)]
    success: bool,
    /// Where the node is in its life, so that its operator can warn; absent for a moment after
    /// its registration.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<NodeStateView>,
    /// When the next heartbeat is expected.
    #[schema(example = 30)]
    next_in_seconds: u32,
}

/// Report a worker's usage
///
/// Every 30 s. Shown on the SealedNode.
#[utoipa::path(
    post,
    path = "/api/v1/nodes/heartbeat",
    operation_id = "heartbeat",
    tag = "workers",
    security(("seal" = [])),
    request_body = NodeHeartbeat,
    responses(
        (status = 200, description = "Kept", body = HeartbeatKept),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn heartbeat<D, W>(
    State(api): State<Arc<Api<D, W>>>,
    caller: Caller,
    Body(request): Body<NodeHeartbeat>,
) -> Result<Json<HeartbeatKept>, Problem>
where
    D: SealDirectory,
    W: WorkerRegistry,
{
    let name = own_node(&*api.directory, &api.waiting, &caller, &request.node_id).await?;
    let kept = checked(&request, api.directory.now().0)?;
    api.workers.heartbeat(&name, kept).await?;
    let found = api.workers.sealed_node(name.as_str());
    Ok(Json(HeartbeatKept {
        success: true,
        state: found.and_then(|node| node.status.as_ref().map(|status| status.state.into())),
        next_in_seconds: EVERY_SECONDS,
    }))
}

/// What the API would keep of this body, whoever sent it; none where it is refused.
#[must_use]
pub fn read_heartbeat(body: &[u8], now_ms: u64) -> Option<Heartbeat> {
    let request = parse(body).ok()?;
    checked(&request, now_ms).ok()
}

/// What is kept of a heartbeat.
fn checked(request: &NodeHeartbeat, now_ms: u64) -> Result<Heartbeat, Problem> {
    let sent_ms = unix_ms(&request.timestamp).ok_or_else(|| {
        Problem::field(
            "/timestamp",
            "expected Unix time in milliseconds, or an RFC 3339 text",
        )
    })?;
    if sent_ms.abs_diff(now_ms) > MAX_SKEW_MS {
        return Err(Problem::field(
            "/timestamp",
            format!("more than 5 minutes off: the server's clock says {now_ms} ms"),
        ));
    }
    let usage = request.usage.0;
    for (pointer, percent) in [
        ("/usage/cpu_usage", usage.cpu_usage),
        ("/usage/memory_usage", usage.memory_usage),
    ] {
        if percent.is_some_and(|percent| !(0.0..=100.0).contains(&percent)) {
            return Err(Problem::field(
                pointer,
                "expected a percentage from 0 to 100",
            ));
        }
    }
    for (pointer, count, most) in [
        ("/usage/pod_count", usage.pod_count, MAX_PODS),
        (
            "/usage/container_count",
            usage.container_count,
            MAX_CONTAINERS,
        ),
    ] {
        if count.is_some_and(|count| count > most) {
            return Err(Problem::field(pointer, format!("expected at most {most}")));
        }
    }
    Ok(Heartbeat {
        at_ms: now_ms,
        sent_ms,
        cpu_usage: usage.cpu_usage,
        memory_usage: usage.memory_usage,
        pod_count: usage.pod_count,
        container_count: usage.container_count,
        // What Kubernetes can keep: its integers are signed.
        network_rx: usage
            .network_rx
            .map(|bytes| bytes.min(i64::MAX.unsigned_abs())),
        network_tx: usage
            .network_tx
            .map(|bytes| bytes.min(i64::MAX.unsigned_abs())),
    })
}

fn unix_ms(timestamp: &Timestamp) -> Option<u64> {
    match timestamp {
        Timestamp::Unix(seconds) if *seconds < FIRST_MS => seconds.checked_mul(1_000),
        Timestamp::Unix(ms) => Some(*ms),
        Timestamp::Text(text) => {
            let read: jiff::Timestamp = text.parse().ok()?;
            u64::try_from(read.as_millisecond()).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::problem::ProblemKind;

    const NOW: u64 = 1_790_000_000_000;

    fn body() -> serde_json::Value {
        serde_json::json!({
            "node_id": "worker-001",
            "timestamp": NOW,
            "usage": {
                "cpu_usage": 12.5, "memory_usage": 40, "pod_count": 8, "container_count": 11,
                "network_rx": 1, "network_tx": 2,
            },
        })
    }

    fn judged(body: &serde_json::Value) -> Result<Heartbeat, ProblemKind> {
        parse::<NodeHeartbeat>(body.to_string().as_bytes())
            .and_then(|request| checked(&request, NOW))
            .map_err(|problem| problem.kind())
    }

    #[test]
    fn a_good_heartbeat_is_kept_as_it_is() {
        let kept = judged(&body()).unwrap();
        assert_eq!((kept.at_ms, kept.sent_ms), (NOW, NOW));
        assert_eq!((kept.pod_count, kept.container_count), (Some(8), Some(11)));
        assert_eq!((kept.network_rx, kept.network_tx), (Some(1), Some(2)));
    }

    #[test]
    fn a_figure_that_is_absent_stays_absent() {
        let mut body = body();
        body["usage"] = serde_json::json!({ "memory_usage": 40 });
        let kept = judged(&body).unwrap();
        assert_eq!((kept.cpu_usage, kept.memory_usage), (None, Some(40.0)));
        assert_eq!((kept.pod_count, kept.network_rx), (None, None));
    }

    #[test]
    fn times_come_in_three_forms() {
        for timestamp in [
            serde_json::json!(NOW),
            serde_json::json!(NOW / 1_000),
            serde_json::json!("2026-09-21T14:13:20Z"),
            serde_json::json!("2026-09-21T16:13:20.000+02:00"),
        ] {
            let mut body = body();
            body["timestamp"] = timestamp.clone();
            assert_eq!(
                judged(&body).map(|kept| kept.sent_ms),
                Ok(NOW),
                "{timestamp}"
            );
        }
    }

    #[test]
    fn a_clock_may_be_five_minutes_off_and_no_more() {
        for (timestamp, good) in [
            (NOW - MAX_SKEW_MS, true),
            (NOW + MAX_SKEW_MS, true),
            (NOW - MAX_SKEW_MS - 1, false),
            (NOW + MAX_SKEW_MS + 1, false),
            (0, false),
            (u64::MAX, false),
        ] {
            let mut body = body();
            body["timestamp"] = timestamp.into();
            assert_eq!(judged(&body).is_ok(), good, "{timestamp}");
        }
    }

    #[test]
    fn values_that_can_not_be_are_refused() {
        for (field, value, why) in [
            (
                "cpu_usage",
                serde_json::json!(100.1),
                ProblemKind::InvalidValue,
            ),
            (
                "cpu_usage",
                serde_json::json!(-0.1),
                ProblemKind::InvalidValue,
            ),
            (
                "memory_usage",
                serde_json::json!(1e300),
                ProblemKind::InvalidValue,
            ),
            (
                "memory_usage",
                serde_json::json!(null),
                ProblemKind::MalformedBody,
            ),
            (
                "pod_count",
                serde_json::json!(100_001),
                ProblemKind::InvalidValue,
            ),
            (
                "pod_count",
                serde_json::json!(-1),
                ProblemKind::MalformedBody,
            ),
            (
                "pod_count",
                serde_json::json!(1.5),
                ProblemKind::MalformedBody,
            ),
            (
                "container_count",
                serde_json::json!(1_000_001),
                ProblemKind::InvalidValue,
            ),
            (
                "network_rx",
                serde_json::json!(-1),
                ProblemKind::MalformedBody,
            ),
            (
                "network_tx",
                serde_json::json!("1"),
                ProblemKind::MalformedBody,
            ),
        ] {
            let mut body = body();
            body["usage"][field] = value.clone();
            assert_eq!(judged(&body), Err(why), "{field} {value}");
        }
        for timestamp in [
            serde_json::json!("yesterday"),
            serde_json::json!(""),
            serde_json::json!("1960-01-01T00:00:00Z"),
        ] {
            let mut body = body();
            body["timestamp"] = timestamp.clone();
            assert_eq!(judged(&body), Err(ProblemKind::InvalidValue), "{timestamp}");
        }
        for timestamp in [
            serde_json::json!(-1),
            serde_json::json!(1.5),
            serde_json::json!([1]),
        ] {
            let mut body = body();
            body["timestamp"] = timestamp.clone();
            assert_eq!(
                judged(&body),
                Err(ProblemKind::MalformedBody),
                "{timestamp}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_timestamp_panics(text in ".{0,40}", number: u64) {
            let _ = unix_ms(&Timestamp::Text(text));
            let _ = unix_ms(&Timestamp::Unix(number));
        }

        #[test]
        fn what_is_kept_is_near_now(number: u64) {
            let mut body = body();
            body["timestamp"] = number.into();
            if let Ok(kept) = judged(&body) {
                prop_assert!(kept.sent_ms.abs_diff(NOW) <= MAX_SKEW_MS);
            }
        }
    }
}
