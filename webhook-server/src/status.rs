//! Refusals of the transport, in the form that Kubernetes clients understand.
//!
//! Shape:  `Status`, version `v1` (k8s.io/apimachinery `pkg/apis/meta/v1`), as JSON.
//! Errors: a `Status` speaks of the request only (too large, not JSON, too many);
//!         a verdict travels in the body of a 200.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

/// Why a request was refused, in the words of `metav1.StatusReason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatusReason {
    /// 400
    BadRequest,
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 409
    Conflict,
    /// 413
    RequestEntityTooLarge,
    /// 415
    UnsupportedMediaType,
    /// 422
    Invalid,
    /// 429
    TooManyRequests,
    /// 500
    InternalError,
    /// 503
    ServiceUnavailable,
    /// 504
    Timeout,
}

impl StatusReason {
    /// The word that stands in `reason`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadRequest => "BadRequest",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::Conflict => "Conflict",
            Self::RequestEntityTooLarge => "RequestEntityTooLarge",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::Invalid => "Invalid",
            Self::TooManyRequests => "TooManyRequests",
            Self::InternalError => "InternalError",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::Timeout => "Timeout",
        }
    }

    /// The HTTP status that goes with it.
    #[must_use]
    pub const fn code(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::RequestEntityTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// A refusal with its message. The message never holds anything of the request's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeStatus {
    reason: StatusReason,
    message: Cow<'static, str>,
    retry_after_seconds: Option<u32>,
}

impl KubeStatus {
    /// A refusal for this reason.
    pub fn new(reason: StatusReason, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason,
            message: message.into(),
            retry_after_seconds: None,
        }
    }

    /// 400: the request is wrong and stays wrong.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusReason::BadRequest, message)
    }

    /// 413: the body is larger than this many bytes.
    #[must_use]
    pub fn too_large(max_body: usize) -> Self {
        Self::new(
            StatusReason::RequestEntityTooLarge,
            format!("the body is larger than {max_body} bytes"),
        )
    }

    /// 429, with the time after which another try makes sense.
    pub fn too_many_requests(
        message: impl Into<Cow<'static, str>>,
        retry_after_seconds: u32,
    ) -> Self {
        Self {
            retry_after_seconds: Some(retry_after_seconds),
            ..Self::new(StatusReason::TooManyRequests, message)
        }
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> StatusReason {
        self.reason
    }

    /// After how many seconds another try makes sense, where that is known.
    #[must_use]
    pub const fn retry_after_seconds(&self) -> Option<u32> {
        self.retry_after_seconds
    }

    /// The message, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: Empty,
    status: &'static str,
    message: &'a str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
    code: u16,
}

#[derive(serde::Serialize)]
struct Empty {}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    retry_after_seconds: u32,
}

impl IntoResponse for KubeStatus {
    fn into_response(self) -> Response {
        let code = self.reason.code();
        let wire = Wire {
            kind: "Status",
            api_version: "v1",
            metadata: Empty {},
            status: "Failure",
            message: &self.message,
            reason: self.reason.label(),
            details: self.retry_after_seconds.map(|retry_after_seconds| Details {
                retry_after_seconds,
            }),
            code: code.as_u16(),
        };
        let mut response = (code, axum::Json(wire)).into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn rendered(status: KubeStatus) -> (StatusCode, Option<String>, serde_json::Value) {
        let response = status.into_response();
        let code = response.status();
        let retry = response
            .headers()
            .get(header::RETRY_AFTER)
            .map(|value| value.to_str().unwrap().to_owned());
        let body = axum::body::to_bytes(response.into_body(), 4096)
            .await
            .unwrap();
        (code, retry, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn renders_a_kubernetes_status() {
        let (code, retry, body) = rendered(KubeStatus::bad_request("no")).await;
        assert_eq!(code, 400);
        assert_eq!(retry, None);
        assert_eq!(
            body,
            serde_json::json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "no", "reason": "BadRequest", "code": 400,
            })
        );
    }

    #[tokio::test]
    async fn too_many_requests_says_when_to_come_again() {
        let (code, retry, body) = rendered(KubeStatus::too_many_requests("later", 3)).await;
        assert_eq!(code, 429);
        assert_eq!(retry.as_deref(), Some("3"));
        assert_eq!(body["details"]["retryAfterSeconds"], 3);
        assert_eq!(body["reason"], "TooManyRequests");
    }
}
