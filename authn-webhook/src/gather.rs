//! Asks the seal directory.
//!
//! Errors: [`Unavailable`] is the answer when there is none; it becomes a refusal
//!         that says so.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use seal::access::GuardState;
use seal::{CredentialHash, SealRecord};
use sui_ledger::directory::{SealDirectory, Unavailable};
use tokio::sync::Semaphore;

use crate::decide::Facts;

/// Reviews that may wait for the chain at once: half of the in-flight budget of
/// reviews, so that a flood of random tokens, all of which have to be looked up on
/// the chain, leaves room for those that are answered from memory.
pub(crate) const MAX_WAITING: usize = 1024;

/// Looks a hash up, with the time and the thresholds to judge it by.
pub(crate) async fn gather<D: SealDirectory>(
    directory: &D,
    waiting: &Semaphore,
    guards: &GuardState,
    hash: CredentialHash,
) -> Result<Facts, Unavailable> {
    let record = look_up(directory, waiting, hash).await?;
    // Read after the record: a look-up may take a while, and time only ends seals.
    Ok(Facts {
        hash,
        record,
        now: directory.now(),
        thresholds: directory.thresholds(),
        guarded: guards.in_place(),
    })
}

async fn look_up<D: SealDirectory>(
    directory: &D,
    waiting: &Semaphore,
    hash: CredentialHash,
) -> Result<Option<Arc<SealRecord>>, Unavailable> {
    let mut asking = pin!(directory.seal(hash));
    if let Poll::Ready(answer) = futures::poll!(asking.as_mut()) {
        return answer;
    }
    let _place = waiting.try_acquire().map_err(|_| Unavailable::Overloaded)?;
    asking.await
}
