//! The CRI proxy: stands on a Unix socket between kubelet and containerd.
//!
//! Shape:  [`spawn`] relays on a thread and a single-threaded runtime of its own. One connection to
//!         containerd for each of kubelet's; each call's headers, frames and trailers go on as they
//!         come, in both directions, and a reset of one side resets the other. Nothing is decoded
//!         but the request of a pod that the [`Guard`] may refuse, and then a copy.
//!
//! ```text
//!   kubelet ── cri.sock ──► connection ──► call ──► upstream ── containerd.sock ──► containerd
//!                                           │ RunPodSandbox while the seal has ended
//!                                           └──► guard: PermissionDenied
//! ```
//!
//! Bounds: no message limit of its own, and no message kept: frames wait in the two sides' HTTP/2
//!         windows. What a reader does not read holds up its own stream alone.
//! Errors: `Unavailable` (14) where containerd can't be reached in time; it is dialled again at the
//!         next call. `Unimplemented` is never the proxy's own answer: kubelet remembers it for good.

mod answer;
mod call;
mod connection;
mod tally;
mod upstream;

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::guard::Guard;
use crate::metrics::ShimMetrics;

use connection::Shared;

/// How the proxy relays.
#[derive(Debug, Clone)]
pub struct ProxySettings {
    /// containerd's socket.
    pub upstream: PathBuf,
    /// For how long a call waits for containerd, where its own deadline is not sooner.
    pub dial_within: Duration,
    /// For how long calls may go on once the proxy is stopped.
    pub drain: Duration,
}

impl ProxySettings {
    /// In front of this socket: calls wait 10 s for it, and have 30 s to end.
    pub fn new(upstream: impl Into<PathBuf>) -> Self {
        Self {
            upstream: upstream.into(),
            dial_within: Duration::from_secs(10),
            drain: Duration::from_secs(30),
        }
    }
}

/// Why the proxy did not start.
#[derive(Debug, thiserror::Error)]
#[error("the proxy can't start")]
pub struct ProxyError(#[from] std::io::Error);

/// A running proxy. Dropped, it ends at once; calls under way are cut.
#[derive(Debug)]
pub struct Proxying {
    stop: CancellationToken,
    kill: CancellationToken,
    done: oneshot::Receiver<()>,
}

/// Starts to relay what comes to this listener.
pub fn spawn(
    listener: UnixListener,
    settings: ProxySettings,
    guard: Arc<Guard>,
    metrics: ShimMetrics,
) -> Result<Proxying, ProxyError> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (stop, kill) = (CancellationToken::new(), CancellationToken::new());
    let shared = Arc::new(Shared {
        settings,
        guard,
        metrics,
        stop: stop.clone(),
    });
    let (ended, done) = oneshot::channel();
    let killed = kill.clone();
    std::thread::Builder::new()
        .name("cri-proxy".to_owned())
        .spawn(move || {
            // Dropped however the thread ends: a panic is noticed too.
            let _ended = ended;
            runtime.block_on(async {
                tokio::select! {
                    () = connection::accept(listener, &shared) => {}
                    () = killed.cancelled() => {}
                }
            });
        })?;
    Ok(Proxying { stop, kill, done })
}

impl Proxying {
    /// Tells all callers to go elsewhere, takes no more, and waits for the calls under way; not
    /// longer than the settings' `drain`.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // Sent by nobody: it ends with the thread.
        let _ = (&mut self.done).await;
    }

    /// Ends when the proxy has ended by itself, which it never should.
    pub async fn ended(&mut self) {
        let _ = (&mut self.done).await;
    }
}

impl Drop for Proxying {
    fn drop(&mut self) {
        self.kill.cancel();
    }
}
