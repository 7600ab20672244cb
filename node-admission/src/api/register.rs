//! `POST /api/v1/register-worker`: what a machine needs to join, for its operator.
//!
//! What is said of the machine is kept for people to see; nothing is decided by it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use k3s_configs::access::join_token;
use serde::{Deserialize, Serialize};
use sui_ledger::directory::SealDirectory;
use utoipa::ToSchema;
use webhook_server::Secret;
use zeroize::Zeroizing;

use super::body::{Body, Object, parse};
use super::caller::{Caller, own_node};
use super::kubeconfig::kubeconfig;
use super::machine;
use super::problem::{Problem, ProblemBody, ProblemKind};
use super::service::Api;
use super::settings::ApiSettings;
use super::workers::WorkerRegistry;
use crate::sealed_node::Registration;

/// A machine that is to become a worker.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterWorker {
    /// The node that the caller's seal names.
    #[schema(example = "worker-001")]
    node_id: String,
    /// The token of the header once more.
    #[schema(value_type = String, min_length = 64, max_length = 64, pattern = "^[0-9a-f]{64}$", format = Password)]
    seal_token: Secret,
    /// The machine's IPv4 or IPv6 address, outside the cluster's own ranges.
    #[schema(example = "10.0.1.5")]
    ip_address: String,
    /// How much it has.
    #[schema(value_type = Capacity)]
    capacity: Object<Capacity>,
}

/// How much a machine has, as Kubernetes quantities.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Capacity {
    /// Processors.
    #[schema(example = "4")]
    cpu: String,
    /// Bytes.
    #[schema(example = "16Gi")]
    memory: String,
    /// Bytes.
    #[schema(example = "100Gi")]
    storage: String,
}

/// What the machine's agent and its operator need.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Registered {
    /// Always true.
    #[schema(example = true)]
    success: bool,
    /// A kubeconfig for the seal, base64. Secret.
    #[schema(value_type = String, content_encoding = "base64")]
    kubeconfig: Secret,
    /// The cluster's CA bundle (PEM), base64.
    #[schema(content_encoding = "base64")]
    ca_cert: String,
    /// Where the agent finds the cluster: `k3s agent --server`.
    #[schema(example = "https://k3s.example.org:6443")]
    api_server: String,
    /// The agent's token: `k3s agent --token-file`. Secret; it can do nothing but join this node.
    #[schema(value_type = String, example = "K10<sha256 of the CA>::abcdef.0123456789abcdef")]
    join_token: Secret,
}

/// Register a machine as the seal's worker
///
/// Keeps what is said of the machine on its SealedNode, and answers what the stock agent needs to
/// join. May be repeated: the newest counts.
#[utoipa::path(
    post,
    path = "/api/v1/register-worker",
    operation_id = "registerWorker",
    tag = "workers",
    security(("seal" = [])),
    request_body = RegisterWorker,
    responses(
        (status = 200, description = "Registered", body = Registered),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn register_worker<D, W>(
    State(api): State<Arc<Api<D, W>>>,
    caller: Caller,
    Body(request): Body<RegisterWorker>,
) -> Result<Json<Registered>, Problem>
where
    D: SealDirectory,
    W: WorkerRegistry,
{
    if !request.seal_token.is(&caller.token.reveal()) {
        return Err(Problem::new(
            ProblemKind::TokenMismatch,
            "seal_token is not the token of the Authorization header",
        ));
    }
    let name = own_node(&*api.directory, &api.waiting, &caller, &request.node_id).await?;
    let settings = api.settings();
    let registration = registration(&settings.cluster_ranges, &request, api.directory.now().0)?;
    let answer = registered(&settings, &caller)?;
    api.workers
        .register(&name, caller.hash, &caller.record, registration)
        .await?;
    Ok(Json(answer))
}

/// What the API would keep of this body, whoever sent it; none where it is refused.
#[must_use]
pub fn read_registration(
    body: &[u8],
    cluster_ranges: &[IpNet],
    now_ms: u64,
) -> Option<Registration> {
    let request = parse(body).ok()?;
    registration(cluster_ranges, &request, now_ms).ok()
}

/// What is kept of a request.
fn registration(
    cluster_ranges: &[IpNet],
    request: &RegisterWorker,
    at_ms: u64,
) -> Result<Registration, Problem> {
    let address = machine::address(&request.ip_address, cluster_ranges)
        .map_err(|error| Problem::field("/ip_address", error.to_string()))?;
    let capacity = &request.capacity.0;
    for (pointer, text) in [
        ("/capacity/cpu", &capacity.cpu),
        ("/capacity/memory", &capacity.memory),
        ("/capacity/storage", &capacity.storage),
    ] {
        machine::capacity(text).map_err(|error| Problem::field(pointer, error.to_string()))?;
    }
    Ok(Registration {
        ip_address: address.to_string(),
        cpu: capacity.cpu.clone(),
        memory: capacity.memory.clone(),
        storage: capacity.storage.clone(),
        at_ms,
    })
}

fn registered(settings: &ApiSettings, caller: &Caller) -> Result<Registered, Problem> {
    let kubeconfig = kubeconfig(settings, caller)?;
    Ok(Registered {
        success: true,
        kubeconfig: Zeroizing::new(STANDARD.encode(kubeconfig.as_bytes())).into(),
        ca_cert: STANDARD.encode(settings.ca_pem()),
        api_server: settings.access().url.clone(),
        join_token: join_token(settings.ca_hash(), &caller.token.join_credential()).into(),
    })
}
