//! A client as kubectl is one: TLS 1.3, HTTP/2, a token.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Where the bare server's object is.
pub(super) const OBJECT: &str = "/api/v1/namespaces/mine/configmaps/settings";

/// An object of a common size: some 2 KiB.
pub(super) fn object() -> String {
    let data: serde_json::Map<String, serde_json::Value> = (0..16)
        .map(|n| (format!("key-{n}"), "x".repeat(100).into()))
        .collect();
    serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "mine"}, "data": data,
    })
    .to_string()
}

/// TLS settings of a client that trusts this CA and comes for the first time, each time.
pub(super) fn tls(ca_pem: &[u8], alpn: &[&str]) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem) {
        roots.add(certificate?)?;
    }
    let mut tls = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    tls.resumption = Resumption::disabled();
    Ok(Arc::new(tls))
}

/// The same with a CA out of a file.
pub(super) fn tls_of(ca: &Path, alpn: &[&str]) -> anyhow::Result<Arc<ClientConfig>> {
    tls(&std::fs::read(ca)?, alpn)
}

/// What is asked, and where.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) address: SocketAddr,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) path: String,
    pub(super) token: Option<String>,
}

/// A connection over which requests go.
pub(super) type Connection = SendRequest<Empty<Bytes>>;

impl Way {
    /// The same at another address.
    pub(super) fn at(&self, address: SocketAddr) -> Self {
        Self {
            address,
            ..self.clone()
        }
    }

    /// A new connection with TLS.
    pub(super) async fn dial(&self) -> anyhow::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.address).await.context("dialling")?;
        tcp.set_nodelay(true)?;
        let name = ServerName::from(IpAddr::from([127, 0, 0, 1]));
        Ok(TlsConnector::from(self.tls.clone())
            .connect(name, tcp)
            .await?)
    }

    /// A new connection for requests.
    pub(super) async fn connect(&self) -> anyhow::Result<Connection> {
        let io = TokioIo::new(self.dial().await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(async move {
            // An early end shows as failing requests.
            let _ = connection.await;
        });
        Ok(sender)
    }

    /// The head of an answer of 200.
    pub(super) async fn ask(&self, on: &mut Connection) -> anyhow::Result<Incoming> {
        let mut request = http::Request::get(format!("https://{}{}", self.address, self.path));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        on.ready().await?;
        let answer = on.send_request(request.body(Empty::new())?).await?;
        let status = answer.status();
        ensure!(status == http::StatusCode::OK, "answered {status}");
        Ok(answer.into_body())
    }

    /// The time from sending a request until all of the answer was read.
    pub(super) async fn get(&self, on: &mut Connection) -> anyhow::Result<Duration> {
        let sent = Instant::now();
        self.ask(on).await?.collect().await?;
        Ok(sent.elapsed())
    }

    /// The same on a connection of its own, from dialling on.
    pub(super) async fn get_anew(&self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let mut connection = self.connect().await?;
        self.get(&mut connection).await?;
        Ok(began.elapsed())
    }
}
