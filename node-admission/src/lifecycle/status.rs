//! What has to be written on a SealedNode so that it says how its node stands.
//!
//! Shape:  [`should`] is the status as it should be, but for what others write (registration,
//!         heartbeat); [`patch`] a merge patch of what differs. Both patches name the version that
//!         was looked at.
//!         `Sealed`: the seal is usable. `Joined`: the Node is there. `Drained`: no pod is left.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use seal::{Tier, UnixMillis};
use serde_json::{Map, Value, json};

use super::chain::{Chain, Held};
use super::life::{Next, Seen, Step};
use crate::records::{REASON_USABLE, kept, rfc3339};
use crate::sealed_node::{AgentTaint, Machine, NodeState, SealedNode, SealedNodeStatus};

/// The fields that are written here.
const OURS: [&str; 11] = [
    "state",
    "reason",
    "stakeMist",
    "tier",
    "expiresAtMs",
    "expires",
    "seq",
    "drainUntilMs",
    "endedAtMs",
    "agentTaints",
    "machine",
];
const SEALED: &str = "Sealed";
const JOINED: &str = "Joined";
const DRAINED: &str = "Drained";
/// Why a node that was cut has never joined.
const NEVER_ASKED: &str = "NeverAsked";

/// What the cluster shows, after what was done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) node: Seen,
    /// Whether no pod is left that is to go. None where nobody looked.
    pub(super) drained: Option<bool>,
    /// What the agent's configuration names; none where the Node does not tell.
    pub(super) taints: Option<&'a [AgentTaint]>,
    /// What the machine says of itself; none where its Node does not tell.
    pub(super) machine: Option<&'a Machine>,
}

/// The agent had not asked to join when it was cut.
pub(super) fn never_asked(status: &SealedNodeStatus) -> bool {
    let joined = status.conditions.iter().find(|one| one.type_ == JOINED);
    joined.is_some_and(|joined| joined.reason == NEVER_ASKED)
}

/// The status as it should be.
pub(super) fn should(
    was: &SealedNodeStatus,
    chain: &Chain,
    next: &Next,
    shown: Shown<'_>,
    now: UnixMillis,
) -> SealedNodeStatus {
    let mut status = was.clone();
    if let Some(state) = next.step.state() {
        status.state = state;
    }
    match chain {
        Chain::Unknown => {}
        Chain::Usable(held) => {
            status.reason = Some(REASON_USABLE.to_owned());
            tell_record(&mut status, held);
        }
        Chain::Ended(how, held) => {
            status.reason = Some(how.label().to_owned());
            if let Some(held) = held {
                tell_record(&mut status, held);
            }
        }
    }
    if !matches!((next.step, chain), (Step::Leave, _) | (_, Chain::Unknown)) {
        status.ended_at_ms = next.ended_at.map(|at| kept(at.0));
        status.drain_until_ms = match next.step {
            Step::Drain { until } => Some(kept(until.0)),
            _ => None,
        };
    }
    if let Some(taints) = shown.taints {
        status.agent_taints = taints.to_vec();
    }
    if let Some(machine) = shown.machine {
        status.machine = Some(machine.clone());
    }
    tell_conditions(&mut status, was, chain, next, shown, now);
    status
}

fn tell_record(status: &mut SealedNodeStatus, held: &Held) {
    let record = &held.record;
    status.stake_mist = Some(kept(record.stake.0));
    status.tier = held.tier.map(|tier: Tier| tier.label().to_owned());
    status.expires_at_ms = Some(kept(record.expires_at.0));
    status.expires = rfc3339(record.expires_at);
    status.seq = Some(kept(record.seq));
}

