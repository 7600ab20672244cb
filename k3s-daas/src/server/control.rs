//! The operators' socket: who is connected through the gate, and ending connections by hand.
//!
//! Shape:  `GET /connections` gives `{"connections": [ConnectionView]}`; `POST /disconnect` takes
//!         `{"target": "<hash, owner or node>"}` and gives a `Disconnected`. Over
//!         `<state-dir>/admin.sock`, which only the server's user can open.
//! Errors: as Kubernetes `Status`; without a gate all is 404.

use std::path::{Path, PathBuf};

use api_gate::{ConnectionView, Disconnected, Gate, Target};
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use webhook_server::{
    GroupLimits, KubeStatus, Limits, RouteGroup, ServerMetrics, StatusReason, UnixServing,
    read_json, serve_unix,
};

use crate::failure::{Kind, OrFail, Outcome};

/// Its name in the state folder.
const FILE: &str = "admin.sock";
/// Where connections are told of.
pub const CONNECTIONS: &str = "/connections";
/// Where they are ended.
pub const DISCONNECT: &str = "/disconnect";

/// Where the socket is.
pub fn socket(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// Everybody who is connected.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Connections {
    /// The oldest first.
    pub connections: Vec<ConnectionView>,
}

/// Whose connections are to end.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disconnect {
    /// A seal, an owner or a node.
    pub target: Target,
}

/// Listens on the socket of a state folder.
pub async fn serve(
    gate: Option<Gate>,
    state_dir: &Path,
    metrics: &ServerMetrics,
    shutdown: CancellationToken,
) -> Outcome<UnixServing> {
    let group = RouteGroup::new("control", GroupLimits::general(), metrics);
    let router = group.wrap(router(gate));
    let limits = Limits {
        max_connections: 64,
        ..Limits::default()
    };
    let path = socket(state_dir);
    serve_unix("control", &path, limits, router, metrics, shutdown)
        .await
        .or_fail(Kind::Failed, "the operators' socket can't be opened")
        .map_err(|failure| {
            failure.next("give a --state-dir that is this server's alone, and that only its user may write to")
        })
}

fn router(gate: Option<Gate>) -> Router {
    Router::new()
        .route(CONNECTIONS, get(connections))
        .route(DISCONNECT, post(disconnect))
        .with_state(gate)
}

fn open(gate: Option<Gate>) -> Result<Gate, KubeStatus> {
    gate.ok_or_else(|| {
        KubeStatus::new(
            StatusReason::NotFound,
            "this server has no gate: gate_listen is not set",
        )
    })
}

async fn connections(State(gate): State<Option<Gate>>) -> Result<Json<Connections>, KubeStatus> {
    let connections = open(gate)?.connections();
    Ok(Json(Connections { connections }))
}

async fn disconnect(
    State(gate): State<Option<Gate>>,
    request: axum::extract::Request,
) -> Result<Json<Disconnected>, KubeStatus> {
    let gate = open(gate)?;
    let body = read_json(request).await?;
    let wanted: Disconnect = serde_json::from_slice(&body)
        .map_err(|error| KubeStatus::bad_request(format!("no target: {error}")))?;
    Ok(Json(gate.disconnect(&wanted.target)))
}
