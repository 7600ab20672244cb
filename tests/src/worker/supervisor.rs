//! The reviews of K3s's supervisor: no audiences, and the join credential.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::text;
use crate::e2e::Cluster;

/// What a review came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Review {
    /// Authenticated.
    As {
        /// The user.
        user: String,
        /// Its groups.
        groups: Vec<String>,
    },
    /// Refused, with this `status.error`.
    Refused(String),
    /// Not answered in time, or not by a review.
    Unanswered(String),
}

impl Review {
    /// The one answer that lets a node in.
    pub fn node(name: &str) -> Self {
        Self::As {
            user: format!("{}{name}", seal::identity::NODE_USER_PREFIX),
            groups: vec![seal::identity::GROUP_NODES.to_owned()],
        }
    }

    /// Whether anybody is let in.
    pub fn is_yes(&self) -> bool {
        matches!(self, Self::As { .. })
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Supervisor {
    client: reqwest::Client,
    url: String,
}

impl Supervisor {
    /// At the webhooks of a cluster.
    pub fn of(cluster: &Cluster) -> anyhow::Result<Self> {
        Self::at(cluster.webhooks_address(), &cluster.pki.ca)
    }

    /// At an address.
    pub fn at(address: SocketAddr, ca: &Path) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .use_preconfigured_tls((*crate::bench::ours::client_tls(ca)?).clone())
            .http2_prior_knowledge()
            // The API server's own patience.
            .timeout(Duration::from_secs(10))
            .no_proxy()
            .build()?;
        Ok(Self {
            client,
            url: format!("https://localhost:{}/authenticate", address.port()),
        })
    }

    /// Asks once, as K3s v1.36.3 was seen to.
    pub async fn review(&self, credential: &str) -> anyhow::Result<Review> {
        let review = json!({
            "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {},
            "spec": {"token": credential}, "status": {"user": {}},
        });
        let request = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .body(review.to_string());
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(unanswered) => return Ok(Review::Unanswered(unanswered.to_string())),
        };
        let status = answer.status();
        let body = answer.bytes().await.unwrap_or_default();
        let review: Value = serde_json::from_slice(&body).unwrap_or_default();
        if !status.is_success() || !review.is_object() {
            return Ok(Review::Unanswered(status.to_string()));
        }
        if review.pointer("/status/authenticated") == Some(&Value::Bool(true)) {
            let groups = review.pointer("/status/user/groups");
            let groups = groups.and_then(Value::as_array).into_iter().flatten();
            return Ok(Review::As {
                user: text(&review, "/status/user/username").to_owned(),
                groups: groups
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect(),
            });
        }
        let error = text(&review, "/status/error");
        anyhow::ensure!(
            !error.is_empty(),
            "a refusal without error would be cached: {review}"
        );
        Ok(Review::Refused(error.to_owned()))
    }
}
