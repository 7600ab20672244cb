//! Misses: one read for all who ask for the same key, many keys in one read, all of it bounded.
//!
//! Shape:  a miss joins the flight of its key or starts one; flights queue for the dispatcher,
//!         which takes up to `read_batch` of them for each free slot, so that a flood of random
//!         tokens costs one read for 49 of them and never more than `read_concurrency` at once.
//! Errors: a read that fails or lags is tried again within its tries; then every waiter is told
//!         why. A caller that goes away cancels nothing for the others.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::chain::{Answer, Chain, ChainError, Key};
use super::clock::millis;
use super::core::{FillRefused, Found};
use super::state::State;
use super::unavailable::Unavailable;
use crate::client::MAX_BATCH;

type Outcome = Result<Found, Unavailable>;

/// Where those who wait for a key find its answer.
pub(crate) type Flight = watch::Receiver<Option<Outcome>>;

/// A key to read. When it is dropped without an answer, those who wait are told so.
#[derive(Debug)]
pub(crate) struct Job {
    key: Key,
    state: Arc<State>,
    answer: watch::Sender<Option<Outcome>>,
}

impl Job {
    fn finish(self, outcome: Outcome) {
        self.answer.send_replace(Some(outcome));
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // First no new waiter, then the answer for those who wait already.
        let mut flights = self
            .state
            .flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        flights.remove(&self.key);
        drop(flights);
        self.answer.send_if_modified(|answer| {
            let unanswered = answer.is_none();
            answer.get_or_insert(Err(Unavailable::ReadFailed));
            unanswered
        });
    }
}

impl State {
    /// Reads a key that is not cached, together with all others who ask for it now.
    pub(crate) async fn read_through(self: &Arc<Self>, key: Key) -> Outcome {
        let _waiting = self
            .waiters
            .try_acquire()
            .map_err(|_| Unavailable::Overloaded)?;
        let mut flight = self.board(key)?;
        let answered = timeout(self.config.lookup_timeout, flight.wait_for(Option::is_some));
        let outcome = match answered.await {
            Ok(Ok(answer)) => answer.clone().unwrap_or(Err(Unavailable::ReadFailed)),
            Ok(Err(_closed)) => Err(Unavailable::ReadFailed),
            Err(_elapsed) => Err(Unavailable::ReadTimedOut),
        };
        // Time has passed since the caller looked whether answers may be given.
        let found = outcome?;
        self.shared.check(self.clock.now())?;
        Ok(found)
    }

    fn board(self: &Arc<Self>, key: Key) -> Result<Flight, Unavailable> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&key) {
            return Ok(flight.clone());
        }
        if !self.breaker(super::breaker::Breaker::allows) {
            return Err(Unavailable::CircuitOpen);
        }
        let seat = match self.jobs.try_reserve() {
            Ok(seat) => seat,
            Err(mpsc::error::TrySendError::Full(())) => return Err(Unavailable::Overloaded),
            Err(mpsc::error::TrySendError::Closed(())) => return Err(Unavailable::ReadFailed),
        };
        let (answer, flight) = watch::channel(None);
        flights.insert(key.clone(), flight.clone());
        drop(flights);
        seat.send(Job {
            key,
            state: Arc::clone(self),
            answer,
        });
        Ok(flight)
    }
}

/// Hands waiting keys to readers until it is told to stop.
pub(crate) async fn dispatch<C: Chain>(
    state: Arc<State>,
    chain: Arc<C>,
    mut jobs: mpsc::Receiver<Job>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let slots = Arc::new(Semaphore::new(state.config.read_concurrency.max(1)));
    // One object of a batch is the pool.
    let batch = state.config.read_batch.clamp(1, MAX_BATCH - 1);
    let serve = async {
        // The slot first: keys that come meanwhile travel in the same read.
        while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
            let mut taken = Vec::new();
            if jobs.recv_many(&mut taken, batch).await == 0 {
                return;
            }
            tasks.spawn(read_batch(state.clone(), chain.clone(), taken, slot));
        }
    };
    stop.run_until_cancelled(serve).await;
    // Tells all who still wait, and closes the door for more: the state holds a sender, so
    // the channel does not close by itself.
    jobs.close();
    while jobs.try_recv().is_ok() {}
}

