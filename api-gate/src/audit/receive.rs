//! `POST /audit`.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::post;
use futures::TryStreamExt;
use http::StatusCode;
use tokio_util::io::{StreamReader, SyncIoBridge};
use webhook_server::KubeStatus;

use super::list::read_events;
use crate::gate::Gate;

/// Where the API server sends its events.
const PATH: &str = "/audit";

/// The routes.
pub(crate) fn router(gate: Gate) -> Router {
    Router::new().route(PATH, post(receive)).with_state(gate)
}

async fn receive(State(gate): State<Gate>, body: Body) -> Result<StatusCode, KubeStatus> {
    let body = body.into_data_stream().map_err(std::io::Error::other);
    let body = SyncIoBridge::new(StreamReader::new(body));
    // Parsing waits for the body, so it has a thread of its own meanwhile; the route's budget
    // bounds their number.
    let read = tokio::task::spawn_blocking(move || read_events(body, |event| gate.hear(event)));
    match read.await {
        Ok(Ok(count)) => {
            tracing::trace!(count, "audit events");
            Ok(StatusCode::OK)
        }
        Ok(Err(error)) => {
            let why = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(why, "a batch of audit events can't be read");
            Err(KubeStatus::bad_request("this is no list of audit events"))
        }
        Err(_panicked) => Err(KubeStatus::new(
            webhook_server::StatusReason::InternalError,
            "internal error",
        )),
    }
}
