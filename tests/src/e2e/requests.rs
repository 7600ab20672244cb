//! Plain requests through the API server, as anybody: a bearer of any token, the operator with its
//! certificate, and whoever the operator impersonates.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use seal::SealToken;
use serde_json::{Value, json};

use super::{Cluster, POLL};

/// Who asks.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Whoever bears this token.
    Token(String),
    /// The operator, group `system:masters`.
    Operator,
    /// A user with these groups, as the operator impersonates it.
    As(String, &'static [&'static str]),
}

impl From<&SealToken> for Caller {
    fn from(token: &SealToken) -> Self {
        Self::Token(token.reveal().as_str().to_owned())
    }
}

/// What the API server said.
#[derive(Debug, Clone)]
pub struct Said {
    /// The HTTP status.
    pub status: u16,
    /// The body; null where it was no JSON.
    pub body: Value,
}

impl Said {
    /// Whether it was done.
    pub fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Itself if it was done, else an error.
    pub fn done(self) -> anyhow::Result<Value> {
        ensure!(self.ok(), "answered {}: {}", self.status, self.body);
        Ok(self.body)
    }

    /// Kubernetes' own words on why not.
    pub fn message(&self) -> &str {
        let message = self.body.get("message").and_then(Value::as_str);
        message.unwrap_or_default()
    }
}

/// A client of the API server as the operator.
pub(super) async fn operator(kubeconfig: &std::path::Path) -> anyhow::Result<kube::Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    Ok(kube::Client::try_from(config)?)
}

impl Cluster {
    /// A client of the API server as the operator.
    pub fn operator_client(&self) -> kube::Client {
        self.kube.clone()
    }

    /// Asks with this method; a body goes as JSON, or as a merge patch.
    pub async fn ask(
        &self,
        caller: &Caller,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Said> {
        let kind = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let body = body.map(ToString::to_string).unwrap_or_default();
        match caller {
            Caller::Token(token) => {
                let answer = self
                    .send(|front| {
                        let url = format!("{front}{path}");
                        let request = self.http.request(method.clone(), url);
                        request
                            .header(CONTENT_TYPE, kind)
                            .header(AUTHORIZATION, format!("Bearer {token}"))
                            .body(body.clone())
                    })
                    .await?;
                let status = answer.status().as_u16();
                let body = answer.bytes().await?;
                let body = serde_json::from_slice(&body).unwrap_or_default();
                Ok(Said { status, body })
            }
            Caller::Operator => self.as_operator(method, path, kind, body, None).await,
            Caller::As(user, groups) => {
                let who = Some((user.as_str(), *groups));
                self.as_operator(method, path, kind, body, who).await
            }
        }
    }

    async fn as_operator(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: String,
        who: Option<(&str, &[&str])>,
    ) -> anyhow::Result<Said> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(CONTENT_TYPE, kind);
        if let Some((user, groups)) = who {
            request = request.header("Impersonate-User", user);
            for group in groups {
                request = request.header("Impersonate-Group", *group);
            }
        }
        let request = request.body(Body::from(body.into_bytes()))?;
        let answer = self.kube.send(request).await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect_bytes().await?;
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Ok(Said { status, body })
    }

    /// Asks as the operator with a body of this kind.
    pub async fn operator_sends(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: &Value,
    ) -> anyhow::Result<Said> {
        self.as_operator(method, path, kind, body.to_string(), None)
            .await
    }

    /// A GET.
    pub async fn read(&self, caller: &Caller, path: &str) -> anyhow::Result<Said> {
        self.ask(caller, Method::GET, path, None).await
    }

    /// Creates an object; that it was created already is as good.
    pub async fn create(&self, caller: &Caller, path: &str, body: &Value) -> anyhow::Result<()> {
        let said = self.ask(caller, Method::POST, path, Some(body)).await?;
        if said.status == 409 {
            return Ok(());
        }
        said.done()
            .map(drop)
            .with_context(|| format!("creating in {path}"))
    }

    /// Asks until the answer is as wanted; gives the time that took, and the answer.
    pub async fn until_said(
        &self,
        caller: &Caller,
        path: &str,
        within: Duration,
        wanted: impl Fn(&Said) -> bool,
    ) -> anyhow::Result<(Duration, Said)> {
        let started = Instant::now();
        loop {
            let said = self.read(caller, path).await?;
            if wanted(&said) {
                return Ok((started.elapsed(), said));
            }
            ensure!(
                started.elapsed() < within,
                "{path} still answers {} after {within:?}: {}",
                said.status,
                said.body
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// A token for a service account, as the operator requests it; made with its account if need
    /// be, which may then read what ClusterRole `role` lets it in its namespace.
    pub async fn account(&self, namespace: &str, name: &str, role: &str) -> anyhow::Result<Caller> {
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name},
        });
        self.create(&Caller::Operator, &accounts, &account).await?;
        let subject = json!({"kind": "ServiceAccount", "name": name, "namespace": namespace});
        self.bind(namespace, name, role, &subject).await?;
        self.token_of(namespace, name).await
    }

    /// A token of a service account, as the operator requests it.
    pub async fn token_of(&self, namespace: &str, name: &str) -> anyhow::Result<Caller> {
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        });
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let said = self
            .ask(&Caller::Operator, Method::POST, &path, Some(&request))
            .await?
            .done()?;
        let token = said.pointer("/status/token").and_then(Value::as_str);
        Ok(Caller::Token(token.context("no token")?.to_owned()))
    }

    /// Binds a subject to a ClusterRole in one namespace.
    pub async fn bind(
        &self,
        namespace: &str,
        name: &str,
        role: &str,
        subject: &Value,
    ) -> anyhow::Result<()> {
        let path =
            format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings");
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role,
            },
            "subjects": [subject],
        });
        self.create(&Caller::Operator, &path, &binding).await
    }
}