fn tell_conditions(
    status: &mut SealedNodeStatus,
    was: &SealedNodeStatus,
    chain: &Chain,
    next: &Next,
    shown: Shown<'_>,
    now: UnixMillis,
) {
    let mut set = |type_: &str, is: bool, reason: &str| {
        set(&mut status.conditions, type_, is, reason, now);
    };
    match chain {
        Chain::Unknown => {}
        Chain::Usable(_) => set(SEALED, true, "Usable"),
        Chain::Ended(how, _) => set(SEALED, false, how.reason()),
    }
    if next.step == Step::Leave {
        return;
    }
    let was_cut_before_it_asked =
        was.state == NodeState::Pending && next.step == Step::Cut || never_asked(was);
    match (next.step, shown.node) {
        (_, Seen::Ours) => set(JOINED, true, "NodeExists"),
        (_, Seen::Foreign) => set(JOINED, false, "NameTaken"),
        (_, Seen::Going) => set(JOINED, false, "NodeEnding"),
        (Step::Wait, Seen::Absent) => set(JOINED, false, "Awaited"),
        (Step::Cut, Seen::Absent) if was_cut_before_it_asked => set(JOINED, false, NEVER_ASKED),
        (_, Seen::Absent) => set(JOINED, false, "NodeMissing"),
    }
    match (next.step, shown.drained) {
        (Step::Drain { .. }, _) => set(DRAINED, false, "Draining"),
        (Step::Cut, Some(true)) => set(DRAINED, true, "NoPods"),
        (Step::Cut, Some(false)) => set(DRAINED, false, "PodsLeft"),
        (Step::Keep, _) => set(DRAINED, false, "InUse"),
        (Step::Cut, None) | (Step::Wait | Step::Leave, _) => {}
    }
}

/// No pod was left when it was last looked at.
pub(super) fn is_drained(status: &SealedNodeStatus) -> bool {
    let drained = status.conditions.iter().find(|one| one.type_ == DRAINED);
    drained.is_some_and(|drained| drained.status == "True")
}

fn set(all: &mut Vec<Condition>, type_: &str, is: bool, reason: &str, now: UnixMillis) {
    let status = if is { "True" } else { "False" };
    let since = || {
        let seconds = i64::try_from(now.0 / 1_000).unwrap_or(i64::MAX);
        Time(Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX))
    };
    if let Some(there) = all.iter_mut().find(|one| one.type_ == type_) {
        if there.status != status {
            there.last_transition_time = since();
        }
        status.clone_into(&mut there.status);
        reason.clone_into(&mut there.reason);
        return;
    }
    all.push(Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: String::new(),
        last_transition_time: since(),
        observed_generation: None,
    });
}

/// What has to be written of the status, if anything.
pub(super) fn patch(sealed: &SealedNode, should: &SealedNodeStatus) -> Option<Value> {
    let is = sealed.status.clone().unwrap_or_default();
    let (before, after) = (fields(&is), fields(should));
    let mut changes = Map::new();
    for field in OURS.into_iter().chain(["conditions"]) {
        let value = after.get(field).unwrap_or(&Value::Null);
        if before.get(field).unwrap_or(&Value::Null) != value {
            changes.insert(field.to_owned(), value.clone());
        }
    }
    (!changes.is_empty()).then(|| {
        json!({
            "metadata": { "resourceVersion": sealed.metadata.resource_version },
            "status": changes,
        })
    })
}

fn fields(status: &SealedNodeStatus) -> Map<String, Value> {
    match serde_json::to_value(status) {
        Ok(Value::Object(fields)) => fields,
        // Nothing in it can't be written down.
        _ => Map::new(),
    }
}

/// What has to be written of the spec, if the owner's claim has moved on to another seal.
pub(super) fn spec_patch(sealed: &SealedNode, chain: &Chain) -> Option<Value> {
    let held = match chain {
        Chain::Usable(held) | Chain::Ended(_, Some(held)) => held,
        Chain::Unknown | Chain::Ended(_, None) => return None,
    };
    let spec = crate::records::spec(held.hash, &held.record);
    (sealed.spec != spec).then(|| {
        json!({
            "metadata": { "resourceVersion": sealed.metadata.resource_version },
            "spec": spec,
        })
    })
}

#[cfg(test)]
mod tests;
