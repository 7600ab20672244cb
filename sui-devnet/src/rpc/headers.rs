//! The headers that tell a client how new an answer is.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue};
use sui_rpc::headers::{
    X_SUI_CHAIN, X_SUI_CHAIN_ID, X_SUI_CHECKPOINT_HEIGHT, X_SUI_EPOCH,
    X_SUI_LOWEST_AVAILABLE_CHECKPOINT, X_SUI_LOWEST_AVAILABLE_CHECKPOINT_OBJECTS, X_SUI_TIMESTAMP,
    X_SUI_TIMESTAMP_MS,
};

use super::{CHAIN, SERVER};
use crate::node::Node;

/// Adds them to an answer, errors and streams included.
pub(super) async fn add(State(node): State<Arc<Node>>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    let ledger = node.read();
    let visible = node.visible(&ledger);
    let timestamp_ms = ledger
        .checkpoint(visible)
        .map_or(0, |checkpoint| checkpoint.summary.timestamp_ms);
    put(headers, X_SUI_CHAIN_ID, &ledger.ids().chain_id);
    put(headers, X_SUI_CHAIN, CHAIN);
    put(headers, X_SUI_EPOCH, "0");
    put(headers, X_SUI_CHECKPOINT_HEIGHT, &visible.to_string());
    put(headers, X_SUI_TIMESTAMP_MS, &timestamp_ms.to_string());
    let timestamp = sui_rpc::proto::timestamp_ms_to_proto(timestamp_ms).to_string();
    put(headers, X_SUI_TIMESTAMP, &timestamp);
    let lowest = ledger.lowest().to_string();
    put(headers, X_SUI_LOWEST_AVAILABLE_CHECKPOINT, &lowest);
    put(headers, X_SUI_LOWEST_AVAILABLE_CHECKPOINT_OBJECTS, &lowest);
    put(headers, "server", SERVER);
    response
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
