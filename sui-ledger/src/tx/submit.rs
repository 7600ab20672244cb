//! Sending until the outcome is known, and waiting until reads show it.
//!
//! A node that gives up says UNAVAILABLE for a transaction that may be executed later. So the
//! digest is looked up, and then *the very same bytes* are sent again: that is safe, a second
//! execution is impossible. A transaction that was built anew would not be the same.

use std::time::Duration;

use sui_sdk_types::{Digest, Transaction, UserSignature};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::error::TxError;
use crate::client::{Executed, LedgerClient};
use crate::error::{AnswerError, LedgerError};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a transaction that is refused when sent again is still looked for: its first sending
/// may wait for its checkpoint.
const SETTLE: Duration = Duration::from_secs(5);
/// A checkpoint comes about every 0.25 s.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_LOOK: Duration = Duration::from_millis(500);

/// Sends until there is an outcome, at most for `limit`.
pub(super) async fn submit(
    client: &LedgerClient,
    transaction: &Transaction,
    signature: &UserSignature,
    limit: Duration,
) -> Result<Executed, TxError> {
    let digest = transaction.digest();
    let mut until = Instant::now() + limit;
    let mut pause = FIRST_PAUSE;
    let mut resent = false;
    loop {
        let last = match client.execute(transaction, signature).await {
            Ok(answer) if answer.value.digest == digest => return Ok(answer.value),
            Ok(_) => LedgerError::Answer(AnswerError::Unasked),
            Err(error) => error,
        };
        // Refused at once: it never ran. Refused when sent again: the first sending may be
        // what spent the inputs, so only the look-up below can tell.
        if !leaves_outcome_unknown(&last) {
            if !resent {
                return Err(last.into());
            }
            until = until.min(Instant::now() + SETTLE);
        }
        if let Ok(answer) = client.get_transaction(&digest).await {
            return Ok(answer.value);
        }
        if Instant::now() + pause >= until {
            return Err(TxError::OutcomeUnknown {
                digest,
                after: limit,
                last: Box::new(last),
            });
        }
        tracing::warn!(%digest, reason = last.label(), "outcome unknown, sending the same bytes again");
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        resent = true;
    }
}

/// Also an answer that makes no sense: the node did something.
fn leaves_outcome_unknown(error: &LedgerError) -> bool {
    error.is_retryable() || matches!(error, LedgerError::Answer(_) | LedgerError::TooLarge(_))
}

/// Waits until the transaction stands in a checkpoint, so that reads show its changes.
///
/// With `ticks` (the number of the newest checkpoint somebody follows) it looks when a
/// checkpoint came; without, it looks in growing intervals.
pub(super) async fn wait_visible(
    client: &LedgerClient,
    digest: &Digest,
    ticks: Option<watch::Receiver<u64>>,
    limit: Duration,
) -> Result<Executed, TxError> {
    let until = Instant::now() + limit;
    let mut pause = FIRST_LOOK;
    let mut ticks = ticks;
    loop {
        match client.get_transaction(digest).await {
            Ok(answer) if answer.value.checkpoint.is_some() => return Ok(answer.value),
            Ok(_) | Err(LedgerError::NotFound(_)) => {}
            Err(error) if error.is_retryable() => {}
            Err(error) => return Err(error.into()),
        }
        if Instant::now() + pause >= until {
            return Err(TxError::NotVisible {
                digest: *digest,
                after: limit,
            });
        }
        let tick = async {
            if let Some(ticks) = &mut ticks
                && ticks.changed().await.is_ok()
            {
                return;
            }
            // Nobody ticks (any more): the pause alone goes on.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = tick => {}
            () = sleep(pause) => pause = (pause * 2).min(LONGEST_LOOK),
        }
    }
}
