//! `GET /kubectl/config`: a kubeconfig for the caller's seal.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use k3s_configs::access::Credential;
use seal::identity;
use seal::{SealToken, Tier};
use sui_ledger::directory::SealDirectory;
use zeroize::Zeroizing;

use super::caller::Caller;
use super::problem::{Problem, ProblemBody, ProblemKind};
use super::service::Api;
use super::settings::ApiSettings;
use super::workers::WorkerRegistry;

/// The media type of a kubeconfig.
const YAML: &str = "application/yaml";

/// A kubeconfig for the caller's seal
///
/// It holds the token that was presented. Keep it as the token itself.
#[utoipa::path(
    get,
    path = "/kubectl/config",
    operation_id = "kubectlConfig",
    tag = "access",
    security(("seal" = [])),
    responses(
        (status = 200, description = "The kubeconfig", body = String, content_type = "application/yaml"),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn kubectl_config<D, W>(
    State(api): State<Arc<Api<D, W>>>,
    caller: Caller,
) -> Result<Response, Problem>
where
    D: SealDirectory,
    W: WorkerRegistry,
{
    let text = kubeconfig(&api.settings(), &caller)?;
    Ok(([(header::CONTENT_TYPE, YAML)], text.to_string()).into_response())
}

/// The text of a kubeconfig. Secret.
pub(super) fn kubeconfig(
    settings: &ApiSettings,
    caller: &Caller,
) -> Result<Zeroizing<String>, Problem> {
    let token: &SealToken = &caller.token;
    settings
        .access()
        .kubeconfig(&Credential::Token(token), &namespace(caller))
        .map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "a kubeconfig");
            Problem::new(ProblemKind::Internal, "the kubeconfig can't be made")
        })
}

/// Where kubectl works when no namespace is named: viewers have none of their own.
fn namespace(caller: &Caller) -> String {
    if caller.tier >= Tier::Developer {
        identity::home_namespace(&caller.owner())
    } else {
        "default".to_owned()
    }
}
