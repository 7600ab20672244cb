//! Clients and files for the tests of the whole server.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    clippy::unwrap_used,
    clippy::indexing_slicing
)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use webhook_server::pki::DevPki;
use webhook_server::{Limits, ServerConfig, ServerMetrics, Serving, TlsFiles, Transport, serve};

/// A whole test must end within this.
pub const TEST_DEADLINE: Duration = Duration::from_secs(30);

pub struct Fixture {
    pub dir: tempfile::TempDir,
    pub pki: DevPki,
    pub serving: Serving,
    pub shutdown: CancellationToken,
    pub registry: Registry,
    pub metrics: ServerMetrics,
}

pub fn short_limits() -> Limits {
    Limits {
        max_connections: 64,
        handshake_timeout: Duration::from_millis(300),
        header_read_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(400),
        drain: Duration::from_millis(500),
        max_streams: 16,
        reload_interval: Duration::from_millis(30),
    }
}

pub async fn start(
    mutual: bool,
    limits: Limits,
    router: impl FnOnce(&ServerMetrics) -> axum::Router,
) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let pki = DevPki::generate(dir.path(), &["localhost".to_owned()]).unwrap();
    let mut registry = Registry::default();
    let metrics = ServerMetrics::register(&mut registry);
    let shutdown = CancellationToken::new();
    let config = ServerConfig {
        name: "test",
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        transport: Transport::Tls(TlsFiles {
            certificate: pki.server_certificate.clone(),
            key: pki.server_key.clone(),
            client_ca: mutual.then(|| pki.ca.clone()),
        }),
        limits,
    };
    let router = router(&metrics);
    let serving = serve(config, router, &metrics, shutdown.clone())
        .await
        .unwrap();
    Fixture {
        dir,
        pki,
        serving,
        shutdown,
        registry,
        metrics,
    }
}

impl Fixture {
    pub fn client(&self) -> Client {
        Client::trusting(&self.pki.ca)
    }

    pub fn client_with_certificate(&self) -> Client {
        self.client()
            .with_certificate(&self.pki.client_certificate, &self.pki.client_key)
    }

    pub async fn connect(&self, client: &Client) -> std::io::Result<TlsStream<TcpStream>> {
        client.connect(self.serving.address).await
    }

    /// Opens a connection and makes one request; the whole answer as text.
    pub async fn ask(&self, client: &Client, request: impl AsRef<str>) -> std::io::Result<String> {
        let mut stream = self.connect(client).await?;
        stream.write_all(request.as_ref().as_bytes()).await?;
        read_all(&mut stream).await
    }

    pub fn rendered_metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

pub struct Client {
    ca: PathBuf,
    certificate: Option<(PathBuf, PathBuf)>,
    alpn: Vec<Vec<u8>>,
}

impl Client {
    pub fn trusting(ca: &Path) -> Self {
        Self {
            ca: ca.to_owned(),
            certificate: None,
            alpn: vec![b"http/1.1".to_vec()],
        }
    }

    pub fn with_certificate(mut self, certificate: &Path, key: &Path) -> Self {
        self.certificate = Some((certificate.to_owned(), key.to_owned()));
        self
    }

    pub fn with_alpn(mut self, protocols: &[&[u8]]) -> Self {
        self.alpn = protocols.iter().map(|name| name.to_vec()).collect();
        self
    }

    pub fn config(&self) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&self.ca).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_file_iter(certificate)
                    .unwrap()
                    .map(Result::unwrap)
                    .collect();
                let key = PrivateKeyDer::from_pem_file(key).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols.clone_from(&self.alpn);
        Arc::new(config)
    }

    pub async fn connect(&self, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        connect(self.config(), address).await
    }
}

pub async fn connect(
    config: Arc<rustls::ClientConfig>,
    address: SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(config)
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
}

pub async fn read_all<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<String> {
    let mut answer = Vec::new();
    // A connection that is closed amid a request may end without a goodbye.
    if let Err(error) = stream.read_to_end(&mut answer).await
        && answer.is_empty()
    {
        return Err(error);
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Reads one answer with a content length and leaves the connection open.
pub async fn read_one<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> String {
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        let mut chunk = [0; 1024];
        let read = stream.read(&mut chunk).await.unwrap();
        assert_ne!(read, 0, "the connection ended: {text}");
        answer.extend_from_slice(&chunk[..read]);
    }
}

/// Waits until `condition` holds.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub async fn bounded<F: Future>(test: F) -> F::Output {
    tokio::time::timeout(TEST_DEADLINE, test).await.unwrap()
}