async fn read_batch<C: Chain>(
    state: Arc<State>,
    chain: Arc<C>,
    mut waiting: Vec<Job>,
    _slot: OwnedSemaphorePermit,
) {
    let mut last = Unavailable::ReadBehind;
    for attempt in 0..state.config.read_tries.max(1) {
        if attempt > 0 {
            tokio::time::sleep(pause(&state, attempt)).await;
        }
        let keys: Vec<Key> = waiting.iter().map(|job| job.key.clone()).collect();
        match read(&state, chain.as_ref(), &keys).await {
            Ok(answer) => waiting = settle(&state, waiting, answer, &mut last),
            Err(ChainError::Unreachable | ChainError::NotFound) => last = Unavailable::ReadFailed,
            Err(error) => {
                last = unavailable(error);
                break;
            }
        }
        if waiting.is_empty() {
            return;
        }
    }
    for job in waiting {
        job.finish(Err(last));
    }
}

/// One read with its deadline, counted and told to the breaker.
pub(crate) async fn read<C: Chain>(
    state: &State,
    chain: &C,
    keys: &[Key],
) -> Result<Answer, ChainError> {
    let answer = timeout(state.config.read_timeout, chain.read(keys))
        .await
        .unwrap_or(Err(ChainError::TimedOut))
        .and_then(|answer| {
            if answer.rows.len() == keys.len() {
                Ok(answer)
            } else {
                Err(ChainError::Undecodable)
            }
        });
    let outcome = answer.as_ref().map(|_| ()).map_err(|error| *error);
    state.metrics.read(outcome, keys.len());
    state.breaker(|breaker, now| match outcome {
        Ok(()) => breaker.succeeded(),
        Err(_) => breaker.failed(now),
    });
    if let Err(error) = outcome {
        tracing::debug!(reason = error.label(), "read of the chain failed");
    }
    answer
}

/// Gives each waiting key its answer; hands back those that have to be read again.
fn settle(state: &State, waiting: Vec<Job>, answer: Answer, last: &mut Unavailable) -> Vec<Job> {
    let mut again = Vec::new();
    for (job, row) in waiting.into_iter().zip(answer.rows) {
        let Ok(row) = row else {
            job.finish(Err(Unavailable::Undecodable));
            continue;
        };
        // The core is locked for one key at a time: a frame need not wait for the whole batch.
        let offered =
            state.with_core(|core, now| core.offer_fill(&job.key, row, &answer.pool, now));
        match offered {
            Ok(found) => job.finish(Ok(found)),
            Err(FillRefused::Behind) => {
                *last = Unavailable::ReadBehind;
                again.push(job);
            }
            Err(FillRefused::NotLive) => {
                *last = Unavailable::Gap;
                again.push(job);
            }
            Err(FillRefused::Stale) => {
                let latest = state.shared.latest(state.clock.now());
                let for_ms = latest.0.saturating_sub(answer.pool.at.0);
                job.finish(Err(Unavailable::Stale { for_ms }));
            }
            Err(FillRefused::Contradiction) => {
                tracing::warn!(key = %job.key, "the node denies a row it had shown before");
                job.finish(Err(Unavailable::Undecodable));
            }
        }
    }
    again
}

const fn unavailable(error: ChainError) -> Unavailable {
    match error {
        ChainError::Unreachable | ChainError::NotFound => Unavailable::ReadFailed,
        ChainError::TimedOut => Unavailable::ReadTimedOut,
        ChainError::WrongChain => Unavailable::WrongChain,
        ChainError::Undecodable => Unavailable::Undecodable,
    }
}

/// Longer with each try, and never in step with others.
fn pause(state: &State, attempt: u32) -> Duration {
    let base = millis(state.config.retry_pause.saturating_mul(attempt));
    Duration::from_millis(base + rand::random_range(0..=base / 4))
}
