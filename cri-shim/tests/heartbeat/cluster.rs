//! What stands where the cluster's REST API would: TLS is real, the answers are as bad as one likes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;
use webhook_server::pki::DevPki;

/// What it does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Does {
    /// A status, more headers, a body.
    Answer(u16, String, &'static str),
    /// Nothing.
    Silence,
    /// A body that comes byte by byte and never ends.
    Drip,
    /// A body that comes as fast as it is taken and never ends.
    Flood,
    /// Ends the connection in the middle of the answer.
    HangUp,
    /// What is no HTTP.
    Nonsense,
}

impl Does {
    pub(crate) fn kept() -> Self {
        Self::Answer(200, String::new(), "{}")
    }
}

/// A request that came whole.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Value,
    pub(crate) at: Instant,
}

#[derive(Debug, Default)]
struct Shared {
    script: Mutex<VecDeque<Does>>,
    seen: Mutex<Vec<Seen>>,
    flooded: AtomicUsize,
}

pub(crate) struct Cluster {
    pub(crate) address: SocketAddr,
    pub(crate) ca: Vec<u8>,
    shared: Arc<Shared>,
    _accepting: AbortOnDropHandle<()>,
    _folder: tempfile::TempDir,
}

impl Cluster {
    /// Does these one after the other, and the last one for ever.
    pub(crate) async fn start(script: impl IntoIterator<Item = Does>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pki = DevPki::generate(folder.path(), &["127.0.0.1".to_owned()]).unwrap();
        let acceptor = acceptor(&pki.server_certificate, &pki.server_key);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::new(script.into_iter().collect()),
            ..Shared::default()
        });
        let address = listener.local_addr().unwrap();
        let serving = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&serving));
                connections.spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _ = serve(stream, &shared).await;
                    }
                });
            }
        });
        Self {
            address,
            ca: std::fs::read(&pki.ca).unwrap(),
            shared,
            _accepting: AbortOnDropHandle::new(accepting),
            _folder: folder,
        }
    }

    /// From now on it does this.
    pub(crate) fn does(&self, what: Does) {
        *self.shared.script.lock().unwrap() = VecDeque::from([what]);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits for so many requests.
    pub(crate) async fn requests(&self, many: usize) -> Vec<Seen> {
        let began = Instant::now();
        loop {
            let seen = self.seen();
            if seen.len() >= many {
                return seen;
            }
            assert!(
                began.elapsed() < Duration::from_mins(1),
                "{} of {many} requests",
                seen.len()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Bytes of floods that were taken.
    pub(crate) fn flooded(&self) -> usize {
        self.shared.flooded.load(Ordering::Relaxed)
    }
}

fn acceptor(certificate: &Path, key: &Path) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certificate).unwrap();
    let chain = chain.map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(mut stream: TlsStream<TcpStream>, shared: &Shared) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(seen) = request(&mut stream, &mut buffer).await? {
        shared.seen.lock().unwrap().push(seen);
        let does = {
            let mut script = shared.script.lock().unwrap();
            if script.len() > 1 {
                script.pop_front().unwrap()
            } else {
                script.front().unwrap().clone()
            }
        };
        if !answer(&mut stream, does, shared).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// The next request; none once the other side has ended.
async fn request(
    stream: &mut TlsStream<TcpStream>,
    buffer: &mut Vec<u8>,
) -> std::io::Result<Option<Seen>> {
    loop {
        let text = String::from_utf8_lossy(buffer).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let length: usize = head
                .lines()
                .find_map(|line| {
                    line.to_lowercase()
                        .strip_prefix("content-length: ")?
                        .parse()
                        .ok()
                })
                .unwrap_or(0);
            if rest.len() >= length {
                let body = serde_json::from_str(&rest[..length]).unwrap_or_default();
                let head = head.to_owned();
                buffer.drain(..head.len() + 4 + length);
                let at = Instant::now();
                return Ok(Some(Seen { head, body, at }));
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// Whether the connection goes on.
async fn answer(
    stream: &mut TlsStream<TcpStream>,
    does: Does,
    shared: &Shared,
) -> std::io::Result<bool> {
    const LONG: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n";
    match does {
        Does::Answer(status, headers, body) => {
            let length = body.len();
            let text =
                format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
            stream.write_all(text.as_bytes()).await?;
            stream.flush().await?;
            return Ok(true);
        }
        Does::Silence => std::future::pending::<()>().await,
        Does::Drip => {
            stream.write_all(LONG).await?;
            loop {
                stream.write_all(b"x").await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Does::Flood => {
            stream.write_all(LONG).await?;
            loop {
                stream.write_all(&[b'x'; 16_384]).await?;
                shared.flooded.fetch_add(16_384, Ordering::Relaxed);
            }
        }
        Does::HangUp => {
            stream.write_all(LONG).await?;
            stream.flush().await?;
        }
        Does::Nonsense => {
            stream.write_all(b"220 mail.example.org ESMTP\r\n").await?;
            stream.flush().await?;
        }
    }
    Ok(false)
}
