//! The directory's other tasks: reading the pool, reading what is watched, expiring, writing
//! ends down, and showing how things stand.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use tokio::time::{sleep, timeout};

use super::chain::{Chain, ChainError, Key};
use super::core::{SyncRefused, SyncTicket};
use super::ends::Work;
use super::ends_file::EndsFile;
use super::reader::read;
use super::state::State;
use super::unavailable::Unavailable;
use crate::chain_id::ChainId;

/// The file of ends; taken out when the directory stops, which frees it for the next process.
pub(crate) type EndsSlot = Arc<Mutex<Option<EndsFile>>>;

/// How often expiries are looked for and gauges set.
const TICK: Duration = Duration::from_millis(250);
/// Expiries reported in one hold of the core's mutex.
const EXPIRE_AT_ONCE: usize = 256;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Watched seals read at once; they queue behind nobody, and leave room for look-ups.
const REREADS_AT_ONCE: usize = 512;

/// Reads the pool whenever the view has to be opened.
pub(crate) async fn keep_synced<C: Chain>(state: Arc<State>, chain: Arc<C>, expected: ChainId) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(ticket) = state.look(super::core::Core::sync_ticket) else {
            pause = FIRST_PAUSE;
            // A notice between the look and the wait is kept by `Notify`.
            state.wake_sync.notified().await;
            continue;
        };
        match sync(&state, chain.as_ref(), expected, ticket).await {
            Ok(()) => tracing::info!(checkpoint = ticket.min_height, "pool read, view open"),
            Err(reason) => {
                tracing::debug!(reason, "pool not read, trying again");
                sleep(pause).await;
                pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            }
        }
    }
}

async fn sync<C: Chain>(
    state: &State,
    chain: &C,
    expected: ChainId,
    ticket: SyncTicket,
) -> Result<(), &'static str> {
    // An answer names its node's height as of its end. So the node is asked first, and the
    // read that counts begins when it is known to have got far enough.
    let info = timeout(state.config.connect_timeout, chain.info())
        .await
        .unwrap_or(Err(ChainError::TimedOut))
        .map_err(ChainError::label)?;
    if info.chain != expected {
        return Err(ChainError::WrongChain.label());
    }
    if info.height < ticket.min_height {
        return Err("behind");
    }
    let answer = read(state, chain, &[]).await.map_err(ChainError::label)?;
    state
        .with_core(|core, now| core.offer_sync(ticket, &answer.pool, now))
        .map_err(SyncRefused::label)
}

/// Reads the pool now and then. A read that fails says nothing: the stream's age is judged
/// elsewhere.
pub(crate) async fn keep_audited<C: Chain>(state: Arc<State>, chain: Arc<C>) {
    loop {
        sleep(state.config.audit_interval).await;
        if !state.look(super::core::Core::is_live) {
            continue;
        }
        match read(&state, chain.as_ref(), &[]).await {
            Ok(answer) => state.with_core(|core, now| core.offer_audit(&answer.pool, now)),
            Err(error) => tracing::debug!(error = error.label(), "pool not read"),
        }
    }
}

/// Reads watched seals after a loss; differences are reported as if they had been streamed.
pub(crate) async fn keep_watched_read(state: Arc<State>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let hashes = state.look(|core| core.to_reread(usize::MAX));
        if hashes.is_empty() {
            pause = FIRST_PAUSE;
            state.wake_reread.notified().await;
            continue;
        }
        let failed = futures::stream::iter(hashes)
            .map(|hash| state.read_through(Key::Seal(hash)))
            .buffer_unordered(REREADS_AT_ONCE)
            .filter(|outcome| std::future::ready(outcome.is_err()))
            .count()
            .await;
        if failed > 0 {
            tracing::debug!(failed, "watched seals not read, trying again");
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }
}

/// Reports expiries, sets the gauges, and says when answers stop and start.
pub(crate) async fn keep_time(state: Arc<State>) {
    let mut was = Err(Unavailable::Starting);
    loop {
        while state.with_core(|core, now| core.expire(EXPIRE_AT_ONCE, now)) {
            tokio::task::yield_now().await;
        }
        let now = state.clock.now();
        let is = state.shared.check(now);
        report(&was, &is);
        was = is;
        set_gauges(&state, is.is_ok());
        sleep(TICK).await;
    }
}

fn report(was: &Result<(), Unavailable>, is: &Result<(), Unavailable>) {
    match (was, is) {
        (Err(_), Ok(())) => tracing::info!("seal directory gives answers"),
        (Ok(()), Err(why)) => {
            tracing::warn!(
                reason = why.label(),
                "seal directory gives no answers: {why}"
            );
        }
        (Err(was), Err(why)) if was.label() != why.label() => {
            tracing::warn!(
                reason = why.label(),
                "seal directory gives no answers: {why}"
            );
        }
        _ => {}
    }
}

fn set_gauges(state: &State, fresh: bool) {
    let metrics = &state.metrics;
    let shared = &state.shared;
    let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let age = Duration::from_millis(shared.staleness_ms(state.clock.now()));
    metrics.staleness.set(age.as_secs_f64());
    metrics.fresh.set(i64::from(fresh));
    metrics.records.set(gauge(shared.records.len()));
    metrics.absences.set(gauge(shared.absences.len()));
    metrics.ends.set(gauge(shared.ends().len()));
    let (checkpoint, watched) = state.look(|core| (core.position().0, core.watched()));
    metrics.watched.set(gauge(watched));
    let checkpoint = checkpoint.and_then(|number| i64::try_from(number).ok());
    metrics.checkpoint.set(checkpoint.unwrap_or(0));
}

/// Writes ends down as they come.
pub(crate) async fn keep_ends(state: Arc<State>, file: EndsSlot) {
    loop {
        state.wake_ends.notified().await;
        while !write_ends(&state, &file).await {
            sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Writes what there is to write; false if it has to be tried again.
pub(crate) async fn write_ends(state: &Arc<State>, file: &EndsSlot) -> bool {
    let (state, file) = (state.clone(), file.clone());
    let written = tokio::task::spawn_blocking(move || {
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = file.as_mut() else {
            return true;
        };
        let Some(work) = state.shared.ends_mut().take_work() else {
            return true;
        };
        let mut written = match work {
            Work::Append(entries) => file.append(&entries),
            Work::Rewrite => {
                let all = state.shared.ends().all();
                file.rewrite(&all)
            }
        };
        if written.is_ok() {
            let live = state.shared.ends().len();
            if file.wants_rewrite(live) {
                let all = state.shared.ends().all();
                written = file.rewrite(&all);
            }
        }
        if let Err(error) = &written {
            tracing::error!(%error, "ends could not be written down");
            state.metrics.ends_write_failures.inc();
            state.shared.ends_mut().ask_rewrite();
        }
        written.is_ok()
    });
    // A panic there is a bug of ours; the next end tries again.
    written.await.unwrap_or(true)
}
