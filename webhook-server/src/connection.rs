//! One connection, from its handshake to its end.
//!
//! The protocol is what ALPN agreed on (HTTP/1.1 where nothing was), so no first
//! bytes are guessed at, and a client that sends none meets the header timeout.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Limits;
use crate::metrics::{HandshakeOutcome, ListenerMetrics};
use crate::tls::reload::Current;

/// HTTP/1 heads of our callers have under 2 KiB; a bearer token at most adds 16.
const MAX_HEAD: usize = 32 * 1024;

/// What all connections of a listener share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) router: Router,
    pub(crate) tls: Option<Current>,
    pub(crate) limits: Limits,
    pub(crate) metrics: ListenerMetrics,
    /// No new requests; those in flight may end.
    pub(crate) shutdown: CancellationToken,
    /// Everything ends now.
    pub(crate) kill: CancellationToken,
    /// Tasks of HTTP/2 streams, which hyper spawns beside the connection's own.
    pub(crate) streams: TaskTracker,
}

/// Whom a listener has accepted.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Serves a connection until it ends.
pub(crate) async fn serve(shared: Arc<Shared>, stream: Stream) {
    let stream = match stream {
        Stream::Tcp(stream) => stream,
        Stream::Unix(stream) => return serve_http1(&shared, stream).await,
    };
    // Answers are small and complete: waiting for more to send only adds latency.
    let _ = stream.set_nodelay(true);
    let Some(tls) = &shared.tls else {
        return serve_http1(&shared, stream).await;
    };
    let handshake = TlsAcceptor::from(tls.load()).accept(stream);
    let stream = tokio::select! {
        () = shared.shutdown.cancelled() => return,
        done = tokio::time::timeout(shared.limits.handshake_timeout, handshake) => match done {
            Ok(Ok(stream)) => {
                shared.metrics.handshake(HandshakeOutcome::Done);
                stream
            }
            Ok(Err(error)) => {
                shared.metrics.handshake(HandshakeOutcome::Failed);
                tracing::debug!(error = %error, "tls handshake failed");
                return;
            }
            Err(_elapsed) => {
                shared.metrics.handshake(HandshakeOutcome::TimedOut);
                return;
            }
        },
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        serve_http2(&shared, stream).await;
    } else {
        serve_http1(&shared, stream).await;
    }
}

async fn serve_http1<I>(shared: &Arc<Shared>, stream: I)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let requests = Requests::new(&shared.router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.header_read_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), requests.clone());
    drive(shared, &requests, connection, |connection| {
        connection.graceful_shutdown();
    })
    .await;
}

async fn serve_http2<I>(shared: &Arc<Shared>, stream: I)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let requests = Requests::new(&shared.router);
    let executor = Streams {
        tracker: shared.streams.clone(),
        kill: shared.kill.clone(),
    };
    let connection = http2::Builder::new(executor)
        .timer(TokioTimer::new())
        .max_concurrent_streams(shared.limits.max_streams)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        // Finds peers that vanished without a word.
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .serve_connection(TokioIo::new(stream), requests.clone());
    drive(shared, &requests, connection, |connection| {
        connection.graceful_shutdown();
    })
    .await;
}

/// Polls a connection; closes it when it is idle or the server shuts down.
async fn drive<C, E>(
    shared: &Shared,
    requests: &Requests,
    connection: C,
    close: impl Fn(Pin<&mut C>),
) where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let mut connection = pin!(connection);
    let mut seen = requests.count();
    let mut idle = pin!(tokio::time::sleep(shared.limits.idle_timeout));
    loop {
        tokio::select! {
            // The connection first: it is what nearly every wake-up is for.
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error = %error, "connection ended with an error");
                }
                return;
            }
            () = shared.shutdown.cancelled() => break,
            () = idle.as_mut() => {
                let count = requests.count();
                if count == seen {
                    break;
                }
                seen = count;
                idle.set(tokio::time::sleep(shared.limits.idle_timeout));
            }
        }
    }
    close(connection.as_mut());
    // Whoever does not read its answers must not keep the connection open.
    let _ = tokio::time::timeout(shared.limits.drain, connection).await;
}

/// Hands requests to the router and counts them.
#[derive(Debug, Clone)]
struct Requests {
    router: Router,
    count: Arc<AtomicU64>,
}

impl Requests {
    fn new(router: &Router) -> Self {
        Self {
            router: router.clone(),
            count: Arc::default(),
        }
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response;
    type Error = Infallible;
    type Future = axum::routing::future::RouteFuture<Infallible>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.count.fetch_add(1, Ordering::Relaxed);
        // A router is always ready and its clone is one reference count.
        tower::Service::call(&mut self.router.clone(), request.map(Body::new))
    }
}

/// Spawns the tasks of HTTP/2 streams where the server can end and await them.
#[derive(Debug, Clone)]
struct Streams {
    tracker: TaskTracker,
    kill: CancellationToken,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        let kill = self.kill.clone();
        self.tracker.spawn(async move {
            kill.run_until_cancelled_owned(stream).await;
        });
    }
}
