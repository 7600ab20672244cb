//! The decision: pure, without clock, I/O or logging.

use std::sync::Arc;
use std::time::Duration;

use seal::access::{self, Attributes, Decision, NamespaceView, Ownership, Place, Policy};
use seal::{NodeStanding, SealRecord, Tier, Unusable};

use crate::app::{Isolation, Settings};
use crate::caller::SharedIdentity;
use crate::gather::{AccountFacts, Clock, Facts, NodeFacts, SealFacts};
use crate::verdict::{Cause, Pass, Refusal, Verdict};

/// Judges one request.
pub(crate) fn decide(settings: &Settings, facts: &Facts, request: &Attributes<'_>) -> Verdict {
    match facts {
        Facts::Seal(seal) => decide_seal(&settings.policy, seal, request),
        Facts::Malformed(refusal) => Verdict::Refuse(*refusal),
        Facts::Account(account) => decide_account(account),
        Facts::Node(node) => decide_node(node, settings.drain_grace, request),
        Facts::ControlPlane => Verdict::Pass(Pass::ControlPlane),
        Facts::Shared(identity) => decide_shared(settings.isolation, *identity, request),
        Facts::Other => Verdict::Pass(Pass::NotOurs),
    }
}

fn decide_seal(policy: &Policy, facts: &SealFacts, request: &Attributes<'_>) -> Verdict {
    let record = match &facts.record {
        Ok(Some(record)) => record,
        Ok(None) => return Verdict::Refuse(Refusal::SealUnknown),
        Err(cause) => return Verdict::UndecidedDeny(*cause),
    };
    if let Err(refusal) = facts.claimed.verify(record) {
        return Verdict::Refuse(refusal);
    }
    let tier = match usable(record, &facts.clock) {
        Ok(tier) => policy.elevated_owners.cap(tier, &record.owner),
        Err(unusable) => return Verdict::Refuse(Refusal::Seal(unusable)),
    };
    let place = place(policy, facts, record, request);
    if !facts.clock.guarded && tier > HELD_AT {
        return decide_held(policy, tier, place, request);
    }
    Verdict::Tier(tier, access::decide(policy, tier, place, request))
}

/// Before the guards inside the API server are in place no seal counts above this.
const HELD_AT: Tier = Tier::Viewer;

/// A seal that is held down: what a viewer may do, and nothing by RBAC, whose grants may
/// name its owner or the groups of its tier and lean on the same guards.
fn decide_held(policy: &Policy, tier: Tier, place: Place, request: &Attributes<'_>) -> Verdict {
    match access::decide(policy, HELD_AT, place, request) {
        allowed @ Decision::Allow(_) => Verdict::Tier(HELD_AT, allowed),
        Decision::Deny(_) | Decision::NoOpinion(_) => Verdict::Refuse(Refusal::Held(tier)),
    }
}

fn place(
    policy: &Policy,
    facts: &SealFacts,
    record: &SealRecord,
    request: &Attributes<'_>,
) -> Place {
    match request.namespace() {
        None => Place::Cluster,
        Some(name) => {
            let view = facts.namespace.unwrap_or(NamespaceView::UNKNOWN);
            Place::Namespace(policy.standing(name, &view, &record.owner))
        }
    }
}

/// A service account lives and ends with its owner's seals. RBAC says what it may do, and
/// that is more than a viewer may (pods, Secrets, Roles of its namespace), none of which
/// is looked at here: so it may do nothing before the guards are in place.
fn decide_account(facts: &AccountFacts) -> Verdict {
    let owner = match facts.ownership {
        Ownership::Owned(owner) => owner,
        Ownership::Unowned => return Verdict::Refuse(Refusal::AccountOwnerless),
        Ownership::Unknown => return Verdict::UndecidedDeny(Cause::Namespaces),
    };
    let mut unread = None;
    for seal in &facts.seals {
        match seal {
            Ok(Some(record)) if record.owner == owner => {
                if usable(record, &facts.clock).is_ok_and(|tier| tier >= Tier::Developer) {
                    return if facts.clock.guarded {
                        Verdict::Pass(Pass::Account)
                    } else {
                        Verdict::Refuse(Refusal::AccountHeld)
                    };
                }
            }
            Ok(_) => {}
            Err(cause) => unread = Some(*cause),
        }
    }
    match unread {
        // What can't be read is not an end, but no yes either.
        Some(cause) => Verdict::UndecidedDeny(cause),
        None => Verdict::Refuse(Refusal::AccountOwnerEnded),
    }
}

