//! A listener: bound, accepting within its limits, and gone without a trace.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::config::Limits;
use crate::config::{ServerConfig, Transport};
use crate::connection::{self, Shared, Stream};
use crate::metrics::ServerMetrics;
use crate::status::{KubeStatus, StatusReason};
use crate::tls::TlsError;
use crate::tls::reload::{Current, Reloader};

/// After a failed accept (no file descriptors left, mostly) it waits this long, so
/// that it does not spin until one is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a listener could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address can't be bound.
    #[error("can't listen on {address} for {name}")]
    Bind {
        /// The listener's name.
        name: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The TLS files can't be used.
    #[error("can't serve tls for {name}")]
    Tls {
        /// The listener's name.
        name: &'static str,
        /// Why.
        #[source]
        source: TlsError,
    },
}

/// A running listener.
#[derive(Debug)]
pub struct Serving {
    /// Where it listens; with port 0 in the configuration the port that was free.
    pub address: SocketAddr,
    /// Ends once the shutdown token is cancelled and everything is drained.
    /// Aborting it closes the port and all connections at once.
    pub task: JoinHandle<()>,
}

/// Starts a listener. `shutdown` stops it: the port is closed at once, requests in
/// flight may end within [`Limits::drain`](crate::Limits::drain), the rest is cut off.
///
/// Paths and methods that `router` does not know are answered with a [`KubeStatus`]: a fallback that
/// it brings for paths is replaced, one of a route's methods is kept.
pub async fn serve(
    config: ServerConfig,
    router: Router,
    metrics: &ServerMetrics,
    shutdown: CancellationToken,
) -> Result<Serving, ServeError> {
    let name = config.name;
    let counted = metrics.listener(name);
    let reloader = match config.transport {
        Transport::Plain => None,
        Transport::Tls(files) => Some(
            Reloader::start(files, counted).map_err(|source| ServeError::Tls { name, source })?,
        ),
    };
    let bind = |source| ServeError::Bind {
        name,
        address: config.listen,
        source,
    };
    let listener = TcpListener::bind(config.listen).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;

    let tls = reloader.as_ref().map(Reloader::current);
    let reload_interval = config.limits.reload_interval;
    let shared = shared(name, config.limits, router, tls, metrics, shutdown);
    let shared = Arc::new(shared);
    let task = tokio::spawn(async move {
        // Lives as long as the listener, and no longer.
        let _reloading = reloader
            .map(|reloader| AbortOnDropHandle::new(tokio::spawn(reloader.run(reload_interval))));
        tracing::info!(listener = name, %address, "listening");
        run(&shared, Listener::Tcp(listener), name).await;
        tracing::info!(listener = name, %address, "stopped");
    });
    Ok(Serving { address, task })
}

/// What accepts.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    async fn accept(&self) -> std::io::Result<Stream> {
        Ok(match self {
            Self::Tcp(listener) => Stream::Tcp(listener.accept().await?.0),
            Self::Unix(listener) => Stream::Unix(listener.accept().await?.0),
        })
    }
}

/// What all connections of a listener share.
pub(crate) fn shared(
    name: &'static str,
    limits: Limits,
    router: Router,
    tls: Option<Current>,
    metrics: &ServerMetrics,
    shutdown: CancellationToken,
) -> Shared {
    Shared {
        router: with_fallbacks(router),
        tls,
        limits,
        metrics: metrics.listener(name),
        shutdown,
        kill: CancellationToken::new(),
        streams: TaskTracker::new(),
    }
}

pub(crate) async fn run(shared: &Arc<Shared>, listener: Listener, name: &'static str) {
    // Cancelled on drop too: an aborted server takes its streams along.
    let kill = shared.kill.clone().drop_guard();
    let gate = Arc::new(Semaphore::new(shared.limits.max_connections));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shared.shutdown.cancelled() => break,
            Some(_ended) = connections.join_next() => {}
            accepted = accept(&listener, &gate, name) => if let Some((stream, permit)) = accepted {
                let open = Open::new(shared, permit);
                let shared = Arc::clone(shared);
                connections.spawn(async move {
                    let _open = open;
                    connection::serve(shared, stream).await;
                });
            },
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(shared.limits.drain, drained)
        .await
        .is_err()
    {
        tracing::warn!(
            listener = name,
            connections = connections.len(),
            "connections were cut off at the end of the drain"
        );
    }
    drop(kill);
    connections.shutdown().await;
    shared.streams.close();
    shared.streams.wait().await;
}

/// Waits for a free place, then for a connection, in this order: what is not yet
/// accepted waits in the kernel and costs this process nothing.
async fn accept(
    listener: &Listener,
    gate: &Arc<Semaphore>,
    name: &'static str,
) -> Option<(Stream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(gate).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok(stream) => Some((stream, permit)),
        Err(error) => {
            tracing::warn!(listener = name, error = %error, "accept failed");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Counts an open connection and holds its place.
struct Open {
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

impl Open {
    fn new(shared: &Arc<Shared>, permit: OwnedSemaphorePermit) -> Self {
        shared.metrics.connections.inc();
        Self {
            shared: Arc::clone(shared),
            _permit: permit,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.metrics.connections.dec();
    }
}

fn with_fallbacks(router: Router) -> Router {
    router
        .method_not_allowed_fallback(|| async {
            KubeStatus::new(
                StatusReason::MethodNotAllowed,
                "this method is not answered here",
            )
        })
        .fallback(|| async { KubeStatus::new(StatusReason::NotFound, "there is nothing here") })
}
