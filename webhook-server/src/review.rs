//! Review bodies: checked before a handler sees them.
//!
//! Shape:  one JSON object with `apiVersion` and `kind`; unknown fields are
//!         ignored, missing optional ones accepted, since Kubernetes versions differ.
//! Errors: 415 for other media types, 413 over the limit, 400 for everything that
//!         is no such review. No message repeats anything of the body but a short
//!         `apiVersion` or `kind`, since bodies carry credentials.
//! Source: Kubernetes API conventions, "Kinds"; webhook calls are POST with
//!         `content-type: application/json`.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroize;

use crate::body;
use crate::status::{KubeStatus, StatusReason};

/// The longest foreign `apiVersion` or `kind` that a message repeats.
const MAX_REPEATED: usize = 64;

/// The two fields that say what an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeMeta<'a> {
    /// `group/version`.
    pub api_version: &'a str,
    /// The kind.
    pub kind: &'a str,
}

/// A review that a webhook answers.
pub trait Review: DeserializeOwned {
    /// The API group, for instance `authentication.k8s.io`.
    const GROUP: &'static str;
    /// The version, for instance `v1`.
    const VERSION: &'static str;
    /// The kind, for instance `TokenReview`.
    const KIND: &'static str;
    /// What the operator sets so that the API server sends this version.
    const VERSION_HINT: &'static str;

    /// What the object says it is. Read with the rest of it, so that a good review
    /// is parsed once only.
    fn type_meta(&self) -> TypeMeta<'_>;
}

/// Extracts a review, or answers with a [`KubeStatus`].
///
/// The body's bytes are zeroised after parsing where nothing else holds them.
#[derive(Debug, Clone, Copy)]
pub struct ReviewJson<T>(pub T);

impl<T, S> FromRequest<S> for ReviewJson<T>
where
    T: Review,
    S: Send + Sync,
{
    type Rejection = KubeStatus;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Self::Rejection> {
        let bytes = read_json(request).await?;
        let review = parse_review(&bytes);
        wipe(bytes);
        review.map(Self)
    }
}

/// Reads a body that says it is JSON; whether it is, is for the caller to see. The caller
/// [`wipe`]s it once it is read.
pub async fn read_json(request: Request) -> Result<Bytes, KubeStatus> {
    validate_headers(request.headers())?;
    body::read(request.into_body()).await
}

/// Parses a review of exactly this group, version and kind.
pub fn parse_review<T: Review>(body: &[u8]) -> Result<T, KubeStatus> {
    // Serde would take an array for a struct too, field by field.
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(&b'{') {
        return Err(KubeStatus::bad_request("the body is not a JSON object"));
    }
    match serde_json::from_slice::<T>(body) {
        Ok(review) => {
            verify_type::<T>(review.type_meta())?;
            Ok(review)
        }
        Err(error) => Err(explain::<T>(body, &error)),
    }
}