fn decide_node(facts: &NodeFacts, drain_grace: Duration, request: &Attributes<'_>) -> Verdict {
    // An outage stops no running node, and revives none that has ended.
    let undecided = |cause| {
        let goes_on = match facts.end {
            // Rotated, and not withdrawn: a stake that is paid out was unbonding for days before, and
            // its node was cut then. The name has another seal that can't be read now.
            Some(end) if end.how == Unusable::Retired && facts.standing == NodeStanding::Active => {
                true
            }
            Some(end) => may_drain(facts, end.how, drain_grace),
            None => match facts.standing {
                NodeStanding::Unknown | NodeStanding::Active => true,
                NodeStanding::Draining { until } => facts.clock.now < until,
                NodeStanding::Cut => false,
            },
        };
        if goes_on {
            Verdict::UndecidedPass(cause)
        } else {
            Verdict::Refuse(Refusal::NodeEnded)
        }
    };
    let claim = match &facts.claim {
        Ok(Some(claim)) => claim,
        Ok(None) => return Verdict::Refuse(Refusal::NodeUnclaimed),
        Err(cause) => return undecided(*cause),
    };
    let record = match &facts.record {
        Some(Ok(Some(record))) => record,
        Some(Ok(None)) | None => return Verdict::Refuse(Refusal::NodeMismatch),
        Some(Err(cause)) => return undecided(*cause),
    };
    // A voided name may be claimed by another owner, whose seal must not carry the certificates that
    // were signed for the one before.
    let is_others = facts.joined_by.is_some_and(|owner| owner != claim.owner);
    if is_others || record.owner != claim.owner || record.node_id.as_ref() != Some(&facts.name) {
        return Verdict::Refuse(Refusal::NodeMismatch);
    }
    match usable(record, &facts.clock) {
        // Kubelet takes the refusal, and goes on with the Node that the server made.
        Ok(_) if creates_node(request) => Verdict::Refuse(Refusal::NodeCreated),
        Ok(_) => Verdict::Pass(Pass::Node),
        Err(unusable) if may_drain(facts, unusable, drain_grace) => {
            Verdict::Pass(Pass::NodeDraining)
        }
        Err(unusable) => Verdict::Refuse(Refusal::Node(unusable)),
    }
}

fn creates_node(request: &Attributes<'_>) -> bool {
    match request {
        Attributes::Resource(request) => {
            (request.verb, request.group, request.resource) == ("create", "", "nodes")
        }
        Attributes::Path { .. } => false,
    }
}

/// Whether a node whose seal ended may go on for a while, so that its pods can be moved: only
/// where nobody was at fault, and never past the end of the drain. In the moment before the
/// drain has begun it goes by the end itself.
fn may_drain(facts: &NodeFacts, how: Unusable, grace: Duration) -> bool {
    // Whoever unbonds after a slash or a revocation is at fault, which the record does not tell.
    let fault = |seen: Unusable| how == Unusable::Unbonding && !seen.is_without_fault();
    let now = facts.clock.now.0;
    how.is_without_fault()
        && !facts.end.is_some_and(|end| fault(end.how))
        && match facts.standing {
            NodeStanding::Draining { until } => now < until.0,
            NodeStanding::Active => facts
                .end
                .is_some_and(|end| u128::from(now.saturating_sub(end.at.0)) < grace.as_millis()),
            NodeStanding::Unknown | NodeStanding::Cut => false,
        }
}

fn decide_shared(
    isolation: Isolation,
    identity: SharedIdentity,
    request: &Attributes<'_>,
) -> Verdict {
    let left = match (isolation, identity) {
        (Isolation::Open, _) => true,
        (Isolation::Strict, SharedIdentity::KubeProxy) => false,
        (Isolation::Strict, SharedIdentity::K3sController) => is_needed_by_controller(request),
    };
    if left {
        Verdict::Pass(Pass::SharedIdentity)
    } else {
        Verdict::Refuse(Refusal::SharedIdentity)
    }
}

/// The five requests that a stock agent can't start without (K3s v1.36.3, no flannel,
/// no network policy controller). Its certificate names no node, so any node it gets
/// by name may be its own.
fn is_needed_by_controller(request: &Attributes<'_>) -> bool {
    match request {
        Attributes::Path { verb, path } => (*verb, *path) == ("get", "/readyz"),
        Attributes::Resource(request) if !request.subresource.is_empty() => false,
        Attributes::Resource(request) => match (request.verb, request.group, request.resource) {
            ("create", "authorization.k8s.io", "selfsubjectaccessreviews") => true,
            ("get", "", "nodes") => !request.name.is_empty(),
            ("list" | "watch", "discovery.k8s.io", "endpointslices") => {
                request.namespace == "default"
            }
            _ => false,
        },
    }
}

fn usable(record: &Arc<SealRecord>, clock: &Clock) -> Result<Tier, Unusable> {
    record.usable(clock.now, &clock.thresholds)
}

#[cfg(test)]
mod tests;
