//! What stands where containerd would, and the proxy in front of it.

use std::os::unix::net::UnixListener as StdListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use cri_shim::guard::Guard;
use cri_shim::metrics::ShimMetrics;
use cri_shim::proxy::{ProxySettings, Proxying, spawn};
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use prometheus_client::registry::Registry;
use tokio::net::UnixListener;
use tokio::sync::{Mutex, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::client::{Client, Hold};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Echo,
    TrailersOnly,
    Reset(Reason),
    ResetAfterData(Reason),
    /// Never answers.
    Hang,
    /// One frame, and then never another.
    Drip,
    /// As much as is taken.
    Flood,
    /// Answers unary calls after a while; the events drip.
    Slow(Duration),
}

#[derive(Debug)]
pub(crate) enum Saw {
    Request(Box<Request<()>>),
    Reset(Reason),
    Gone,
}

pub(crate) struct Rig {
    folder: tempfile::TempDir,
    pub(crate) proxying: Option<Proxying>,
    server: Mutex<Option<AbortOnDropHandle<()>>>,
    saw: (
        mpsc::UnboundedSender<Saw>,
        Mutex<mpsc::UnboundedReceiver<Saw>>,
    ),
    sent: Arc<AtomicUsize>,
}

impl Rig {
    pub(crate) async fn start(does: Does) -> Self {
        Self::guarded(Guard::off(), does).await
    }

    pub(crate) async fn guarded(guard: Guard, does: Does) -> Self {
        let rig = Self::with(guard);
        rig.appear(does).await;
        rig
    }

    pub(crate) fn absent() -> Self {
        Self::with(Guard::off())
    }

    fn with(guard: Guard) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = StdListener::bind(folder.path().join("cri.sock")).unwrap();
        let settings = ProxySettings::new(folder.path().join("containerd.sock"));
        let metrics = ShimMetrics::register(&mut Registry::default());
        let proxying = spawn(listener, settings, Arc::new(guard), metrics).unwrap();
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            folder,
            proxying: Some(proxying),
            server: Mutex::new(None),
            saw: (sender, Mutex::new(receiver)),
            sent: Arc::default(),
        }
    }

    fn upstream(&self) -> PathBuf {
        self.folder.path().join("containerd.sock")
    }

    pub(crate) async fn appear(&self, does: Does) {
        let _ = std::fs::remove_file(self.upstream());
        let listener = UnixListener::bind(self.upstream()).unwrap();
        let (saw, sent) = (self.saw.0.clone(), Arc::clone(&self.sent));
        let server = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (saw, sent) = (saw.clone(), Arc::clone(&sent));
                connections.spawn(async move {
                    let mut builder = h2::server::Builder::new();
                    builder
                        .initial_window_size(1 << 20)
                        .initial_connection_window_size(4 << 20)
                        // As gRPC of Go, which counts no resets.
                        .max_pending_accept_reset_streams(usize::MAX)
                        .max_local_error_reset_streams(None);
                    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else {
                        return;
                    };
                    let mut calls = tokio::task::JoinSet::new();
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        calls.spawn(answer(
                            request,
                            respond,
                            does,
                            saw.clone(),
                            Arc::clone(&sent),
                        ));
                    }
                    let _ = saw.send(Saw::Gone);
                });
            }
        });
        *self.server.lock().await = Some(AbortOnDropHandle::new(server));
    }

    /// As a process that is killed.
    pub(crate) async fn die(&mut self) {
        let server = self.server.lock().await.take().unwrap();
        server.abort();
        let _ = server.await;
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.folder.path().join("cri.sock")).await
    }

    /// A client whose words come in one piece, once they are let go.
    pub(crate) async fn held_client(&self) -> (Client, Hold) {
        Client::held(&self.folder.path().join("cri.sock")).await
    }

    pub(crate) async fn saw(&self) -> Saw {
        self.saw.1.lock().await.recv().await.unwrap()
    }

    /// The bytes that the proxy has taken of floods.
    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    does: Does,
    saw: mpsc::UnboundedSender<Saw>,
    sent: Arc<AtomicUsize>,
) {
    let (parts, mut body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let _ = saw.send(Saw::Request(Box::new(Request::from_parts(parts, ()))));
    let mut all = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        all.extend_from_slice(&data);
    }
    let headers = || {
        Response::builder()
            .header("content-type", "application/grpc")
            .header("x-first", "at the start")
            .body(())
            .unwrap()
    };
    let trailers = || {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        trailers.insert("x-more", HeaderValue::from_static("at the end"));
        trailers
    };
    match does {
        _ if path == "/quick" => {
            let mut stream = respond.send_response(headers(), false).unwrap();
            stream.send_data(all.into(), false).unwrap();
            stream.send_trailers(trailers()).unwrap();
        }
        Does::Slow(_) if path.ends_with("Events") => drip(&mut respond, headers(), &saw).await,
        Does::Echo | Does::Slow(_) => {
            if let Does::Slow(time) = does {
                tokio::time::sleep(time).await;
            }
            let mut stream = respond.send_response(headers(), false).unwrap();
            stream.send_data(all.into(), false).unwrap();
            stream.send_trailers(trailers()).unwrap();
        }
        Does::TrailersOnly => {
            let response = Response::builder()
                .header("content-type", "application/grpc")
                .header("grpc-status", "12")
                .header("grpc-message", "no such%0Athing")
                .body(())
                .unwrap();
            respond.send_response(response, true).unwrap();
        }
        Does::Reset(reason) => respond.send_reset(reason),
        Does::ResetAfterData(reason) => {
            let mut stream = respond.send_response(headers(), false).unwrap();
            stream
                .send_data(Bytes::from_static(b"some"), false)
                .unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.send_reset(reason);
        }
        Does::Hang => {
            if let Ok(reason) = std::future::poll_fn(|cx| respond.poll_reset(cx)).await {
                let _ = saw.send(Saw::Reset(reason));
            }
        }
        Does::Drip => drip(&mut respond, headers(), &saw).await,
        Does::Flood => {
            let mut stream = respond.send_response(headers(), false).unwrap();
            loop {
                stream.reserve_capacity(16_384);
                let capacity = std::future::poll_fn(|cx| match stream.poll_reset(cx) {
                    Poll::Ready(reset) => Poll::Ready(Err(reset)),
                    Poll::Pending => stream.poll_capacity(cx).map(Ok),
                });
                let capacity = match capacity.await {
                    Ok(Some(Ok(capacity))) => capacity,
                    Err(Ok(reason)) => {
                        let _ = saw.send(Saw::Reset(reason));
                        return;
                    }
                    _ => return,
                };
                let data = Bytes::from(vec![0; capacity.min(16_384)]);
                sent.fetch_add(data.len(), Ordering::Relaxed);
                if stream.send_data(data, false).is_err() {
                    return;
                }
            }
        }
    }
}

async fn drip(
    respond: &mut SendResponse<Bytes>,
    headers: Response<()>,
    saw: &mpsc::UnboundedSender<Saw>,
) {
    let mut stream = respond.send_response(headers, false).unwrap();
    stream
        .send_data(Bytes::from_static(b"some"), false)
        .unwrap();
    if let Ok(reason) = std::future::poll_fn(|cx| stream.poll_reset(cx)).await {
        let _ = saw.send(Saw::Reset(reason));
    }
}
