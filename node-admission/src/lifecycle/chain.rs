//! What the chain says of a node.
//!
//! Errors: what could not be read is unknown, and so is what contradicts itself: neither ends a
//!         node nor lets one in.

use std::sync::Arc;

use seal::{Address, CredentialHash, NodeName, SealRecord, Tier, Unusable};

use crate::nodes::NodeDirectory;

/// The seal that holds a node's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) hash: CredentialHash,
    pub(super) record: Arc<SealRecord>,
    /// The tier that the stake gives, usable or not.
    pub(super) tier: Option<Tier>,
}

/// How a node stands by the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Chain {
    /// It can't be read now.
    Unknown,
    /// A usable seal of its owner holds the name.
    Usable(Held),
    /// Not usable any more.
    Ended(Ended, Option<Held>),
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// By what became of the seal.
    Seal(Unusable),
    /// Nobody holds the name: the operator voided the claim.
    Voided,
    /// The name is another owner's.
    Others,
}

impl Ended {
    /// The name in the status and in messages.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Seal(how) => how.label(),
            Self::Voided => "claim_voided",
            Self::Others => "claimed_by_another_owner",
        }
    }

    /// The same as the reason of a condition.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Seal(Unusable::Unbonding) => "Unbonding",
            Self::Seal(Unusable::Slashed) => "Slashed",
            Self::Seal(Unusable::Revoked) => "Revoked",
            Self::Seal(Unusable::Retired) => "Retired",
            Self::Seal(Unusable::Expired) => "Expired",
            Self::Seal(Unusable::StakeTooLow) => "StakeTooLow",
            Self::Voided => "ClaimVoided",
            Self::Others => "ClaimedByAnotherOwner",
        }
    }

    /// Whether the node may be drained before it is cut.
    pub(super) const fn is_benign(self) -> bool {
        match self {
            Self::Seal(how) => how.is_without_fault(),
            Self::Voided | Self::Others => false,
        }
    }
}

/// Asks the directory.
pub(super) async fn gather<D: NodeDirectory>(
    directory: &D,
    name: &NodeName,
    owner: &Address,
) -> Chain {
    // A refresh retires the old seal and moves the claim: read between the two, it looks like an
    // end. So an end is only believed of a seal that still holds the name.
    let mut believed = None;
    for _ in 0..3 {
        let Ok(claim) = directory.claim(name).await else {
            return Chain::Unknown;
        };
        let Some(claim) = claim else {
            return Chain::Ended(Ended::Voided, None);
        };
        if claim.owner != *owner {
            return Chain::Ended(Ended::Others, None);
        }
        if let Some((hash, ended)) = believed.take()
            && hash == claim.hash
        {
            return ended;
        }
        let Ok(Some(record)) = directory.seal(claim.hash).await else {
            return Chain::Unknown;
        };
        // A claim and its record name each other; what does not is no answer.
        if record.owner != *owner || record.node_id.as_ref() != Some(name) {
            return Chain::Unknown;
        }
        let thresholds = directory.thresholds();
        let usable = record.usable(directory.now(), &thresholds);
        let held = Held {
            hash: claim.hash,
            tier: thresholds.tier(record.stake),
            record,
        };
        match usable {
            Ok(_) => return Chain::Usable(held),
            Err(how) => {
                let seen = directory.last_known_end(&claim.hash);
                let by = blame(how, seen.map(|end| end.how));
                let ended = Chain::Ended(Ended::Seal(by), Some(held));
                if how != Unusable::Retired {
                    return ended;
                }
                believed = Some((claim.hash, ended));
            }
        }
    }
    // It moves faster than it is read.
    Chain::Unknown
}

/// Whoever asks for the stake right after a slash or a revocation, or is slashed while it unbonds, is
/// at fault, though the record says that it unbonds.
fn blame(how: Unusable, seen: Option<Unusable>) -> Unusable {
    match (how, seen) {
        (Unusable::Unbonding, Some(fault)) if !fault.is_without_fault() => fault,
        _ => how,
    }
}

#[cfg(test)]
mod tests;
