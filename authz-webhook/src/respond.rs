//! The verdict as Kubernetes reads it.
//!
//! Shape: a `SubjectAccessReview` with its status alone; the API server reads nothing else.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde::Serialize;
use webhook_server::{KubeStatus, StatusReason};

use crate::verdict::{Outcome, Verdict};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    api_version: &'static str,
    kind: &'static str,
    status: Status<'a>,
}

/// authorization.k8s.io/v1, `SubjectAccessReviewStatus`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    allowed: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    denied: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    evaluation_error: Cow<'a, str>,
}

/// Maps the verdict to the body of a 200.
pub(crate) fn to_response(verdict: &Verdict) -> Response {
    let outcome = verdict.outcome();
    let (reason, evaluation_error) = texts(verdict);
    let wire = Wire {
        api_version: "authorization.k8s.io/v1",
        kind: "SubjectAccessReview",
        status: Status {
            allowed: outcome == Outcome::Allow,
            denied: outcome == Outcome::Deny,
            reason,
            evaluation_error,
        },
    };
    let Ok(body) = serde_json::to_vec(&wire) else {
        // Texts and flags alone: can't happen, and is no yes if it does.
        return KubeStatus::new(StatusReason::InternalError, "the answer can't be written")
            .into_response();
    };
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], body).into_response()
}

/// The reason, which people see behind `kubectl`'s "Forbidden", and the evaluation error.
fn texts(verdict: &Verdict) -> (Cow<'static, str>, Cow<'static, str>) {
    let none = Cow::Borrowed("");
    match verdict {
        Verdict::Tier(tier, decision) => {
            let reason = if decision.is_allow() {
                Cow::Borrowed(decision.text())
            } else {
                Cow::Owned(format!("tier {tier}: {decision}"))
            };
            (reason, none)
        }
        Verdict::Refuse(refusal) => (Cow::Owned(refusal.to_string()), none),
        Verdict::Pass(_) => (none.clone(), none),
        Verdict::UndecidedDeny(cause) => {
            let cause = cause.to_string();
            (
                Cow::Owned(format!("can't tell whether the seal is usable: {cause}")),
                Cow::Owned(cause),
            )
        }
        Verdict::UndecidedPass(cause) => (none, Cow::Owned(cause.to_string())),
    }
}