fn validate_headers(headers: &HeaderMap) -> Result<(), KubeStatus> {
    let unsupported = |message| Err(KubeStatus::new(StatusReason::UnsupportedMediaType, message));
    let json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"));
    if !json {
        return unsupported("the content type must be application/json");
    }
    let plain = headers
        .get(header::CONTENT_ENCODING)
        .is_none_or(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if !plain {
        return unsupported("compressed bodies are not accepted");
    }
    Ok(())
}

fn verify_type<T: Review>(found: TypeMeta<'_>) -> Result<(), KubeStatus> {
    let (group, version, kind) = (T::GROUP, T::VERSION, T::KIND);
    if found.kind != kind {
        return Err(KubeStatus::bad_request(format!(
            "expected kind {kind}, found {}",
            repeatable(found.kind)
        )));
    }
    match found.api_version.split_once('/') {
        Some((found_group, found_version)) if found_group == group => {
            if found_version == version {
                Ok(())
            } else {
                Err(KubeStatus::bad_request(format!(
                    "{kind} is answered in version {version} only, found {}: {}",
                    repeatable(found_version),
                    T::VERSION_HINT
                )))
            }
        }
        _ => Err(KubeStatus::bad_request(format!(
            "expected apiVersion {group}/{version}, found {}",
            repeatable(found.api_version)
        ))),
    }
}

/// Says what is wrong with a body that is no `T`: another kind has other fields,
/// and then its kind is the better explanation.
fn explain<T: Review>(body: &[u8], error: &serde_json::Error) -> KubeStatus {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Envelope {
        api_version: String,
        kind: String,
    }
    let envelope = serde_json::from_slice::<Envelope>(body).ok();
    let of_another_type = envelope.and_then(|envelope| {
        verify_type::<T>(TypeMeta {
            api_version: &envelope.api_version,
            kind: &envelope.kind,
        })
        .err()
    });
    of_another_type.unwrap_or_else(|| {
        // The error's own text may quote the body, a token for instance.
        let what = match error.classify() {
            serde_json::error::Category::Data => "a field is missing or has the wrong type",
            _ => "the body is not JSON",
        };
        KubeStatus::bad_request(format!(
            "{what} (line {}, column {}): expected a {} of {}/{}",
            error.line(),
            error.column(),
            T::KIND,
            T::GROUP,
            T::VERSION
        ))
    })
}

fn repeatable(text: &str) -> &str {
    let fits = !text.is_empty()
        && text.len() <= MAX_REPEATED
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/' | b'-'));
    if fits { text } else { "another one" }
}

/// Overwrites the body where this is its only holder. HTTP/1 bodies may share the
/// connection's read buffer, which the next request overwrites.
pub fn wipe(bytes: Bytes) {
    if let Ok(mut owned) = bytes.try_into_mut() {
        owned.as_mut().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::post;
    use proptest::prelude::*;
    use tower::ServiceExt;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Sample {
        api_version: String,
        kind: String,
        spec: Spec,
    }

    #[derive(Debug, Deserialize)]
    struct Spec {
        token: String,
    }

    impl Review for Sample {
        const GROUP: &'static str = "sample.k8s.io";
        const VERSION: &'static str = "v1";
        const KIND: &'static str = "SampleReview";
        const VERSION_HINT: &'static str = "set --sample-version=v1";

        fn type_meta(&self) -> TypeMeta<'_> {
            TypeMeta {
                api_version: &self.api_version,
                kind: &self.kind,
            }
        }
    }

    const GOOD: &str = r#"{"kind":"SampleReview","apiVersion":"sample.k8s.io/v1","metadata":{"creationTimestamp":null},"spec":{"token":"secret"},"status":{}}"#;

    #[test]
    fn takes_a_review_with_unknown_fields() {
        let review: Sample = parse_review(GOOD.as_bytes()).unwrap();
        assert_eq!(review.spec.token, "secret");
    }

    #[test]
    fn refuses_what_is_no_such_review_and_says_why() {
        for (body, why) in [
            (String::new(), "not a JSON object"),
            ("{".to_owned(), "not JSON"),
            ("null".to_owned(), "not a JSON object"),
            ("[]".to_owned(), "not a JSON object"),
            ("{}".to_owned(), "missing"),
            (format!("{GOOD}{GOOD}"), "not JSON"),
            (format!("{GOOD} x"), "not JSON"),
            ("[".repeat(100_000), "not a JSON object"),
            (
                format!("{{\"metadata\":{}", "[".repeat(100_000)),
                "not JSON",
            ),
            (
                r#"["sample.k8s.io/v1","SampleReview",{"token":"a"}]"#.to_owned(),
                "not a JSON object",
            ),
            (
                GOOD.replace("SampleReview", "OtherReview"),
                "expected kind SampleReview, found OtherReview",
            ),
            (
                GOOD.replace("SampleReview", "sampleReview"),
                "expected kind SampleReview",
            ),
            (GOOD.replace("SampleReview", ""), "found another one"),
            (
                GOOD.replace("SampleReview", "x\\n\\u0000y"),
                "found another one",
            ),
            (
                GOOD.replace("SampleReview", &"x".repeat(65)),
                "found another one",
            ),
            (
                GOOD.replace("/v1", "/v1beta1"),
                "found v1beta1: set --sample-version=v1",
            ),
            (
                GOOD.replace("sample.k8s.io/v1", "v1"),
                "expected apiVersion sample.k8s.io/v1, found v1",
            ),
            (
                GOOD.replace("sample.", "other."),
                "expected apiVersion sample.k8s.io/v1",
            ),
            (
                GOOD.replace(r#""token":"secret""#, r#""token":"secret","token":"b""#),
                "wrong type",
            ),
            (
                GOOD.replace(r#"{"token":"secret"}"#, r#""secret""#),
                "wrong type",
            ),
            (GOOD.replace(r#""secret""#, "7"), "wrong type"),
            (
                r#"{"kind":"List","apiVersion":"v1","items":[]}"#.to_owned(),
                "expected kind",
            ),
        ] {
            let refusal = parse_review::<Sample>(body.as_bytes()).unwrap_err();
            assert_eq!(refusal.reason(), StatusReason::BadRequest);
            assert!(
                refusal.message().contains(why),
                "{why}: {}",
                refusal.message()
            );
            assert!(
                !refusal.message().contains("secret"),
                "{}",
                refusal.message()
            );
        }
    }

    #[test]
    fn refuses_text_that_is_not_utf8() {
        let mut body = GOOD.as_bytes().to_vec();
        let at = GOOD.find("secret").unwrap();
        body[at] = 0xff;
        assert!(parse_review::<Sample>(&body).is_err());
    }

    async fn code(headers: &[(&str, &str)], body: &'static str) -> u16 {
        let app = Router::new().route("/", post(|_: ReviewJson<Sample>| async {}));
        let mut request = http::Request::post("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).unwrap();
        app.oneshot(request).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn checks_the_content_type_and_encoding() {
        let json = ("content-type", "application/json");
        assert_eq!(code(&[json], GOOD).await, 200);
        assert_eq!(
            code(&[("content-type", "Application/JSON; charset=utf-8")], GOOD).await,
            200
        );
        assert_eq!(
            code(&[json, ("content-encoding", "identity")], GOOD).await,
            200
        );
        assert_eq!(code(&[], GOOD).await, 415);
        assert_eq!(code(&[("content-type", "text/plain")], GOOD).await, 415);
        assert_eq!(
            code(&[("content-type", "application/jsonx")], GOOD).await,
            415
        );
        assert_eq!(
            code(
                &[("content-type", "application/vnd.kubernetes.protobuf")],
                GOOD
            )
            .await,
            415
        );
        assert_eq!(code(&[json, ("content-encoding", "gzip")], GOOD).await, 415);
        assert_eq!(code(&[json], "{").await, 400);
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_review::<Sample>(&body);
        }

        #[test]
        fn no_message_repeats_a_token(token in "[a-z0-9]{64}", cut in 0usize..130) {
            let body = GOOD.replace("secret", &token);
            let body = body.get(..cut).unwrap_or(&body);
            if let Err(refusal) = parse_review::<Sample>(body.as_bytes()) {
                prop_assert!(!refusal.message().contains(&token));
            }
        }
    }
}
