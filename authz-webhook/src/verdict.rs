//! The verdict on a review and its closed set of reasons.

use std::fmt;

use seal::access::{Decision, DenyReason, Grant, Silence};
use seal::{Tier, Unusable};

use sui_ledger::directory::Unavailable;

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// By the tier of a usable seal.
    Tier(Tier, Decision),
    /// Denied, whatever the request: who asks may do nothing.
    Refuse(Refusal),
    /// Not ours to judge, or nothing against it: RBAC decides.
    Pass(Pass),
    /// Denied because it can't be told whether the seal is usable.
    UndecidedDeny(Cause),
    /// No opinion because it can't be told: an outage must not stop a running node.
    UndecidedPass(Cause),
}

/// The three answers. A closed set: metric label and log field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// `allowed: true`
    Allow,
    /// `denied: true`
    Deny,
    /// Neither.
    NoOpinion,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Deny, Self::NoOpinion];

    /// The name in metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::NoOpinion => "no_opinion",
        }
    }
}

/// Why who asks may do nothing. A closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// A seal's user without a seal in its extra: not authenticated by us.
    ExtraMissing,
    /// The extra does not name exactly one seal in its one written form.
    ExtraMalformed,
    /// No record of this credential.
    SealUnknown,
    /// The record is another owner's.
    OtherOwner,
    /// The record is of another seal.
    OtherSeal,
    /// The uid is not the seal's.
    OtherUid,
    /// The seal can't be used now.
    Seal(Unusable),
    /// In a group of seal holders without being one.
    GroupWithoutSeal,
    /// A service account whose user and groups name several namespaces.
    AccountAmbiguous,
    /// A service account of a tenant's namespace that nobody owns.
    AccountOwnerless,
    /// A service account whose owner has no usable seal of developer or more.
    AccountOwnerEnded,
    /// A service account, before the guards inside the API server are in place.
    AccountHeld,
    /// The seal is of this tier and held at viewer, which does not grant the request.
    Held(Tier),
    /// A node's name that no seal can hold.
    NodeName,
    /// No seal holds this node's name.
    NodeUnclaimed,
    /// The seal that holds the name does not name the node.
    NodeMismatch,
    /// The node's seal can't be used now.
    Node(Unusable),
    /// The node was last known ended, and the chain can't be asked.
    NodeEnded,
    /// Only the server makes the Nodes of machines that join with a seal.
    NodeCreated,
    /// Strict isolation leaves this shared identity nothing of the sort.
    SharedIdentity,
}

/// Why RBAC decides. A closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pass {
    /// Neither a seal nor a node.
    NotOurs,
    /// A service account whose owner has a usable seal.
    Account,
    /// A node with a usable seal.
    Node,
    /// A node whose seal ended without fault, while its pods are moved.
    NodeDraining,
    /// A node of the control plane.
    ControlPlane,
    /// A shared identity, under open isolation or among what strict isolation leaves it.
    SharedIdentity,
}

/// Why it can't be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The directory says so.
    Directory(Unavailable),
    /// The directory did not answer in time.
    Deadline,
    /// The watch on namespaces has not told yet, or not for too long.
    Namespaces,
}

impl Verdict {
    /// Which of the three answers it is.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Tier(_, Decision::Allow(_)) => Outcome::Allow,
            Self::Tier(_, Decision::Deny(_)) | Self::Refuse(_) | Self::UndecidedDeny(_) => {
                Outcome::Deny
            }
            Self::Tier(_, Decision::NoOpinion(_)) | Self::Pass(_) | Self::UndecidedPass(_) => {
                Outcome::NoOpinion
            }
        }
    }

    /// The reason's name in metrics and logs.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Tier(_, decision) => decision.label(),
            Self::Refuse(refusal) => refusal.label(),
            Self::Pass(pass) => pass.label(),
            Self::UndecidedDeny(cause) | Self::UndecidedPass(cause) => cause.label(),
        }
    }

    /// Every verdict that differs in outcome or label: the series of the metrics.
    pub(crate) fn series() -> impl Iterator<Item = Self> {
        // The tier is no label.
        let tier = |decision| Self::Tier(Tier::Viewer, decision);
        let granted = Grant::ALL.iter().map(|&grant| Decision::Allow(grant));
        let denied = DenyReason::ALL.iter().map(|&reason| Decision::Deny(reason));
        let silent = Silence::ALL
            .iter()
            .map(|&silence| Decision::NoOpinion(silence));
        let causes = || {
            Unavailable::ALL
                .iter()
                .map(|&unavailable| Cause::Directory(unavailable))
                .chain([Cause::Deadline, Cause::Namespaces])
        };
        granted
            .chain(denied)
            .chain(silent)
            .map(tier)
            .chain(Refusal::all().map(Self::Refuse))
            .chain(Pass::ALL.map(Self::Pass))
            .chain(causes().map(Self::UndecidedDeny))
            .chain(causes().map(Self::UndecidedPass))
    }
}

