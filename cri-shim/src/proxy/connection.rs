//! Connections of kubelet and of others that may open the socket.

use std::os::unix::net::UnixListener as StdListener;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::ProxySettings;
use super::call::Caller;
use super::upstream::Upstream;
use crate::guard::Guard;
use crate::metrics::ShimMetrics;

/// Kubelet has two; crictl and the like come and go.
const MOST_CONNECTIONS: usize = 512;
/// Calls at once on a connection. containerd names no limit; kubelet makes some dozens.
const MOST_CALLS: u32 = 10_000;
/// The HTTP/2 window of a stream: a list of 100 pods fits well.
pub(super) const STREAM_WINDOW: u32 = 1 << 20;
/// That of a connection: so many streams that are not read hold up nobody else's.
pub(super) const CONNECTION_WINDOW: u32 = STREAM_WINDOW * 256;
/// What gRPC of Go allows for headers, and so what kubelet and containerd allow each other.
pub(super) const MOST_HEADER_BYTES: u32 = 16 << 20;
/// Calls that were given up before they were looked at. While the machine is too busy to run the
/// proxy, all that kubelet began and gave up comes in one piece: as many as it may have at once.
const MOST_GIVEN_UP: usize = MOST_CALLS as usize;
/// Who has just connected is about to call, and may still do so while the proxy stops: told to go
/// elsewhere at that moment, not every client tries again.
const FIRST_CALL: Duration = Duration::from_secs(1);
/// Until the next try where accepting fails, as without free files.
const PAUSE: Duration = Duration::from_millis(100);

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: ProxySettings,
    pub(super) guard: Arc<Guard>,
    pub(super) metrics: ShimMetrics,
    pub(super) stop: CancellationToken,
}

/// Accepts until the stop, then waits for what is open.
pub(super) async fn accept(listener: StdListener, shared: &Arc<Shared>) {
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the proxy's socket can't be waited for");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        // Never closed. Who finds no place waits in the socket's queue.
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = shared.stop.cancelled() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let shared = Arc::clone(shared);
                tokio::spawn(async move {
                    let _place = place;
                    serve(stream, &shared).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    // Whoever connects from now on waits for the next process that holds the socket.
    drop(listener);
    let all = u32::try_from(MOST_CONNECTIONS).unwrap_or(u32::MAX);
    let drained = tokio::time::timeout(shared.settings.drain, places.acquire_many(all)).await;
    if drained.is_err() {
        let left = MOST_CONNECTIONS - places.available_permits();
        tracing::warn!(connections = left, "calls did not end in time and are cut");
    }
}

async fn serve(stream: UnixStream, shared: &Arc<Shared>) {
    let _open = shared.metrics.connection();
    let caller = Arc::new(Caller {
        upstream: Upstream::new(&shared.settings),
        shared: Arc::clone(shared),
        called: Notify::new(),
    });
    let calling = Arc::clone(&caller);
    let service = service_fn(move |request| Arc::clone(&calling).answer(request));
    let serving = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        // Nothing is added to what containerd says.
        .auto_date_header(false)
        .max_concurrent_streams(MOST_CALLS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MOST_HEADER_BYTES)
        .max_pending_accept_reset_streams(MOST_GIVEN_UP)
        // It would be counted over the connection's whole life, and kubelet's lasts for months.
        .max_local_error_reset_streams(None)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    let stopped = async {
        shared.stop.cancelled().await;
        let _ = tokio::time::timeout(FIRST_CALL, caller.called.notified()).await;
    };
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stopped => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}
