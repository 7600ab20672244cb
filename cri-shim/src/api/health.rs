//! `GET /health`: that the process lives, and what it knows.
//!
//! Always 200: a worker without a chain, a seal or containerd is alive, and a restart mends none of
//! them. What it says of the seal stands on chain for all to read.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use seal::{NodeName, Tier, UnixMillis};
use serde::Serialize;

use super::service::Open;
use crate::standing::{Standing, now};
use crate::stats::Summary;

/// What is known.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Health {
    /// Always `ok`.
    status: &'static str,
    /// `proxy` or `observe`.
    mode: &'static str,
    node_id: NodeName,
    seal: SealHealth,
    /// `reachable`, `unreachable`, or `unknown` before the first look.
    containerd: &'static str,
}

/// The machine's seal.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct SealHealth {
    /// `usable`, `ended`, or `unknown` while the chain said nothing yet.
    state: &'static str,
    /// Why it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<Tier>,
    /// Ms since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<UnixMillis>,
    /// When the chain said so, ms since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_at: Option<UnixMillis>,
}

pub(super) async fn health(State(open): State<Arc<Open>>) -> Json<Health> {
    let standing = open.standings.latest();
    Json(Health {
        status: "ok",
        mode: open.mode,
        node_id: open.node.clone(),
        seal: seal(standing.as_deref(), now()),
        containerd: containerd((open.figures)().as_ref()),
    })
}

fn seal(standing: Option<&Standing>, now: UnixMillis) -> SealHealth {
    let Some(standing) = standing else {
        return SealHealth {
            state: "unknown",
            ..SealHealth::default()
        };
    };
    let usable = standing.usable(now);
    SealHealth {
        state: if usable.is_ok() { "usable" } else { "ended" },
        reason: usable.err().map(crate::standing::Why::label),
        tier: usable.ok(),
        expires_at: standing.record.as_ref().map(|record| record.expires_at),
        seen_at: Some(standing.seen_at),
    }
}

/// Pods are counted by asking containerd.
fn containerd(figures: Option<&Summary>) -> &'static str {
    match figures {
        None => "unknown",
        Some(figures) if figures.pod_count.is_some() => "reachable",
        Some(_) => "unreachable",
    }
}
