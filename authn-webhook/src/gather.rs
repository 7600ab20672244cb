//! Asks the seal directory.
//!
//! Errors: [`Unavailable`] is the answer when there is none; it becomes a refusal
//!         that says so.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use seal::access::GuardState;
use seal::{CredentialHash, SealRecord};
use sui_ledger::directory::{SealDirectory, Unavailable};
use tokio::sync::Semaphore;

use crate::decide::{Facts, NodeFacts};

/// Reviews that may wait for the chain at once: half of the in-flight budget of
/// reviews, so that a flood of random tokens, all of which have to be looked up on
/// the chain, leaves room for those that are answered from memory.
pub(crate) const MAX_WAITING: usize = 1024;

/// Reviews of join credentials that may wait for the chain at once. Places of their own: whoever
/// knocks at the supervisor keeps no user waiting, and the other way round.
pub(crate) const MAX_NODES_WAITING: usize = 128;

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

/// The same for a join credential, with the claim of the name that its seal names: two reads, which
/// together take no longer than `patience`.
pub(crate) async fn gather_node<D: SealDirectory>(
    directory: &D,
    waiting: &Semaphore,
    guards: &GuardState,
    hash: CredentialHash,
    patience: Duration,
) -> Result<NodeFacts, Unavailable> {
    let reading = read_node(directory, waiting, guards, hash);
    let read = tokio::time::timeout(patience, reading).await;
    read.unwrap_or(Err(Unavailable::ReadTimedOut))
}

async fn read_node<D: SealDirectory>(
    directory: &D,
    waiting: &Semaphore,
    guards: &GuardState,
    hash: CredentialHash,
) -> Result<NodeFacts, Unavailable> {
    let seal = gather(directory, waiting, guards, hash).await?;
    // The chain is asked for the name of a seal that can be used alone.
    let usable = |record: &&Arc<SealRecord>| record.usable(seal.now, &seal.thresholds).is_ok();
    let record = seal.record.as_ref().filter(usable);
    let claim = match record.and_then(|record| record.node_id.as_ref()) {
        Some(name) => directory.claim(name).await?,
        None => None,
    };
    Ok(NodeFacts {
        // The claim may have taken a while too.
        seal: Facts {
            now: directory.now(),
            ..seal
        },
        claim,
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
