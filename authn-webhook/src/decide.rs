//! Who is it? Pure: time, thresholds and the record are arguments.

use std::sync::Arc;

use seal::{CredentialHash, SealRecord, Thresholds, Tier, UnixMillis, Unusable};
use sui_ledger::directory::Unavailable;

use crate::policy::Policy;

/// What is known of a credential when it is judged.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Its hash.
    pub hash: CredentialHash,
    /// What the chain has under that hash.
    pub record: Option<Arc<SealRecord>>,
    /// The later of local time and the newest checkpoint's.
    pub now: UnixMillis,
    /// The least stakes of the tiers.
    pub thresholds: Thresholds,
    /// Whether the guards inside the API server are in place.
    pub guarded: bool,
}

/// Why somebody is not authenticated. A closed set: metric label, log field and test name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Of no shape that is ours: other people's tokens, typing errors.
    NotACredential,
    /// Good for other audiences than ours.
    OtherAudience,
    /// A seal token where nodes join.
    SealTokenAtSupervisor,
    /// A join credential where users come.
    JoinCredentialAtApi,
    /// A join credential where nodes join, which they can't yet.
    NodesCannotJoinYet,
    /// The chain knows nothing of it.
    Unknown,
    /// The chain knows it, and it can't be used.
    Unusable(Unusable),
}

impl Refusal {
    /// All refusals.
    pub const ALL: [Self; 12] = [
        Self::NotACredential,
        Self::OtherAudience,
        Self::SealTokenAtSupervisor,
        Self::JoinCredentialAtApi,
        Self::NodesCannotJoinYet,
        Self::Unknown,
        Self::Unusable(Unusable::Unbonding),
        Self::Unusable(Unusable::Slashed),
        Self::Unusable(Unusable::Revoked),
        Self::Unusable(Unusable::Retired),
        Self::Unusable(Unusable::Expired),
        Self::Unusable(Unusable::StakeTooLow),
    ];

    /// The name in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotACredential => "not_a_credential",
            Self::OtherAudience => "other_audience",
            Self::SealTokenAtSupervisor => "seal_token_at_supervisor",
            Self::JoinCredentialAtApi => "join_credential_at_api",
            Self::NodesCannotJoinYet => "nodes_cannot_join_yet",
            Self::Unknown => "unknown",
            Self::Unusable(why) => why.label(),
        }
    }
}

/// What becomes of a review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Authenticated.
    Accept(Holder),
    /// Not authenticated.
    Refuse(Refusal),
    /// The chain's view is not to be had: not a no, and never a yes.
    Undecided(Unavailable),
}

/// An authenticated holder of a seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The hash of the credential.
    pub hash: CredentialHash,
    /// The seal's record.
    pub record: Arc<SealRecord>,
    /// What the stake is worth, capped by the operator's choice, and held at viewer before
    /// the guards inside the API server are in place.
    pub tier: Tier,
    /// Whether the tier would be higher if the guards were in place.
    pub held: bool,
}

/// Judges a credential by what is known of it.
#[must_use]
pub fn decide(policy: &Policy, facts: Facts) -> Verdict {
    let Some(record) = facts.record else {
        return Verdict::Refuse(Refusal::Unknown);
    };
    match record.usable(facts.now, &facts.thresholds) {
        Err(why) => Verdict::Refuse(Refusal::Unusable(why)),
        Ok(tier) => {
            let worth = policy.elevated.cap(tier, &record.owner);
            let tier = if facts.guarded {
                worth
            } else {
                worth.min(Tier::Viewer)
            };
            Verdict::Accept(Holder {
                hash: facts.hash,
                tier,
                held: tier < worth,
                record,
            })
        }
    }
}

#[cfg(test)]
mod tests;
