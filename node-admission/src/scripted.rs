//! For tests: an API server that answers as it is told. With time paused, it passes while
//! everybody waits.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::Body as Answered;
use bytes::Bytes;
use futures::StreamExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

/// How it answers a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// With this object.
    Is(Value),
    /// With these events, then the end.
    Events(Vec<Value>),
    /// With these events, then silence.
    Stall(Vec<Value>),
    /// Never.
    Silence,
    /// With a refusal.
    Status(u16),
}

/// What was asked: when, how, and for what.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) at: Duration,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
}

impl Asked {
    pub(crate) fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path.ends_with(path)
    }
}

/// The list of requests so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Asked>>>);

impl Log {
    pub(crate) fn all(&self) -> Vec<Asked> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, method: &str) -> usize {
        let all = self.all();
        all.iter().filter(|asked| asked.method == method).count()
    }
}

fn lines(events: Vec<Value>) -> Vec<Result<Bytes, Infallible>> {
    let line = |event: Value| Ok(Bytes::from(format!("{event}\n")));
    events.into_iter().map(line).collect()
}

async fn body(answer: Answer) -> http::Response<Answered> {
    let (status, body) = match answer {
        Answer::Silence => std::future::pending().await,
        Answer::Is(object) => (200, Answered::from(object.to_string())),
        Answer::Events(events) => {
            let stream = futures::stream::iter(lines(events));
            (200, Answered::from_stream(stream))
        }
        Answer::Stall(events) => {
            let stream = futures::stream::iter(lines(events)).chain(futures::stream::pending());
            (200, Answered::from_stream(stream))
        }
        Answer::Status(code) => {
            let reason = if code == 404 { "NotFound" } else { "Refused" };
            let status = json!({
                "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
                "reason": reason, "message": "no",
            });
            (code, Answered::from(status.to_string()))
        }
    };
    http::Response::builder().status(status).body(body).unwrap()
}

/// A client of it, and what it was asked.
pub(crate) fn client(mut answer: impl FnMut(&Asked) -> Answer + Send + 'static) -> (Client, Log) {
    let log = Log::default();
    let (began, seen) = (Instant::now(), log.clone());
    let answer = Arc::new(Mutex::new(move |asked: &Asked| answer(asked)));
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let asked = Asked {
            at: began.elapsed(),
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
        };
        let answer = (answer.lock().unwrap())(&asked);
        seen.0.lock().unwrap().push(asked);
        async move { Ok::<_, Infallible>(body(answer).await) }
    });
    (Client::new(service, "default"), log)
}
