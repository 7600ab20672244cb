//! How an owner stands: does any of its seals still give a namespace, and until when?
//!
//! Errors: what can't be read is not an end. One readable seal of developer or more is enough for
//!         an owner to have a namespace; that nobody has one is said only when all were read.

use futures::future::join_all;
use seal::{Address, ElevatedOwners, Tier, UnixMillis};
use sui_ledger::directory::SealDirectory;

/// An owner has at most 16 seals that are not retired (the contract's bound); of more, only so
/// many are read, and then nothing is known.
const MOST_SEALS: usize = 64;

/// How an owner stands at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerStanding {
    /// At least one seal of developer or more is usable.
    Usable(Usable),
    /// All seals were read, and none is.
    None,
    /// Not all could be read, and of those that could none is.
    Unknown,
}

/// What the usable seals give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usable {
    /// The best tier, not above what the owner may have; developer at least.
    pub tier: Tier,
    /// When the last of them expires.
    pub until: UnixMillis,
    /// When the first of them expires: something may change then.
    pub next: UnixMillis,
    /// All seals were read: there is no better tier and no later end.
    pub complete: bool,
}

/// How an owner stands, by the directory.
pub async fn owner_standing<D: SealDirectory>(
    directory: &D,
    elevated: &ElevatedOwners,
    owner: &Address,
) -> OwnerStanding {
    let Ok(hashes) = directory.owner_seals(*owner).await else {
        return OwnerStanding::Unknown;
    };
    let mut complete = hashes.len() <= MOST_SEALS;
    let mut reads = Vec::new();
    for hash in hashes.iter().take(MOST_SEALS) {
        reads.push(directory.seal(*hash));
    }
    let records = join_all(reads).await;
    // After the reads: a seal that expired meanwhile counts as expired.
    let (now, thresholds) = (directory.now(), directory.thresholds());
    let mut usable: Option<Usable> = None;
    for record in records {
        // The owner's list names it, so the chain has it: absent is a read that lags behind.
        let Ok(Some(record)) = record else {
            complete = false;
            continue;
        };
        // A list that names another owner's seal gives this owner nothing.
        if record.owner != *owner {
            continue;
        }
        let Ok(tier) = record.usable(now, &thresholds) else {
            continue;
        };
        if tier < Tier::Developer {
            continue;
        }
        let tier = elevated.cap(tier, owner);
        let expiry = record.expires_at;
        usable = Some(match usable {
            None => Usable {
                tier,
                until: expiry,
                next: expiry,
                complete: true,
            },
            Some(so_far) => Usable {
                tier: so_far.tier.max(tier),
                until: so_far.until.max(expiry),
                next: so_far.next.min(expiry),
                complete: true,
            },
        });
    }
    match usable {
        Some(usable) => OwnerStanding::Usable(Usable { complete, ..usable }),
        None if complete => OwnerStanding::None,
        None => OwnerStanding::Unknown,
    }
}

#[cfg(test)]
mod tests;