impl Refusal {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        [
            Self::ExtraMissing,
            Self::ExtraMalformed,
            Self::SealUnknown,
            Self::OtherOwner,
            Self::OtherSeal,
            Self::OtherUid,
            Self::GroupWithoutSeal,
            Self::AccountAmbiguous,
            Self::AccountOwnerless,
            Self::AccountOwnerEnded,
            Self::AccountHeld,
            // The tier is no label.
            Self::Held(Tier::Developer),
            Self::NodeName,
            Self::NodeUnclaimed,
            Self::NodeMismatch,
            Self::NodeEnded,
            Self::NodeCreated,
            Self::SharedIdentity,
        ]
        .into_iter()
        .chain(Unusable::ALL.map(Self::Seal))
        .chain(Unusable::ALL.map(Self::Node))
    }

    /// The name in metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ExtraMissing => "extra_missing",
            Self::ExtraMalformed => "extra_malformed",
            Self::SealUnknown => "seal_unknown",
            Self::OtherOwner => "other_owner",
            Self::OtherSeal => "other_seal",
            Self::OtherUid => "other_uid",
            Self::Seal(unusable) => unusable.label(),
            Self::GroupWithoutSeal => "group_without_seal",
            Self::AccountAmbiguous => "account_ambiguous",
            Self::AccountOwnerless => "account_ownerless",
            Self::AccountOwnerEnded => "account_owner_ended",
            Self::AccountHeld => "account_guards_missing",
            Self::Held(_) => "guards_missing",
            Self::NodeName => "node_name",
            Self::NodeUnclaimed => "node_unclaimed",
            Self::NodeMismatch => "node_mismatch",
            Self::Node(Unusable::Unbonding) => "node_unbonding",
            Self::Node(Unusable::Slashed) => "node_slashed",
            Self::Node(Unusable::Revoked) => "node_revoked",
            Self::Node(Unusable::Retired) => "node_retired",
            Self::Node(Unusable::Expired) => "node_expired",
            Self::Node(Unusable::StakeTooLow) => "node_stake_too_low",
            Self::NodeEnded => "node_ended",
            Self::NodeCreated => "node_created",
            Self::SharedIdentity => "shared_identity",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::ExtraMissing => "this user was not authenticated by its seal",
            Self::ExtraMalformed => "the user's extra does not name exactly one seal",
            Self::SealUnknown => "no seal with this credential is known",
            Self::OtherOwner => "the seal belongs to another owner",
            Self::OtherSeal => "the credential belongs to another seal",
            Self::OtherUid => "the user's uid is not the seal's",
            Self::GroupWithoutSeal => "only a seal makes a member of the groups of seal holders",
            Self::AccountAmbiguous => "the service account names several namespaces",
            Self::AccountOwnerless => "the service account's namespace has no known owner",
            Self::AccountOwnerEnded => {
                "the owner of the service account's namespace has no usable seal of tier \
                 developer or more"
            }
            Self::AccountHeld => {
                "the guards inside the API server are not in place yet: until then service \
                 accounts of tenants may do nothing"
            }
            Self::Held(tier) => {
                return write!(
                    f,
                    "the guards inside the API server are not in place yet: until then a seal \
                     of tier {tier} is held at viewer, which does not grant this"
                );
            }
            Self::NodeName => "no seal can hold this node's name",
            Self::NodeUnclaimed => "no seal holds this node's name",
            Self::NodeMismatch => {
                "the seal that holds the name is not the one this node joined with"
            }
            Self::NodeEnded => {
                "the node was cut off, or its seal had ended, when the chain was last read"
            }
            Self::NodeCreated => "the server makes this Node, and the kubelet goes on with it",
            Self::SharedIdentity => "strict isolation leaves this identity nothing of the sort",
            Self::Seal(unusable) => return write!(f, "the seal is {}", words(*unusable)),
            Self::Node(unusable) => return write!(f, "the node's seal is {}", words(*unusable)),
        };
        f.write_str(text)
    }
}

const fn words(unusable: Unusable) -> &'static str {
    match unusable {
        Unusable::Unbonding => "unbonding: its stake was asked back",
        Unusable::Slashed => "slashed: restake to restore it",
        Unusable::Revoked => "revoked by the operator",
        Unusable::Retired => "retired: it was rotated or withdrawn",
        Unusable::Expired => "expired: refresh it",
        Unusable::StakeTooLow => "below the least stake: restake",
    }
}

impl Pass {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::NotOurs,
        Self::Account,
        Self::Node,
        Self::NodeDraining,
        Self::ControlPlane,
        Self::SharedIdentity,
    ];

    /// The name in metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotOurs => "not_ours",
            Self::Account => "account",
            Self::Node => "node",
            Self::NodeDraining => "node_draining",
            Self::ControlPlane => "control_plane",
            Self::SharedIdentity => "shared_identity_open",
        }
    }
}

impl Cause {
    /// The name in metrics and logs.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Directory(unavailable) => unavailable.label(),
            Self::Deadline => "deadline",
            Self::Namespaces => "namespaces_starting",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(unavailable) => unavailable.fmt(f),
            Self::Deadline => f.write_str("the seal directory did not answer in time"),
            Self::Namespaces => f.write_str("the owners of namespaces are not known now"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_verdict_has_a_series_of_its_own() {
        let series: Vec<_> = Verdict::series()
            .map(|verdict| (verdict.outcome().label(), verdict.label()))
            .collect();
        let distinct: BTreeSet<_> = series.iter().copied().collect();
        assert_eq!(distinct.len(), series.len());
    }
}
