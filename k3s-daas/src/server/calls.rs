//! Every request of ours to the API server on its way: the token put on, the answer counted.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tower::{BoxError, Service};

use super::bearer::Bearer;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    verb: &'static str,
    code: &'static str,
}

/// Requests to the API server, counted. Clones share the counters.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    requests: Family<Labels, Counter>,
}

const VERBS: [&str; 8] = [
    "get", "list", "watch", "create", "update", "patch", "delete", "other",
];
const CODES: [&str; 10] = [
    "2xx", "401", "403", "404", "409", "429", "4xx", "5xx", "other", "none",
];

impl Calls {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let calls = Self::default();
        for verb in VERBS {
            for code in CODES {
                drop(calls.requests.get_or_create(&Labels { verb, code }));
            }
        }
        registry.register(
            "k3s_daas_kube_requests",
            "Requests to the API server",
            calls.requests.clone(),
        );
        calls
    }

    fn count(&self, verb: &'static str, code: &'static str) {
        self.requests.get_or_create(&Labels { verb, code }).inc();
    }
}

/// What is done, as Kubernetes calls it; the client says which of the reads it is.
fn verb(request: &Request<Body>) -> &'static str {
    match *request.method() {
        Method::GET => match request.extensions().get::<&'static str>() {
            Some(named) if named.starts_with("list") => "list",
            Some(named) if named.starts_with("watch") => "watch",
            _ => "get",
        },
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

fn code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200..=299 => "2xx",
        401 => "401",
        403 => "403",
        404 => "404",
        409 => "409",
        429 => "429",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "other",
    }
}

/// A client's way out.
#[derive(Debug)]
pub(super) struct Outgoing<S> {
    inner: S,
    calls: Calls,
    bearer: Option<Bearer>,
}

impl<S> Outgoing<S> {
    /// With a bearer, its token goes on every request.
    pub(super) fn new(inner: S, calls: Calls, bearer: Option<Bearer>) -> Self {
        Self {
            inner,
            calls,
            bearer,
        }
    }
}

impl<S, R> Service<Request<Body>> for Outgoing<S>
where
    S: Service<Request<Body>, Response = Response<R>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let header = self.bearer.as_ref().and_then(Bearer::header);
        if let Some(header) = header {
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        let verb = verb(&request);
        let (calls, bearer) = (self.calls.clone(), self.bearer.clone());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let status = answer.as_ref().ok().map(Response::status);
            calls.count(verb, status.map_or("none", code));
            if let (Some(StatusCode::UNAUTHORIZED), Some(bearer)) = (status, &bearer) {
                bearer.was_refused();
            }
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use zeroize::Zeroizing;

    use super::*;

    fn request(method: Method, named: Option<&'static str>) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        if let Some(named) = named {
            request.extensions_mut().insert(named);
        }
        request
    }

    #[test]
    fn a_read_is_what_the_client_calls_it() {
        for (method, named, expected) in [
            (Method::GET, Some("list"), "list"),
            (Method::GET, Some("list_metadata"), "list"),
            (Method::GET, Some("watch"), "watch"),
            (Method::GET, Some("get"), "get"),
            (Method::GET, None, "get"),
            (Method::PATCH, Some("patch"), "patch"),
            (Method::HEAD, None, "other"),
        ] {
            let verb = verb(&request(method, named));
            assert_eq!(verb, expected);
            assert!(VERBS.contains(&verb));
        }
        for status in 100..600 {
            assert!(CODES.contains(&code(StatusCode::from_u16(status).unwrap())));
        }
    }

    #[tokio::test]
    async fn requests_carry_the_token_and_a_401_is_told() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let server = tower::service_fn({
            let seen = Arc::clone(&seen);
            move |request: Request<Body>| {
                let header = request.headers().get(AUTHORIZATION).cloned();
                seen.lock().unwrap().push(header.unwrap());
                let mut answer = Response::new(());
                *answer.status_mut() = StatusCode::UNAUTHORIZED;
                std::future::ready(Ok::<_, BoxError>(answer))
            }
        });
        let (calls, bearer) = (
            Calls::default(),
            Bearer::new(Zeroizing::new("one".to_owned())),
        );
        let mut outgoing = Outgoing::new(server, calls.clone(), Some(bearer.clone()));
        outgoing.call(request(Method::POST, None)).await.unwrap();
        bearer.refused().await;
        bearer.replace(Zeroizing::new("two".to_owned()));
        outgoing.call(request(Method::POST, None)).await.unwrap();
        assert_eq!(*seen.lock().unwrap(), ["Bearer one", "Bearer two"]);
        let labels = Labels {
            verb: "create",
            code: "401",
        };
        assert_eq!(calls.requests.get_or_create(&labels).get(), 2);
    }
}
