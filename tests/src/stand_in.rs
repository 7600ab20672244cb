//! What may listen where the webhooks should: nobody that answers, somebody that answers badly,
//! and the webhooks themselves behind a slow line.
//!
//! Shape:  [`StandIn::listen`] takes the address with a certificate of its choice; dropping the
//!         value ends it at once, with its connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use webhook_server::pki::DevPki;

/// Reviews are small.
const MAX_BODY: usize = 1 << 20;

/// How it behaves.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Takes connections and never says a byte, of TLS neither.
    Mute,
    /// Takes requests and never answers.
    Hangs,
    /// Answers every request with this status and body.
    Says(StatusCode, &'static str),
    /// Answers `/authenticate` and `/authorize` with these bodies.
    SaysEach(&'static str, &'static str),
    /// Passes on to the webhooks at this address, and the answer back after this time.
    Delays(SocketAddr, Duration),
}

/// Who listens in the webhooks' place.
#[derive(Debug)]
pub struct StandIn {
    serving: AbortOnDropHandle<()>,
    server: axum_server::Handle<SocketAddr>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.shutdown();
    }
}

struct Shared {
    behaviour: Behaviour,
    upstream: reqwest::Client,
}

impl StandIn {
    /// Ends it and waits until the address is free.
    pub async fn end(mut self) {
        self.server.shutdown();
        self.serving.abort();
        // That it was ended is what it ends with.
        let _ = (&mut self.serving).await;
    }

    /// Listens at the address with the server's certificate of `pki`.
    pub async fn listen(
        address: SocketAddr,
        pki: &DevPki,
        behaviour: Behaviour,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let server = axum_server::Handle::new();
        if matches!(behaviour, Behaviour::Mute) {
            let serving = AbortOnDropHandle::new(tokio::spawn(mute(listener)));
            return Ok(Self { serving, server });
        }
        let tls = crate::bench::ours::bare_tls(pki)?;
        let tls = axum_server::tls_rustls::RustlsConfig::from_config(Arc::new(tls));
        let upstream = reqwest::Client::builder()
            .use_preconfigured_tls((*crate::bench::ours::client_tls(&pki.ca)?).clone())
            .http2_prior_knowledge()
            .timeout(Duration::from_secs(10))
            .no_proxy()
            .build()?;
        let shared = Arc::new(Shared {
            behaviour,
            upstream,
        });
        let router = Router::new().fallback(answer).with_state(shared);
        let served =
            axum_server::from_tcp_rustls(listener.into_std()?, tls)?.handle(server.clone());
        let serving = tokio::spawn(async move {
            // That it ended shows in what callers are answered.
            let _ = served.serve(router.into_make_service()).await;
        });
        Ok(Self {
            serving: AbortOnDropHandle::new(serving),
            server,
        })
    }
}

async fn mute(listener: TcpListener) {
    let mut held = Vec::new();
    while let Ok((stream, _)) = listener.accept().await {
        held.push(stream);
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let says = |status, body: &'static str| {
        let json = [(http::header::CONTENT_TYPE, "application/json")];
        (status, json, body).into_response()
    };
    match &shared.behaviour {
        Behaviour::Mute | Behaviour::Hangs => std::future::pending().await,
        Behaviour::Says(status, body) => says(*status, body),
        Behaviour::SaysEach(authenticate, authorize) => {
            let body = match request.uri().path() {
                "/authenticate" => authenticate,
                _ => authorize,
            };
            says(StatusCode::OK, body)
        }
        Behaviour::Delays(to, by) => {
            let passed = pass_on(&shared.upstream, *to, request).await;
            tokio::time::sleep(*by).await;
            passed.unwrap_or_else(|_unreachable| StatusCode::BAD_GATEWAY.into_response())
        }
    }
}

async fn pass_on(
    upstream: &reqwest::Client,
    to: SocketAddr,
    request: Request,
) -> anyhow::Result<Response> {
    let path = request.uri().path_and_query().context("a path")?.as_str();
    let url = format!("https://localhost:{}{path}", to.port());
    let body = axum::body::to_bytes(request.into_body(), MAX_BODY).await?;
    let json = [(http::header::CONTENT_TYPE, "application/json")];
    let answer = upstream
        .post(url)
        .header("content-type", "application/json")
        .body(body);
    let answer = answer.send().await?;
    let status = answer.status();
    let body: Bytes = answer.bytes().await?;
    Ok((status, json, Body::from(body)).into_response())
}
