//! Calls to a Sui full node over `sui.rpc.v2`.
//!
//! Shape:  every unary call has a deadline, is counted, and its answer comes with what the node
//!         said of itself in the headers ([`ChainHead`]). When the chain is known, an answer
//!         from another chain is an error.
//! Errors: [`LedgerError`], by gRPC code alone. Nothing is retried here: the caller knows
//!         whether it may.
//! Source: answers recorded from Sui 1.57 (`testdata/sui-1.57`).

mod answer;
mod executed;
mod object;
mod parse;
mod read;
mod stream;
mod transact;

use std::future::Future;
use std::time::Duration;

use sui_rpc::Client;
use tonic::transport::{ClientTlsConfig, Endpoint};
use tonic::{Request, Response, Status};

pub use answer::{Answer, ChainHead};
pub use executed::{Abort, Changed, Executed, Failure, FailureKind, GasUsed, RawEvent};
pub use object::{Coin, Object, ObjectRead, Owner, Package};
pub use read::{Coins, ServiceInfo};
pub use stream::FrameStream;

use crate::chain_id::ChainId;
use crate::error::LedgerError;
use crate::metrics::{LedgerMetrics, Method};

/// The most objects in one request. Sui 1.57 has no limit of its own; later nodes may.
pub const MAX_BATCH: usize = 50;

/// How to talk to a node.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Until the TCP and TLS connection stands. 3 s: a near node takes milliseconds.
    pub connect_timeout: Duration,
    /// From the request to the end of the answer, for reads. 5 s: a busy node took 0.4 s for
    /// 20,000 objects; a review waits 2 s in all and cuts the call short itself.
    pub read_deadline: Duration,
    /// The same for ExecuteTransaction. 15 s: a node gives up after 90 s, and the outcome is
    /// then unknown all the same; we look it up sooner.
    pub execute_deadline: Duration,
    /// How long a stream may be silent. 5 s: a checkpoint comes about every 0.25 s, 1.2 s at
    /// worst on a loaded network; a node neither pings nor says goodbye.
    pub frame_deadline: Duration,
    /// The largest answer. 128 MiB: a stranger's one transaction makes a frame of 30 MiB, and a
    /// follower that can't decode it is blind for good.
    pub max_message_bytes: usize,
    /// HTTP/2 pings while calls are under way. 5 s: a dead peer is noticed without a frame.
    pub keepalive_interval: Duration,
    /// How long a ping may stay without answer.
    pub keepalive_timeout: Duration,
    /// The chain that must answer; none accepts any (before there is a contract file).
    pub chain: Option<ChainId>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            read_deadline: Duration::from_secs(5),
            execute_deadline: Duration::from_secs(15),
            frame_deadline: Duration::from_secs(5),
            max_message_bytes: 128 * 1024 * 1024,
            keepalive_interval: Duration::from_secs(5),
            keepalive_timeout: Duration::from_secs(5),
            chain: None,
        }
    }
}

/// A connection to one full node. Clones share it; it connects when first used and again by
/// itself when it broke.
#[derive(Clone)]
pub struct LedgerClient {
    client: Client,
    settings: ClientSettings,
    metrics: LedgerMetrics,
}

impl std::fmt::Debug for LedgerClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LedgerClient")
            .field("endpoint", self.client.uri())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl LedgerClient {
    /// A client for the node at `endpoint`. Does not connect yet.
    ///
    /// Must be called inside a tokio runtime.
    pub fn new(
        endpoint: &str,
        settings: ClientSettings,
        metrics: LedgerMetrics,
    ) -> Result<Self, LedgerError> {
        let wrong = |source| LedgerError::Endpoint {
            endpoint: endpoint.to_owned(),
            source,
        };
        let mut channel = Endpoint::from_shared(endpoint.to_owned()).map_err(wrong)?;
        if channel.uri().scheme_str() == Some("https") {
            channel = channel
                .tls_config(ClientTlsConfig::new().with_enabled_roots())
                .map_err(wrong)?;
        }
        let channel = channel
            .connect_timeout(settings.connect_timeout)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(Duration::from_secs(15)))
            .http2_keep_alive_interval(settings.keepalive_interval)
            .keep_alive_timeout(settings.keepalive_timeout)
            // One stream that nobody reads must not starve the calls beside it.
            .initial_stream_window_size(2 * 1024 * 1024)
            .initial_connection_window_size(64 * 1024 * 1024);
        let client = Client::from_endpoint(&channel)
            .with_max_decoding_message_size(settings.max_message_bytes);
        Ok(Self {
            client,
            settings,
            metrics,
        })
    }

    /// How this client talks to its node.
    #[must_use]
    pub const fn settings(&self) -> &ClientSettings {
        &self.settings
    }

    /// The counters.
    pub(crate) const fn metrics(&self) -> &LedgerMetrics {
        &self.metrics
    }

    /// The SDK's client; its service clients want a `&mut` and are cheap to make.
    fn sdk(&self) -> Client {
        self.client.clone()
    }

    /// One unary call: deadline, headers, chain, count.
    async fn call<Q, A, F, T>(
        &self,
        method: Method,
        deadline: Duration,
        request: Q,
        send: impl FnOnce(Client, Request<Q>) -> F,
        read: impl FnOnce(A) -> Result<T, LedgerError>,
    ) -> Result<Answer<T>, LedgerError>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let guard = self.metrics.start(method);
        let result = self.call_uncounted(deadline, request, send, read).await;
        guard.finish(&result);
        result
    }

    async fn call_uncounted<Q, A, F, T>(
        &self,
        deadline: Duration,
        request: Q,
        send: impl FnOnce(Client, Request<Q>) -> F,
        read: impl FnOnce(A) -> Result<T, LedgerError>,
    ) -> Result<Answer<T>, LedgerError>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut request = Request::new(request);
        // Tells the node; the timer around it holds even if nothing comes back at all.
        request.set_timeout(deadline);
        let response = tokio::time::timeout(deadline, send(self.sdk(), request))
            .await
            .map_err(|_| LedgerError::Deadline { after: deadline })?
            .map_err(|status| LedgerError::from_status(status, deadline))?;
        let head = ChainHead::read(response.metadata())?;
        head.check_chain(self.settings.chain.as_ref())?;
        Ok(Answer {
            head,
            value: read(response.into_inner())?,
        })
    }
}
