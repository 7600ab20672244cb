//! `POST /admit`.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;
use webhook_server::{KubeStatus, ReviewJson, StatusReason};

use super::{AdmissionReview, Admit, Refusal};

/// Where reviews are answered.
pub const PATH: &str = "/admit";
/// What a review's body may be long: an object is at most 3 MiB on its way into the API server (1.5
/// MiB in etcd), and a review holds it twice.
pub const MAX_BODY: usize = 8 * 1024 * 1024;

/// Answers `POST /admit`.
///
/// Budget, deadline and body limit ([`MAX_BODY`]) are the caller's: wrap it in a
/// `webhook_server::RouteGroup`.
pub fn router(admit: Arc<Admit>) -> Router {
    let only_post =
        || async { KubeStatus::new(StatusReason::MethodNotAllowed, "reviews are sent with POST") };
    Router::new()
        .route(PATH, post(answer).fallback(only_post))
        .with_state(admit)
}

async fn answer(
    State(admit): State<Arc<Admit>>,
    ReviewJson(review): ReviewJson<AdmissionReview>,
) -> Result<Json<Answer>, KubeStatus> {
    let began = Instant::now();
    let request = review.request;
    if !request.is_answerable() {
        return Err(KubeStatus::bad_request(
            "the review's uid is missing or too long",
        ));
    }
    let verdict = admit.judge(began, &request);
    let elapsed = began.elapsed();
    admit.metrics.reviewed(&verdict, elapsed);
    if let Err(refusal) = &verdict {
        let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let reason = refusal.label();
        tracing::info!(reason, %refusal, elapsed_us, "a Node refused");
    }
    Ok(Json(Answer::new(request.uid, verdict)))
}

/// The answer's shape.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    api_version: &'static str,
    kind: &'static str,
    response: Response,
}

#[derive(Debug, Serialize)]
struct Response {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

#[derive(Debug, Serialize)]
struct Status {
    code: u16,
    reason: &'static str,
    message: String,
}

impl Answer {
    fn new(uid: String, verdict: Result<(), Refusal>) -> Self {
        let status = verdict.err().map(|refusal| Status {
            code: 403,
            reason: "Forbidden",
            message: refusal.to_string(),
        });
        Self {
            api_version: "admission.k8s.io/v1",
            kind: "AdmissionReview",
            response: Response {
                uid,
                allowed: status.is_none(),
                status,
            },
        }
    }
}

#[cfg(test)]
mod tests;
