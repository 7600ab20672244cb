//! The connection to containerd that belongs to one of kubelet's.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::ProxySettings;
use super::call::RequestBody;
use super::connection::{CONNECTION_WINDOW, MOST_HEADER_BYTES, STREAM_WINDOW};
use crate::metrics::ShimMetrics;

/// Between two tries.
pub(super) const AGAIN: Duration = Duration::from_millis(50);
/// containerd accepts at once or not at all; its answer to the handshake is not waited for.
const ONE_TRY: Duration = Duration::from_secs(2);
/// Calls given up whose last frames from containerd are still awaited, to be passed over.
const MOST_GIVEN_UP: usize = 1_024;

type Sender = SendRequest<RequestBody>;

/// Dialled at the first call, and again at the next one after it ended.
#[derive(Debug)]
pub(super) struct Upstream {
    path: PathBuf,
    within: Duration,
    open: Mutex<Option<Sender>>,
    dialling: tokio::sync::Mutex<()>,
}

impl Upstream {
    pub(super) fn new(settings: &ProxySettings) -> Self {
        Self {
            path: settings.upstream.clone(),
            within: settings.dial_within,
            open: Mutex::new(None),
            dialling: tokio::sync::Mutex::new(()),
        }
    }

    /// A way to containerd, waited for not longer than this, nor than the settings say.
    pub(super) async fn get(
        &self,
        deadline: Option<Duration>,
        metrics: &ShimMetrics,
    ) -> Result<Sender, std::io::Error> {
        if let Some(open) = self.open() {
            return Ok(open);
        }
        let within = deadline.map_or(self.within, |deadline| deadline.min(self.within));
        let until = Instant::now() + within;
        let late = || std::io::Error::from(std::io::ErrorKind::TimedOut);
        // The calls that come meanwhile wait for this one's connection.
        let _one = tokio::time::timeout_at(until, self.dialling.lock())
            .await
            .map_err(|_| late())?;
        loop {
            if let Some(open) = self.open() {
                return Ok(open);
            }
            let tried = tokio::time::timeout(ONE_TRY, self.dial()).await;
            let error = match tried.unwrap_or_else(|_| Err(late())) {
                Ok(sender) => {
                    metrics.dialled(true);
                    *self.lock() = Some(sender.clone());
                    return Ok(sender);
                }
                Err(error) => error,
            };
            metrics.dialled(false);
            if Instant::now() + AGAIN >= until {
                return Err(error);
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn open(&self) -> Option<Sender> {
        let mut open = self.lock();
        if open.as_ref().is_some_and(Sender::is_closed) {
            *open = None;
        }
        open.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Sender>> {
        // Held for no more than a clone: nothing in it can be half done.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn dial(&self) -> std::io::Result<Sender> {
        let stream = UnixStream::connect(&self.path).await?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            // As those towards kubelet: what one side takes the other may hold.
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MOST_HEADER_BYTES)
            .max_concurrent_reset_streams(MOST_GIVEN_UP)
            // Frames for calls given up long ago are no attack, however many in a connection's life.
            .max_local_error_reset_streams(None)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to containerd ended");
            }
        });
        Ok(sender)
    }
}
