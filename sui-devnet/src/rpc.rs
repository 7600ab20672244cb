//! `sui.rpc.v2` over gRPC.
//!
//! Errors: codes, texts and details are those of the recorded 1.57 node. A method that is not
//!         here is UNIMPLEMENTED; a service that is not here is a plain HTTP 404.

mod execution;
mod headers;
mod ids;
mod json;
mod ledger;
mod masks;
mod pages;
mod render;
mod state;
mod status;
mod subscription;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use sui_rpc::proto::sui::rpc::v2::ledger_service_server::LedgerServiceServer;
use sui_rpc::proto::sui::rpc::v2::state_service_server::StateServiceServer;
use sui_rpc::proto::sui::rpc::v2::subscription_service_server::SubscriptionServiceServer;
use sui_rpc::proto::sui::rpc::v2::transaction_execution_service_server::TransactionExecutionServiceServer;
use tonic::Status;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::{Service, ServiceExt};

use crate::node::{Node, WriterHandle};

/// What the node calls itself.
pub(crate) const SERVER: &str = concat!("sui-devnet/", env!("CARGO_PKG_VERSION"));
/// What the node calls the chain.
pub(crate) const CHAIN: &str = "unknown";

/// What all services share.
#[derive(Debug, Clone)]
pub(crate) struct Rpc {
    pub(crate) node: Arc<Node>,
    pub(crate) writer: WriterHandle,
    pub(crate) finality_timeout: Duration,
}

impl Rpc {
    /// What the fault switches do to a unary read before it is answered.
    async fn before_read(&self) -> Result<(), Status> {
        let delay = self.node.switches.read_delay();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if self.node.switches.reads_fail() {
            return Err(Status::unavailable("reads are made to fail"));
        }
        Ok(())
    }
}

/// All services, with the node's headers on every answer.
pub(crate) fn routes(rpc: &Rpc) -> Routes {
    let router = Router::new();
    let router = add(router, LedgerServiceServer::new(rpc.clone()));
    let router = add(router, StateServiceServer::new(rpc.clone()));
    let router = add(router, TransactionExecutionServiceServer::new(rpc.clone()));
    let router = add(router, SubscriptionServiceServer::new(rpc.clone()));
    let node = Arc::clone(&rpc.node);
    Routes::from(router.layer(axum::middleware::map_response_with_state(
        node,
        headers::add,
    )))
}

/// As tonic does it, but without tonic's answer to unknown services: the node has a plain 404.
fn add<S>(router: Router, service: S) -> Router
where
    S: Service<http::Request<tonic::body::Body>, Error = std::convert::Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Response: axum::response::IntoResponse,
    S::Future: Send + 'static,
{
    router.route_service(
        &format!("/{}/{{*rest}}", S::NAME),
        service.map_request(|request: http::Request<axum::body::Body>| {
            request.map(tonic::body::Body::new)
        }),
    )
}
