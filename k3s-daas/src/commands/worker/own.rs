//! `worker status`, `worker stake`, `worker register` and `worker unstake`: the running worker on this
//! machine, asked through its socket.
//!
//! Errors: what the worker refuses is told in its own words, sorted by the status of its answer.

use std::time::Duration;

use http::{Method, StatusCode};
use reqwest::RequestBuilder;
use seal::{NodeName, SealToken};
use serde_json::{Value, json};

use super::token_file;
use crate::commands::Context;
use crate::config::keys::{Group, WorkerConfig, WorkerKeys};
use crate::failure::{Failure, Kind, Outcome};
use crate::local::{LocalClient, Peer};

static WORKER: Peer = Peer {
    name: "worker",
    absent: "no worker runs here",
    when_absent: "`systemctl start k3s-daas-worker`; `k3s-daas doctor --worker` says more",
    when_refused: "run it as root",
    // Longer than the worker's own deadline for an order.
    within: Duration::from_secs(200),
};

/// The worker of this machine.
pub(super) struct Own {
    /// By the configuration.
    pub(super) config: WorkerConfig,
    /// The machine's node.
    pub(super) node: NodeName,
    client: LocalClient,
}

impl Own {
    /// The worker that this configuration names. It has to run, and its socket to be open for this
    /// user.
    pub(super) async fn of(context: &Context) -> Outcome<Self> {
        let config = WorkerKeys::default().resolve(&context.sources)?;
        let node = config.node_id.clone().ok_or_else(|| {
            Failure::message(Kind::Usage, "the node has no name")
                .next("set id in the section node (node_id), or give --config")
        })?;
        let client = LocalClient::open(config.worker_api_socket.clone(), &WORKER).await?;
        Ok(Self {
            config,
            node,
            client,
        })
    }

    /// The machine's seal token; none while it has none.
    pub(super) fn token(&self) -> Option<SealToken> {
        let path = token_file(&self.config);
        let read = path
            .exists()
            .then(|| crate::commands::stake::read_token(&path));
        read.and_then(Result::ok)
    }

    /// What the worker says at this path; `token` goes along where it is needed.
    pub(super) async fn get(&self, path: &str, token: Option<&SealToken>) -> Outcome<Value> {
        let request = self.client.request(Method::GET, path);
        let request = match token {
            Some(token) => request.bearer_auth(token.reveal().as_str()),
            None => request,
        };
        self.answer(request).await
    }

    /// Orders something for this machine's node.
    pub(super) async fn order(&self, path: &str, mut body: Value) -> Outcome<Value> {
        if let Some(fields) = body.as_object_mut() {
            fields.insert("node_id".to_owned(), json!(self.node));
        }
        let request = self.client.request(Method::POST, path).json(&body);
        self.answer(request).await
    }

    async fn answer(&self, request: RequestBuilder) -> Outcome<Value> {
        let (status, body) = self.client.answer(request).await?;
        // What serde says of it may quote a secret.
        let said = serde_json::from_slice::<Value>(&body)
            .map_err(|_| Failure::message(Kind::Failed, "the worker's answer can't be read"));
        if status.is_success() {
            return said;
        }
        Err(refused(status, &said.unwrap_or_default()))
    }
}

/// A problem of the worker's as a failure of a command.
fn refused(status: StatusCode, said: &Value) -> Failure {
    let text = |key: &str| said.get(key).and_then(Value::as_str);
    let detail = text("detail").or_else(|| text("title"));
    let detail = detail.map_or_else(|| format!("the worker answered {status}"), str::to_owned);
    let kind = match status {
        StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS => Kind::Unavailable,
        StatusCode::CONFLICT | StatusCode::BAD_GATEWAY => Kind::Refused,
        _ => Kind::Failed,
    };
    Failure::message(kind, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_the_workers_words_and_gets_the_commands_code() {
        let said = json!({ "title": "The machine has no seal", "detail": "stake first" });
        for (status, kind) in [
            (StatusCode::CONFLICT, Kind::Refused),
            (StatusCode::SERVICE_UNAVAILABLE, Kind::Unavailable),
            (StatusCode::INTERNAL_SERVER_ERROR, Kind::Failed),
        ] {
            let failure = refused(status, &said);
            assert_eq!(failure.kind, kind, "{status}");
            assert_eq!(failure.cause.to_string(), "stake first");
        }
        let silent = refused(StatusCode::NOT_FOUND, &Value::Null);
        assert!(silent.cause.to_string().contains("404"));
    }
}
