//! Follows the stream of checkpoints: connect, take frames, fetch what was missed, connect again.
//!
//! Errors: every way a stream can end, the clean one too, means "open it again". The view stays
//!         what it was as of the last checkpoint; its age decides whether it may be used.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::time::{Instant, timeout};

use super::chain::{Chain, ChainError};
use super::core::{Loss, Progress};
use super::state::State;
use crate::chain_id::ChainId;
use crate::frame::Frame;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Times a missed checkpoint is asked for before it counts as not to be had.
const FETCH_TRIES: u32 = 3;
/// Streams in a row whose missed checkpoints failed for lack of an answer, before all is read
/// anew instead.
const MAX_FAILED_BACKFILLS: u32 = 2;

/// Why a stream was given up. Log field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    /// Could not be opened, or broke.
    Chain(ChainError),
    /// Ended cleanly: a node drops slow or idle subscribers so.
    Ended,
    /// No frame in time.
    Silent,
    /// Frames, but only known ones: the node lags.
    NoProgress,
    /// Too many frames came while missed ones were fetched.
    BufferFull,
    /// A missed checkpoint did not come in time or the node went away.
    Backfill(ChainError),
}

impl Broken {
    const fn label(self) -> &'static str {
        match self {
            Self::Chain(error) | Self::Backfill(error) => error.label(),
            Self::Ended => "ended",
            Self::Silent => "silent",
            Self::NoProgress => "no_progress",
            Self::BufferFull => "buffer_full",
        }
    }
}

/// Runs for ever; dropped to stop it.
pub(crate) async fn follow<C: Chain>(state: Arc<State>, chain: Arc<C>, expected: ChainId) {
    let mut pause = FIRST_PAUSE;
    let mut failed_backfills = 0;
    loop {
        let before = state.position.borrow().checkpoint;
        let broken = run(&state, chain.as_ref(), expected).await;
        state.metrics.reconnects.inc();
        let progressed = state.position.borrow().checkpoint != before;
        tracing::warn!(
            reason = broken.label(),
            progressed,
            "checkpoint stream broken"
        );
        if let Broken::Backfill(_) = broken {
            failed_backfills += 1;
            if failed_backfills >= MAX_FAILED_BACKFILLS {
                state.with_core(|core, _| core.lose(Loss::History));
            }
        } else if progressed {
            failed_backfills = 0;
        }
        if progressed {
            pause = FIRST_PAUSE;
        }
        let jitter = Duration::from_millis(rand::random_range(0..50));
        tokio::time::sleep(pause + jitter).await;
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

/// One stream from its opening to its end.
async fn run<C: Chain>(state: &State, chain: &C, expected: ChainId) -> Broken {
    let patience = state.config.connect_timeout;
    let wrong = match timeout(patience, chain.info()).await {
        Ok(Ok(info)) => info.chain != expected,
        Ok(Err(ChainError::WrongChain)) => true,
        Ok(Err(error)) => return Broken::Chain(error),
        Err(_) => return Broken::Chain(ChainError::TimedOut),
    };
    state.with_core(|core, _| core.set_wrong_chain(wrong));
    if wrong {
        return Broken::Chain(ChainError::WrongChain);
    }
    let mut frames = match timeout(patience, chain.subscribe()).await {
        Ok(Ok(frames)) => frames,
        Ok(Err(error)) => return Broken::Chain(error),
        Err(_) => return Broken::Chain(ChainError::TimedOut),
    };
    let mut progress = Instant::now();
    loop {
        let frame = match next(state, &mut frames).await {
            Ok(frame) => frame,
            Err(broken) => return broken,
        };
        match take(state, frame) {
            Progress::Advanced => progress = Instant::now(),
            Progress::Old if progress.elapsed() > state.config.max_staleness => {
                return Broken::NoProgress;
            }
            Progress::Old => {}
            Progress::Missing { from, to, frame } => {
                if let Err(broken) = backfill(state, chain, &mut frames, from, to, *frame).await {
                    return broken;
                }
                progress = Instant::now();
            }
        }
    }
}

fn take(state: &State, frame: Frame) -> Progress {
    state.metrics.frames.inc();
    state.with_core(|core, now| core.frame(frame, now))
}

async fn next<S>(state: &State, frames: &mut S) -> Result<Frame, Broken>
where
    S: Stream<Item = Result<Frame, ChainError>> + Unpin,
{
    match timeout(state.config.frame_deadline, frames.next()).await {
        Ok(Some(Ok(frame))) => Ok(frame),
        Ok(Some(Err(error))) => Err(Broken::Chain(error)),
        Ok(None) => Err(Broken::Ended),
        Err(_) => Err(Broken::Silent),
    }
}

/// Fetches the missed checkpoints while the stream goes on into a buffer, then takes all of
/// them in order. What was fetched counts even if the rest can't be had.
async fn backfill<C: Chain>(
    state: &State,
    chain: &C,
    frames: &mut C::Frames,
    from: u64,
    to: u64,
    first: Frame,
) -> Result<(), Broken> {
    tracing::info!(from, to, "fetching missed checkpoints");
    let mut buffer = VecDeque::from([first]);
    let mut missed = futures::stream::iter(from..=to)
        .map(|number| fetch(state, chain, number))
        .buffered(state.config.gap_concurrency.max(1));
    loop {
        tokio::select! {
            fetched = missed.next() => match fetched {
                None => break,
                Some(Ok(frame)) => {
                    take(state, frame);
                }
                // It is not there: all must be read anew, from the buffered frames on.
                Some(Err(ChainError::NotFound | ChainError::Undecodable)) => {
                    state.with_core(|core, _| core.lose(Loss::History));
                    break;
                }
                Some(Err(error)) => return Err(Broken::Backfill(error)),
            },
            frame = next(state, frames) => {
                if buffer.len() >= state.config.max_buffered_frames {
                    return Err(Broken::BufferFull);
                }
                buffer.push_back(frame?);
            }
        }
    }
    for frame in buffer {
        if let Progress::Missing { .. } = take(state, frame) {
            // The stream itself skipped: the next one starts behind it.
            return Err(Broken::Chain(ChainError::NotFound));
        }
    }
    Ok(())
}

async fn fetch<C: Chain>(state: &State, chain: &C, number: u64) -> Result<Frame, ChainError> {
    let mut last = ChainError::TimedOut;
    for attempt in 0..FETCH_TRIES {
        if attempt > 0 {
            tokio::time::sleep(state.config.retry_pause * attempt).await;
        }
        match timeout(state.config.connect_timeout, chain.checkpoint(number)).await {
            Ok(Ok(frame)) if frame.sequence == number => return Ok(frame),
            Ok(Ok(_)) => last = ChainError::Undecodable,
            Ok(Err(error)) => last = error,
            Err(_) => last = ChainError::TimedOut,
        }
    }
    Err(last)
}
