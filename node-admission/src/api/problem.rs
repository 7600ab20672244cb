//! Refusals, as clients of a REST API expect them.
//!
//! Shape:  `application/problem+json` with `type`, `title`, `status`, `detail`, and where it helps
//!         `reason`, `errors` and `retry_after_seconds`.
//! Errors: the `type` is for programs and never changes its meaning; `detail` is for people. No
//!         member holds anything of a credential or of a body, but for the name of a field.
//! Source: RFC 9457; RFC 6750 for `WWW-Authenticate`.

use std::borrow::Cow;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use webhook_server::{KubeStatus, StatusReason};

/// The media type.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";
/// What every type begins with.
const TYPE_PREFIX: &str = "urn:k3s-daas:problem:";

macro_rules! problem_kinds {
    ($( $(#[doc = $doc:literal])+ $name:ident = $label:literal, $status:ident, $title:literal; )+) => {
        /// What went wrong. A closed set: the `type` of a problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(super) enum ProblemKind {
            $( $(#[doc = $doc])+ $name, )+
        }

        impl ProblemKind {
            /// All of them.
            pub(super) const ALL: &'static [Self] = &[ $( Self::$name, )+ ];

            /// The last part of the type.
            pub(super) const fn label(self) -> &'static str {
                match self { $( Self::$name => $label, )+ }
            }

            /// The HTTP status.
            pub(super) const fn status(self) -> StatusCode {
                match self { $( Self::$name => StatusCode::$status, )+ }
            }

            /// The same for all problems of the type.
            pub(super) const fn title(self) -> &'static str {
                match self { $( Self::$name => $title, )+ }
            }
        }
    };
}

problem_kinds! {
    /// The body is no JSON object of the right fields.
    MalformedBody = "malformed-body", BAD_REQUEST, "The body can't be read";
    /// A parameter of the query is unknown or out of bounds.
    MalformedQuery = "malformed-query", BAD_REQUEST, "The query can't be read";
    /// No usable `Authorization: Bearer` header.
    NoCredential = "no-credential", UNAUTHORIZED, "A seal token is needed";
    /// The chain knows nothing of the token.
    UnknownSeal = "unknown-seal", UNAUTHORIZED, "The seal is unknown";
    /// The chain knows the seal, and it can't be used; `reason` says why.
    UnusableSeal = "unusable-seal", UNAUTHORIZED, "The seal can't be used";
    /// The token in the body is not the one in the header.
    TokenMismatch = "token-mismatch", FORBIDDEN, "The tokens differ";
    /// The seal names another node, or none.
    OtherNode = "other-node", FORBIDDEN, "The node is not the seal's";
    /// Another seal holds the node's name on chain.
    NameNotHeld = "name-not-held", FORBIDDEN, "The seal does not hold the node's name";
    /// The name is the control plane's.
    NameReserved = "name-reserved", FORBIDDEN, "The name is reserved";
    /// There is nothing at this path.
    NotFound = "not-found", NOT_FOUND, "There is nothing here";
    /// The node was neither registered nor has it joined.
    NotRegistered = "not-registered", NOT_FOUND, "The node is not registered";
    /// The path answers other methods.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "The method is not answered here";
    /// A node of this name is there that did not join with a seal of this owner.
    NameTaken = "name-taken", CONFLICT, "The name is taken";
    /// The body is larger than any good one.
    BodyTooLarge = "body-too-large", PAYLOAD_TOO_LARGE, "The body is too large";
    /// The body does not say that it is plain JSON.
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The body must be JSON";
    /// A field has the right form and a value that can't be; `errors` says which.
    InvalidValue = "invalid-value", UNPROCESSABLE_ENTITY, "A value is not valid";
    /// The seal has used up its requests.
    RateLimited = "rate-limited", TOO_MANY_REQUESTS, "Too many requests with this seal";
    /// The server has too much to do.
    Busy = "busy", TOO_MANY_REQUESTS, "Too many requests in flight";
    /// Our fault.
    Internal = "internal", INTERNAL_SERVER_ERROR, "Internal error";
    /// The chain's view is not to be had; `reason` says why. Not a no.
    ChainUnavailable = "chain-unavailable", SERVICE_UNAVAILABLE, "The chain can't be asked now";
    /// The API server does not answer.
    ClusterUnavailable = "cluster-unavailable", SERVICE_UNAVAILABLE, "The cluster can't be asked now";
    /// The deadline of the request passed.
    TimedOut = "timed-out", GATEWAY_TIMEOUT, "The request took too long";
}

/// A field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct FieldError {
    /// JSON pointer (RFC 6901) into the body.
    #[schema(example = "/capacity/cpu")]
    pointer: &'static str,
    /// What it should be, for people.
    detail: Cow<'static, str>,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    kind: ProblemKind,
    detail: Cow<'static, str>,
    reason: Option<&'static str>,
    errors: Vec<FieldError>,
    retry_after: Option<u32>,
}

