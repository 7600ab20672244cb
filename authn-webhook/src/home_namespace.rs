//! A holder's first namespace, made when a seal of developer or more first comes.
//!
//! The namespace is a convenience of the first request, not a condition of
//! authentication: whoever is who they are stays so while a namespace can't be made.
//! So a review waits for it a bounded time and succeeds either way; after a failure
//! the first review some seconds later tries again. Nothing is granted by a
//! missing namespace: what the holder may do in it is the authorizer's decision.
//!
//! Shape:  whether the namespace is there is asked of the maker with every review, which
//!         knows it without I/O, so that one that is deleted is made anew. Attempts for one
//!         owner and tier are one. An attempt outlives the review that began it, since the
//!         API server remembers the yes for up to 20 s and asks no more: attempts wait in
//!         line here, and how many the API server is asked for at once is the maker's.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use seal::{Address, Tier};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::metrics::AuthnMetrics;
use crate::throttle::Throttle;

/// One attempt may take this long in all, its place in line included: as long as the API
/// server remembers a yes, and somewhat more. Then the next review begins anew.
const ATTEMPT: Duration = Duration::from_secs(30);
/// What the API server failed at is tried again within the attempt, after pauses from here
/// on, each twice the last.
const FIRST_RETRY: Duration = Duration::from_millis(500);
/// After an attempt, and while a slow one goes on, no review waits again for this long.
const PAUSE: Duration = Duration::from_secs(5);
/// Owners that are not waited for; about 100 bytes each.
const MAX_PAUSED: u64 = 100_000;
/// Attempts at once, waiting and running: a thousand tenants may come in one moment, and
/// an API server that does not answer must not collect tasks here. About 4 MB.
const MAX_ATTEMPTS: usize = 1_024;

/// Makes namespaces. Implemented where there is a client of the API server.
pub trait HomeNamespace: Send + Sync + 'static {
    /// Whether the owner's first namespace is known to be there, with all that belongs to
    /// it for this tier. Asked with every review: at once, and without I/O. A no costs a
    /// call of [`Self::ensure`] now and then.
    fn is_there(&self, owner: &Address, tier: Tier) -> bool;

    /// Makes sure that the owner's first namespace is there, with all that belongs to
    /// it for this tier. What is there already is a success. Up to a thousand calls wait at
    /// once: how many requests that makes at once is the implementation's to bound.
    fn ensure(
        &self,
        owner: &Address,
        tier: Tier,
    ) -> impl Future<Output = Result<(), HomeNamespaceError>> + Send;
}

/// Why a namespace is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeNamespaceError {
    /// A namespace of that name exists and is not this owner's. It is left alone.
    #[error("a namespace of that name belongs to somebody else")]
    Taken,
    /// The API server refused or could not be reached. May be tried again.
    #[error("the API server did not make the namespace")]
    Api(#[source] Box<dyn Error + Send + Sync>),
}

/// Makes none: for a server that has no client of the API server.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHomeNamespace;

impl HomeNamespace for NoHomeNamespace {
    fn is_there(&self, _owner: &Address, _tier: Tier) -> bool {
        true
    }

    async fn ensure(&self, _owner: &Address, _tier: Tier) -> Result<(), HomeNamespaceError> {
        Ok(())
    }
}

/// How an attempt ended. A closed set: metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Attempt {
    /// It is there.
    Ready,
    /// Somebody else has the name.
    Taken,
    /// The API server failed.
    Failed,
    /// The API server, or the line before it, took too long.
    TimedOut,
    /// Too many attempts wait or run already.
    Busy,
}

impl Attempt {
    pub(crate) const ALL: [Self; 5] = [
        Self::Ready,
        Self::Taken,
        Self::Failed,
        Self::TimedOut,
        Self::Busy,
    ];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Taken => "taken",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Busy => "busy",
        }
    }
}

/// The tier is part of it, since quotas go by tier.
type Key = (Address, Tier);

/// Coalesces and bounds attempts.
#[derive(Debug)]
pub(crate) struct HomeNamespaces<H> {
    shared: Arc<Shared<H>>,
    /// Ends the attempts together with the last review.
    _stop: DropGuard,
    stopped: CancellationToken,
}

#[derive(Debug)]
struct Shared<H> {
    maker: H,
    paused: Cache<Key, ()>,
    /// One entry a running attempt; its channel closes when the first try ends.
    running: Mutex<HashMap<Key, watch::Receiver<()>>>,
    metrics: AuthnMetrics,
    failures: Throttle,
}

