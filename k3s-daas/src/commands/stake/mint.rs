//! Making a token and the seal that goes with it, safe against a crash at any moment.

use std::path::PathBuf;

use seal::{Address, CredentialHash, Mist, NodeName, SealRecord, SealToken};

use super::TokenPlace;
use crate::chain::{Chain, NewSeal, TxFailure};
use crate::commands::seal::no_such;
use crate::failure::{Failure, Kind, Outcome};
use crate::seals::{Pending, Purpose, Seals, new_token, now};

/// A hash is taken only when somebody saw our transaction and was faster. Whoever can do that
/// five times in a row can do it for ever.
const ATTEMPTS: usize = 5;

/// What to stake, without the command line around it.
#[derive(Debug, Clone)]
pub struct Order {
    /// How much.
    pub amount: Mist,
    /// For which machine.
    pub node_id: Option<NodeName>,
    /// A wish.
    pub namespace: Option<String>,
    /// 0 is the pool's default.
    pub validity_ms: u64,
}

/// A seal whose record was read back; its token is still in the pending file.
#[derive(Debug)]
pub struct Minted {
    /// The token.
    pub token: SealToken,
    /// The pending file.
    pub pending: Pending,
    /// The record.
    pub record: SealRecord,
    /// The transaction.
    pub transaction: String,
}

/// Stakes; a taken hash starts over with a new token.
pub async fn mint(
    chain: &Chain,
    seals: &Seals,
    order: &Order,
    place: &TokenPlace,
) -> Outcome<Minted> {
    mint_with(chain, seals, order, place, new_token).await
}

/// The same with tokens from elsewhere than the system's randomness.
pub async fn mint_with(
    chain: &Chain,
    seals: &Seals,
    order: &Order,
    place: &TokenPlace,
    mut next_token: impl FnMut() -> Outcome<SealToken>,
) -> Outcome<Minted> {
    let owner = chain.wallet()?.address();
    for _ in 0..ATTEMPTS {
        let token = next_token()?;
        let hash = token.credential_hash();
        let destination = match &place.token_file {
            Some(path) => path.clone(),
            None => seals.path(place.name.as_deref(), &hash),
        };
        seals.prepare(&destination)?;
        let pending = pending(&hash, owner, destination, Purpose::Stake)?;
        seals.keep_pending(&token, &pending)?;
        let seal = NewSeal {
            amount: order.amount,
            hash,
            node_id: order.node_id.clone(),
            namespace: order.namespace.clone(),
            validity_ms: order.validity_ms,
        };
        match chain.stake(&seal).await {
            Ok(transaction) => {
                let record = chain
                    .read_back(&hash, |record| record.owner == owner)
                    .await?;
                return Ok(Minted {
                    token,
                    pending,
                    record,
                    transaction,
                });
            }
            Err(TxFailure::HashSpent(failure)) => {
                tracing::warn!(hash = %hash, "the hash is taken, starting over");
                drop(failure);
                seals.forget_pending(&pending.hash)?;
            }
            Err(failure) => return Err(give_up(seals, &pending, failure)),
        }
    }
    Err(Failure::message(
        Kind::Refused,
        format!("{ATTEMPTS} new hashes in a row were taken by somebody else"),
    )
    .next("somebody watches your transactions and is faster; use another full node"))
}

fn pending(
    hash: &CredentialHash,
    owner: Address,
    destination: PathBuf,
    purpose: Purpose,
) -> Outcome<Pending> {
    Ok(Pending {
        hash: hash.to_string(),
        owner,
        // Whoever recovers it may stand in another folder.
        destination: std::path::absolute(destination)?,
        purpose,
        since: now(),
    })
}

/// Nothing was changed: forget the token. Not known: keep it, and say how to get it back.
fn give_up(seals: &Seals, pending: &Pending, failure: TxFailure) -> Failure {
    match failure {
        TxFailure::HashSpent(failure) | TxFailure::Nothing(failure) => {
            if let Err(error) = seals.forget_pending(&pending.hash) {
                tracing::warn!(error = %error, "a pending token is left behind");
            }
            failure
        }
        TxFailure::Unknown(failure) => failure.next(
            "the transaction may still come through and its token is kept: \
             `k3s-daas seal list --recover` finishes what can be finished",
        ),
    }
}

/// Gives the seal of `old` a new token.
pub async fn rotate(
    chain: &Chain,
    seals: &Seals,
    old: &CredentialHash,
    path: Option<PathBuf>,
    validity_ms: u64,
) -> Outcome<Minted> {
    let record = chain.record(old).await?.ok_or_else(|| no_such(old))?;
    let owner = chain.wallet()?.address();
    for _ in 0..ATTEMPTS {
        let token = new_token()?;
        let hash = token.credential_hash();
        let destination = path.clone().unwrap_or_else(|| seals.path(None, &hash));
        let pending = pending(&hash, owner, destination, Purpose::Refresh)?;
        seals.keep_pending(&token, &pending)?;
        match chain.refresh(record.seal_id, hash, validity_ms).await {
            Ok(transaction) => {
                let record = chain
                    .read_back(&hash, |record| record.owner == owner)
                    .await?;
                return Ok(Minted {
                    token,
                    pending,
                    record,
                    transaction,
                });
            }
            Err(TxFailure::HashSpent(_)) => seals.forget_pending(&pending.hash)?,
            Err(failure) => return Err(give_up(seals, &pending, failure)),
        }
    }
    Err(Failure::message(
        Kind::Refused,
        "every new hash was taken by somebody else",
    ))
}