/// The body of a refusal.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody {
    /// What went wrong, for programs.
    #[serde(rename = "type")]
    #[schema(example = "urn:k3s-daas:problem:rate-limited")]
    type_: String,
    /// The same for all problems of the type.
    #[schema(value_type = String)]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 429)]
    status: u16,
    /// What went wrong, for people.
    #[schema(value_type = String)]
    detail: Cow<'static, str>,
    /// Why a seal can't be used (`slashed`, `expired`, ...), or why the chain can't be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reason: Option<&'static str>,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// After how many seconds another try makes sense; as the header `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u32>,
}

impl Problem {
    pub(super) fn new(kind: ProblemKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            reason: None,
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// A field has a value that can't be.
    pub(super) fn field(pointer: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        let mut problem = Self::new(
            ProblemKind::InvalidValue,
            format!("{}: {detail}", pointer.trim_start_matches('/')),
        );
        problem.errors.push(FieldError { pointer, detail });
        problem
    }

    #[must_use]
    pub(super) fn because(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// When another try makes sense: rounded up to whole seconds, never 0.
    #[must_use]
    pub(super) fn retry_after(mut self, wait: Duration) -> Self {
        let seconds = wait
            .as_secs()
            .saturating_add(u64::from(wait.subsec_nanos() > 0));
        self.retry_after = Some(u32::try_from(seconds.max(1)).unwrap_or(u32::MAX));
        self
    }

    #[cfg(test)]
    pub(super) const fn kind(&self) -> ProblemKind {
        self.kind
    }
}

impl From<KubeStatus> for Problem {
    fn from(status: KubeStatus) -> Self {
        let kind = match status.reason() {
            StatusReason::BadRequest | StatusReason::Conflict | StatusReason::Invalid => {
                ProblemKind::MalformedBody
            }
            StatusReason::Unauthorized | StatusReason::Forbidden => ProblemKind::NoCredential,
            StatusReason::NotFound => ProblemKind::NotFound,
            StatusReason::MethodNotAllowed => ProblemKind::MethodNotAllowed,
            StatusReason::RequestEntityTooLarge => ProblemKind::BodyTooLarge,
            StatusReason::UnsupportedMediaType => ProblemKind::UnsupportedMediaType,
            StatusReason::TooManyRequests => ProblemKind::Busy,
            StatusReason::InternalError => ProblemKind::Internal,
            StatusReason::ServiceUnavailable => ProblemKind::ClusterUnavailable,
            StatusReason::Timeout => ProblemKind::TimedOut,
        };
        let problem = Self::new(kind, status.message().to_owned());
        match status.retry_after_seconds() {
            Some(seconds) => problem.retry_after(Duration::from_secs(seconds.into())),
            None => problem,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self {
            kind,
            detail,
            reason,
            errors,
            retry_after,
        } = self;
        let body = ProblemBody {
            type_: format!("{TYPE_PREFIX}{}", kind.label()),
            title: kind.title(),
            status: kind.status().as_u16(),
            detail,
            reason,
            errors,
            retry_after_seconds: retry_after,
        };
        let mut response = (kind.status(), axum::Json(body)).into_response();
        // For the count and the log.
        response.extensions_mut().insert(kind);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        let challenge = match kind {
            ProblemKind::NoCredential => Some("Bearer realm=\"k3s-daas\""),
            ProblemKind::UnknownSeal | ProblemKind::UnusableSeal => {
                Some("Bearer realm=\"k3s-daas\", error=\"invalid_token\"")
            }
            _ => None,
        };
        if let Some(challenge) = challenge {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_problem_has_a_type_of_its_own_and_refuses() {
        let labels: HashSet<_> = ProblemKind::ALL.iter().map(|kind| kind.label()).collect();
        assert_eq!(labels.len(), ProblemKind::ALL.len());
        for kind in ProblemKind::ALL {
            assert!(kind.status().is_client_error() || kind.status().is_server_error());
            assert!(!kind.title().is_empty());
        }
    }

    #[test]
    fn waits_are_rounded_up_and_never_nothing() {
        for (wait, seconds) in [
            (Duration::ZERO, 1),
            (Duration::from_millis(1), 1),
            (Duration::from_secs(1), 1),
            (Duration::from_millis(1_001), 2),
            (Duration::MAX, u32::MAX),
        ] {
            let problem = Problem::new(ProblemKind::RateLimited, "").retry_after(wait);
            assert_eq!(problem.retry_after, Some(seconds), "{wait:?}");
        }
    }

    #[tokio::test]
    async fn is_written_as_the_rfc_has_it() {
        let problem = Problem::field("/capacity/cpu", "must be more than nothing");
        let response = problem.into_response();
        assert_eq!(response.status(), 422);
        assert_eq!(response.headers()["content-type"], MEDIA_TYPE);
        let body = axum::body::to_bytes(response.into_body(), 4096)
            .await
            .unwrap();
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&body).unwrap(),
            serde_json::json!({
                "type": "urn:k3s-daas:problem:invalid-value",
                "title": "A value is not valid",
                "status": 422,
                "detail": "capacity/cpu: must be more than nothing",
                "errors": [{ "pointer": "/capacity/cpu", "detail": "must be more than nothing" }],
            })
        );
    }
}
