//! The cluster's REST API, as its workers call it.
//!
//! Trust:  HTTPS with TLS 1.3 alone. Who answers must show a certificate of the CA that was given,
//!         or of one that the machine trusts where none was. Nothing is redirected: the seal token
//!         goes to this address or nowhere.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use seal::SealToken;
use serde_json::Value;
use zeroize::Zeroizing;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The cluster ends a request after 10 s itself.
const WITHIN: Duration = Duration::from_secs(15);
/// No answer of the cluster is longer: a kubeconfig and a CA bundle have some 10 KiB.
const MAX_ANSWER: usize = 256 * 1024;

/// By what the cluster's REST API is known.
#[derive(Debug, Clone)]
pub enum ClusterTrust {
    /// These certificates alone sign for it, PEM.
    Bundle(Vec<u8>),
    /// The authorities that this machine trusts.
    Machine,
}

/// Why there is no answer. Never holds a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address is none of HTTPS.
    #[error("{0} is no https:// address")]
    NotHttps(String),
    /// The CA can't be used.
    #[error("the CA of the cluster's API can't be used")]
    Ca(#[source] reqwest::Error),
    /// It shows a certificate that can't be trusted.
    #[error("what answers as the cluster's API can't be trusted: {0}")]
    Untrusted(String),
    /// Nobody answers, or not in time.
    #[error("the cluster's API does not answer: {0}")]
    Unreachable(String),
    /// The answer is longer than any good one.
    #[error("the cluster's API answers too much")]
    TooLong,
}

/// An answer of the cluster, whatever it says.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// When another try makes sense.
    pub retry_after: Option<Duration>,
    /// The body; may hold secrets.
    pub body: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Answer {
    /// The type of a refusal, such as `name-not-held`; none where it is none of ours.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        let label = body.get("type")?.as_str()?.rsplit(':').next()?;
        let fits = label.len() <= 40 && label.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        fits.then(|| label.to_owned())
    }
}

/// Calls the cluster's REST API.
#[derive(Debug, Clone)]
pub struct ClusterClient {
    http: reqwest::Client,
    endpoint: String,
}

impl ClusterClient {
    /// A client of the API at `endpoint`: `https://`, host and port.
    pub fn new(endpoint: &str, trust: &ClusterTrust) -> Result<Self, ClientError> {
        let endpoint = endpoint.trim_end_matches('/');
        let rest = endpoint.strip_prefix("https://");
        if rest.is_none_or(|rest| rest.is_empty() || rest.contains(['/', '@', '?', '#'])) {
            return Err(ClientError::NotHttps(endpoint.to_owned()));
        }
        let builder = reqwest::Client::builder()
            .no_proxy()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .tls_version_min(reqwest::tls::Version::TLS_1_3)
            .connect_timeout(CONNECT_WITHIN)
            .timeout(WITHIN)
            .pool_idle_timeout(Duration::from_mins(2))
            .pool_max_idle_per_host(1);
        let builder = match trust {
            ClusterTrust::Bundle(pem) => {
                let ca = reqwest::Certificate::from_pem_bundle(pem).map_err(ClientError::Ca)?;
                builder.tls_certs_only(ca)
            }
            ClusterTrust::Machine => builder,
        };
        Ok(Self {
            http: builder.build().map_err(ClientError::Ca)?,
            endpoint: endpoint.to_owned(),
        })
    }

    /// Whether it answers, and is the one that it should be. Whatever it says is an answer.
    pub async fn reach(&self) -> Result<(), ClientError> {
        let request = self.http.get(format!("{}/", self.endpoint));
        request.send().await.map(drop).map_err(sorted)
    }

    /// Posts JSON with a seal token.
    pub async fn post(
        &self,
        path: &str,
        token: &SealToken,
        body: &Value,
    ) -> Result<Answer, ClientError> {
        let text = Zeroizing::new(body.to_string());
        let request = self
            .http
            .post(format!("{}{path}", self.endpoint))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, bearer(token)?)
            .body(text.as_bytes().to_vec());
        let mut response = request.send().await.map_err(sorted)?;
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let mut answer = Answer {
            status: response.status(),
            retry_after: retry_after.map(Duration::from_secs),
            // Never moved: what it leaves behind would not be wiped.
            body: Zeroizing::new(Vec::with_capacity(MAX_ANSWER)),
        };
        while let Some(chunk) = response.chunk().await.map_err(sorted)? {
            if answer.body.len().saturating_add(chunk.len()) > MAX_ANSWER {
                return Err(ClientError::TooLong);
            }
            answer.body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}

fn bearer(token: &SealToken) -> Result<HeaderValue, ClientError> {
    let text = Zeroizing::new(format!("Bearer {}", token.reveal().as_str()));
    // Hex digits are a header's value always.
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| ClientError::Unreachable("the token is no header's value".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether it is the certificate's fault. The address is in the configuration; it is left out.
fn sorted(error: reqwest::Error) -> ClientError {
    let error = error.without_url();
    let mut causes = Vec::new();
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    let told = causes.last().cloned().unwrap_or_default();
    if causes.iter().any(|cause| cause.contains("certificate")) {
        ClientError::Untrusted(told)
    } else {
        ClientError::Unreachable(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_addresses_without_a_path_are_taken() {
        for bad in [
            "http://k3s.example.org:8443",
            "https://",
            "k3s.example.org:8443",
            "https://user@k3s.example.org",
            "https://k3s.example.org/api",
            "",
        ] {
            let refused = ClusterClient::new(bad, &ClusterTrust::Machine);
            assert!(matches!(refused, Err(ClientError::NotHttps(_))), "{bad}");
        }
    }

    #[test]
    fn a_problem_is_named_where_it_is_one() {
        let answer = |body: &str| Answer {
            status: StatusCode::FORBIDDEN,
            retry_after: None,
            body: Zeroizing::new(body.as_bytes().to_vec()),
        };
        let named = answer(r#"{"type":"urn:k3s-daas:problem:name-not-held"}"#);
        assert_eq!(named.problem().as_deref(), Some("name-not-held"));
        for none in ["", "[]", r#"{"type":1}"#, r#"{"type":"A B\n"}"#] {
            assert_eq!(answer(none).problem(), None, "{none}");
        }
    }
}
