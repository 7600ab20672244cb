//! Refusals, as clients of a REST API expect them.
//!
//! Shape:  `application/problem+json` with `type`, `title`, `status`, `detail`, and where it helps
//!         `reason`, `errors` and `retry_after_seconds`. An API lists its types with
//!         [`problem_kinds!`](crate::problem_kinds).
//! Errors: the `type` is for programs and never changes its meaning; `detail` is for people. No
//!         member holds anything of a credential or of a body, but for the name of a field.
//! Source: RFC 9457; RFC 6750 for `WWW-Authenticate`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::status::{KubeStatus, StatusReason};

/// The media type of a problem.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";
/// What every type begins with.
const TYPE_PREFIX: &str = "urn:k3s-daas:problem:";

/// What went wrong, out of a closed set.
pub trait ProblemType: Copy + fmt::Debug + Eq + Send + Sync + 'static {
    /// The last part of the type.
    fn label(self) -> &'static str;
    /// The HTTP status.
    fn status(self) -> StatusCode;
    /// The same for all problems of the type.
    fn title(self) -> &'static str;
    /// The header `WWW-Authenticate`, where a credential is at fault.
    fn challenge(self) -> Option<&'static str>;
    /// The type of what the transport refuses.
    fn of(reason: StatusReason) -> Self;
}

/// Lists the types of an API's problems: `Name = "label", STATUS, "title";` each.
///
/// `of` sorts what the transport refuses; `challenge` gives the header `WWW-Authenticate`.
#[macro_export]
macro_rules! problem_kinds {
    (
        $(#[$meta:meta])* $vis:vis enum $kind:ident (of = $of:path, challenge = $challenge:path) {
            $( $(#[doc = $doc:literal])+ $name:ident = $label:literal, $status:ident, $title:literal; )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $vis enum $kind {
            $( $(#[doc = $doc])+ $name, )+
        }

        impl $kind {
            /// All of them.
            $vis const ALL: &'static [Self] = &[ $( Self::$name, )+ ];

            /// The last part of the type.
            $vis const fn label(self) -> &'static str {
                match self { $( Self::$name => $label, )+ }
            }
        }

        impl $crate::ProblemType for $kind {
            fn label(self) -> &'static str {
                Self::label(self)
            }

            fn status(self) -> ::http::StatusCode {
                match self { $( Self::$name => ::http::StatusCode::$status, )+ }
            }

            fn title(self) -> &'static str {
                match self { $( Self::$name => $title, )+ }
            }

            fn challenge(self) -> Option<&'static str> {
                $challenge(self)
            }

            fn of(reason: $crate::StatusReason) -> Self {
                $of(reason)
            }
        }
    };
}

/// A field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body.
    #[cfg_attr(feature = "openapi", schema(example = "/capacity/cpu"))]
    pointer: &'static str,
    /// What it should be, for people.
    detail: Cow<'static, str>,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem<K> {
    kind: K,
    detail: Cow<'static, str>,
    reason: Option<&'static str>,
    errors: Vec<FieldError>,
    retry_after: Option<u32>,
}

/// The body of a refusal.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Problem))]
pub struct ProblemBody {
    /// What went wrong, for programs.
    #[serde(rename = "type")]
    #[cfg_attr(
        feature = "openapi",
        schema(example = "urn:k3s-daas:problem:rate-limited")
    )]
    type_: String,
    /// The same for all problems of the type.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    title: &'static str,
    /// The HTTP status.
    #[cfg_attr(feature = "openapi", schema(example = 429))]
    status: u16,
    /// What went wrong, for people.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    detail: Cow<'static, str>,
    /// Why a seal can't be used (`slashed`, `expired`, ...), or why the chain can't be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    reason: Option<&'static str>,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// After how many seconds another try makes sense; as the header `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u32>,
}

impl<K: ProblemType> Problem<K> {
    /// A refusal of this type.
    pub fn new(kind: K, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            reason: None,
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// A field has a value that can't be.
    pub fn field(pointer: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        let mut problem = Self::new(
            K::of(StatusReason::Invalid),
            format!("{}: {detail}", pointer.trim_start_matches('/')),
        );
        problem.errors.push(FieldError { pointer, detail });
        problem
    }

    /// Names the cause in one word.
    #[must_use]
    pub fn because(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// When another try makes sense: rounded up to whole seconds, never 0.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        let seconds = wait
            .as_secs()
            .saturating_add(u64::from(wait.subsec_nanos() > 0));
        self.retry_after = Some(u32::try_from(seconds.max(1)).unwrap_or(u32::MAX));
        self
    }

    /// Its type.
    pub fn kind(&self) -> K {
        self.kind
    }
}

impl<K: ProblemType> From<KubeStatus> for Problem<K> {
    fn from(status: KubeStatus) -> Self {
        let problem = Self::new(K::of(status.reason()), status.message().to_owned());
        match status.retry_after_seconds() {
            Some(seconds) => problem.retry_after(Duration::from_secs(seconds.into())),
            None => problem,
        }
    }
}

impl<K: ProblemType> IntoResponse for Problem<K> {
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
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(PROBLEM_MEDIA_TYPE),
        );
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = kind.challenge() {
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
    use super::*;

    problem_kinds! {
        /// Two.
        enum Sample (of = of, challenge = challenge) {
            /// One.
            Invalid = "invalid-value", UNPROCESSABLE_ENTITY, "A value is not valid";
            /// Two.
            NoCredential = "no-credential", UNAUTHORIZED, "A seal token is needed";
        }
    }

    fn of(reason: StatusReason) -> Sample {
        match reason {
            StatusReason::Unauthorized => Sample::NoCredential,
            _ => Sample::Invalid,
        }
    }

    fn challenge(kind: Sample) -> Option<&'static str> {
        (kind == Sample::NoCredential).then_some("Bearer")
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
            let problem = Problem::new(Sample::Invalid, "").retry_after(wait);
            assert_eq!(problem.retry_after, Some(seconds), "{wait:?}");
        }
    }

    #[test]
    fn a_credential_at_fault_is_challenged() {
        let problem: Problem<Sample> = KubeStatus::new(StatusReason::Unauthorized, "no").into();
        assert_eq!(problem.kind(), Sample::NoCredential);
        assert_eq!(
            problem.into_response().headers()["www-authenticate"],
            "Bearer"
        );
        assert_eq!(Sample::ALL.len(), 2);
    }

    #[tokio::test]
    async fn is_written_as_the_rfc_has_it() {
        let problem = Problem::<Sample>::field("/capacity/cpu", "must be more than nothing");
        let response = problem.into_response();
        assert_eq!(response.status(), 422);
        assert_eq!(response.headers()["content-type"], PROBLEM_MEDIA_TYPE);
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
