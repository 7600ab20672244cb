//! Who is it? Pure: time, thresholds and the record are arguments.

use std::sync::Arc;

use seal::{
    CredentialHash, NodeClaim, NodeName, SealRecord, Thresholds, Tier, UnixMillis, Unusable,
};
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

/// What is known of a join credential when it is judged.
#[derive(Debug, Clone)]
pub struct NodeFacts {
    /// Of its seal.
    pub seal: Facts,
    /// Who holds the name that the seal names.
    pub claim: Option<NodeClaim>,
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
    /// The chain knows nothing of it.
    Unknown,
    /// The chain knows it, and it can't be used.
    Unusable(Unusable),
    /// A join credential whose seal names no machine.
    NoNode,
    /// A join credential whose seal names a machine that another seal, or nobody, holds.
    NotTheClaim,
    /// A join credential, before the guards inside the API server are in place.
    NodesUnguarded,
    /// The name is the control plane's.
    NodeReserved,
    /// A node of this name is there that did not join with a seal of this owner.
    NodeTaken,
    /// The Node could not be made yet.
    NodeNotMade,
}

impl Refusal {
    /// All refusals.
    pub const ALL: [Self; 17] = [
        Self::NotACredential,
        Self::OtherAudience,
        Self::SealTokenAtSupervisor,
        Self::JoinCredentialAtApi,
        Self::Unknown,
        Self::Unusable(Unusable::Unbonding),
        Self::Unusable(Unusable::Slashed),
        Self::Unusable(Unusable::Revoked),
        Self::Unusable(Unusable::Retired),
        Self::Unusable(Unusable::Expired),
        Self::Unusable(Unusable::StakeTooLow),
        Self::NoNode,
        Self::NotTheClaim,
        Self::NodesUnguarded,
        Self::NodeReserved,
        Self::NodeTaken,
        Self::NodeNotMade,
    ];

    /// The name in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotACredential => "not_a_credential",
            Self::OtherAudience => "other_audience",
            Self::SealTokenAtSupervisor => "seal_token_at_supervisor",
            Self::JoinCredentialAtApi => "join_credential_at_api",
            Self::Unknown => "unknown",
            Self::Unusable(why) => why.label(),
            Self::NoNode => "no_node",
            Self::NotTheClaim => "not_the_claim",
            Self::NodesUnguarded => "guards_missing",
            Self::NodeReserved => "node_reserved",
            Self::NodeTaken => "node_taken",
            Self::NodeNotMade => "node_not_made",
        }
    }
}

/// What becomes of a review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Authenticated.
    Accept(Holder),
    /// Authenticated as a machine.
    Join(Joiner),
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

/// A machine whose seal lets it join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joiner {
    /// The hash of the credential.
    pub hash: CredentialHash,
    /// The machine's name: the only one that K3s will sign for.
    pub name: NodeName,
    /// The seal's record.
    pub record: Arc<SealRecord>,
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

/// Judges a join credential. Any usable seal may join the one machine that it names, as long as
/// the chain's claim of that name says the same.
#[must_use]
pub fn decide_node(facts: NodeFacts) -> Verdict {
    let NodeFacts { seal, claim } = facts;
    let Some(record) = seal.record else {
        return Verdict::Refuse(Refusal::Unknown);
    };
    if let Err(why) = record.usable(seal.now, &seal.thresholds) {
        return Verdict::Refuse(Refusal::Unusable(why));
    }
    let Some(name) = record.node_id.clone() else {
        return Verdict::Refuse(Refusal::NoNode);
    };
    let holds = claim.is_some_and(|claim| claim.owner == record.owner && claim.hash == seal.hash);
    if !holds {
        return Verdict::Refuse(Refusal::NotTheClaim);
    }
    if !seal.guarded {
        return Verdict::Refuse(Refusal::NodesUnguarded);
    }
    Verdict::Join(Joiner {
        hash: seal.hash,
        name,
        record,
    })
}

#[cfg(test)]
mod tests;