impl<H: HomeNamespace> HomeNamespaces<H> {
    pub(crate) fn new(maker: H, metrics: AuthnMetrics) -> Self {
        let paused = Cache::builder()
            .max_capacity(MAX_PAUSED)
            .time_to_live(PAUSE)
            .build();
        let stopped = CancellationToken::new();
        Self {
            shared: Arc::new(Shared {
                maker,
                paused,
                running: Mutex::default(),
                metrics,
                failures: Throttle::new(),
            }),
            _stop: stopped.clone().drop_guard(),
            stopped,
        }
    }

    /// Whether there is nothing to do, at once.
    pub(crate) fn is_there(&self, owner: &Address, tier: Tier) -> bool {
        self.shared.maker.is_there(owner, tier)
    }

    /// Makes sure of the namespace, or gives up after `patience`. For one that is not
    /// [there](Self::is_there).
    pub(crate) async fn ensure(&self, owner: Address, tier: Tier, patience: Duration) {
        let key = (owner, tier);
        if self.shared.paused.contains_key(&key) {
            return;
        }
        let Some(mut ended) = self.attempt(key) else {
            return;
        };
        // An error is what an ended attempt looks like from here.
        let waited = tokio::time::timeout(patience, ended.changed()).await;
        if waited.is_err() {
            self.shared.paused.insert(key, ());
        }
    }

    /// Joins the attempt that runs for this key, or starts one; none if there are too many.
    fn attempt(&self, key: Key) -> Option<watch::Receiver<()>> {
        let mut running = self.shared.running();
        let full = running.len() >= MAX_ATTEMPTS;
        let slot = match running.entry(key) {
            Entry::Occupied(entry) => return Some(entry.get().clone()),
            Entry::Vacant(slot) => slot,
        };
        if full {
            drop(running);
            self.shared.metrics.home_namespace(Attempt::Busy);
            return None;
        }
        let (sender, ended) = watch::channel(());
        slot.insert(ended.clone());
        drop(running);
        let guard = Running {
            shared: Arc::clone(&self.shared),
            key,
            ended: Some(sender),
        };
        let stopped = self.stopped.clone();
        tokio::spawn(async move {
            stopped.run_until_cancelled_owned(guard.make()).await;
        });
        Some(ended)
    }
}

impl<H: HomeNamespace> Shared<H> {
    async fn make_once(&self, key: Key, until: Instant) -> Attempt {
        let (owner, tier) = key;
        let made = tokio::time::timeout_at(until, self.maker.ensure(&owner, tier)).await;
        let (attempt, error) = match made {
            Ok(Ok(())) => (Attempt::Ready, None),
            Ok(Err(error @ HomeNamespaceError::Taken)) => (Attempt::Taken, Some(error)),
            Ok(Err(error @ HomeNamespaceError::Api(_))) => (Attempt::Failed, Some(error)),
            Err(_elapsed) => (Attempt::TimedOut, None),
        };
        self.metrics.home_namespace(attempt);
        // After a success too: the maker may learn of it late.
        self.paused.insert(key, ());
        if attempt != Attempt::Ready && self.failures.allows() {
            tracing::warn!(
                namespace = seal::identity::home_namespace(&owner),
                outcome = attempt.label(),
                error = error.as_ref().map(|error| error as &(dyn Error + 'static)),
                "a holder's namespace was not made"
            );
        }
        attempt
    }
}

impl<H> Shared<H> {
    fn running(&self) -> MutexGuard<'_, HashMap<Key, watch::Receiver<()>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a running attempt off the list however it ends.
struct Running<H> {
    shared: Arc<Shared<H>>,
    key: Key,
    /// Gone once nobody need wait any more.
    ended: Option<watch::Sender<()>>,
}

impl<H: HomeNamespace> Running<H> {
    /// Makes the namespace, however often that takes. Reviews wait for the first try alone.
    async fn make(mut self) {
        let until = Instant::now() + ATTEMPT;
        let mut pause = FIRST_RETRY;
        while self.shared.make_once(self.key, until).await == Attempt::Failed {
            self.ended = None;
            if Instant::now() + pause >= until {
                return;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

impl<H> Drop for Running<H> {
    fn drop(&mut self) {
        self.shared.running().remove(&self.key);
    }
}

#[cfg(test)]
mod tests;
