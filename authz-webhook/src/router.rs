//! The route, and the four steps of a review.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use seal::access::Attributes;
use webhook_server::{KubeStatus, ReviewJson, StatusReason};

use crate::app::App;
use crate::decide::decide;
use crate::gather::gather;
use crate::namespaces::NamespaceOwners;
use crate::respond::to_response;
use crate::review::{InvalidReview, SubjectAccessReview, SubjectAccessReviewSpec};
use crate::verdict::{Outcome, Verdict};
use sui_ledger::directory::SealDirectory;

/// Answers `POST /authorize`.
///
/// Budget, deadline and body limit of the transport are the caller's: wrap it in a
/// `webhook_server::RouteGroup`.
pub fn router<D, N>(app: Arc<App<D, N>>) -> Router
where
    D: SealDirectory,
    N: NamespaceOwners,
{
    let only_post =
        || async { KubeStatus::new(StatusReason::MethodNotAllowed, "reviews are sent with POST") };
    Router::new()
        .route("/authorize", post(authorize::<D, N>).fallback(only_post))
        .with_state(app)
}

async fn authorize<D, N>(
    State(app): State<Arc<App<D, N>>>,
    ReviewJson(review): ReviewJson<SubjectAccessReview>,
) -> Result<Response, KubeStatus>
where
    D: SealDirectory,
    N: NamespaceOwners,
{
    let verdict = judge(&app, &review.spec)
        .await
        .map_err(|invalid| KubeStatus::bad_request(invalid.to_string()))?;
    Ok(to_response(&verdict))
}

async fn judge<D, N>(
    app: &App<D, N>,
    spec: &SubjectAccessReviewSpec,
) -> Result<Verdict, InvalidReview>
where
    D: SealDirectory,
    N: NamespaceOwners,
{
    let request = spec.attributes()?;
    spec.verify_subject()?;
    let mut timer = app.metrics.start();
    let facts = gather(app, spec, request.namespace()).await;
    let verdict = decide(&app.settings.load(), &facts, &request);
    let elapsed = timer.answered(&verdict);
    if verdict.outcome() == Outcome::Deny {
        log_refusal(&spec.user, &request, &verdict, elapsed);
    }
    Ok(verdict)
}

/// One line a refusal. Names alone: no credential is part of a review.
fn log_refusal(user: &str, request: &Attributes<'_>, verdict: &Verdict, elapsed: Duration) {
    let tier = match verdict {
        Verdict::Tier(tier, _) => Some(tier.label()),
        _ => None,
    };
    let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    let reason = verdict.label();
    match request {
        Attributes::Resource(resource) => tracing::info!(
            user,
            verb = resource.verb,
            group = resource.group,
            resource = resource.resource,
            subresource = resource.subresource,
            namespace = resource.namespace,
            tier,
            outcome = "deny",
            reason,
            elapsed_us,
            "request refused"
        ),
        Attributes::Path { verb, path } => tracing::info!(
            user,
            verb,
            path,
            tier,
            outcome = "deny",
            reason,
            elapsed_us,
            "request refused"
        ),
    }
}
