//! The life of a node: what is next, and when to look again.
//!
//! Shape:  [`decide`] is a pure function of what the chain says, what stands on the SealedNode and
//!         in the cluster, and the time.
//! Laws:   a node whose seal is usable is neither drained nor cut. What is not known changes
//!         nothing, but what was cut stays cut. A seal lost by fault is cut at once; one that ended
//!         without fault never before the end of its grace, unless nothing is left to move. The end
//!         of the grace, once written, is never put off.

use std::time::Duration;

use seal::{SealRecord, UnixMillis, Unusable};

use super::chain::{Chain, Ended};
use crate::sealed_node::{NodeState, SealedNodeStatus};

/// Nothing is left alone for longer: what no watch told is found then.
pub(super) const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// The directory tells no listener that it can be read again.
const LOOK_UNKNOWN: Duration = Duration::from_secs(5);
/// A deadline that just passed is looked at no sooner.
const SOONEST: Duration = Duration::from_millis(50);
/// A Node that is going takes about so long.
const GOING: Duration = Duration::from_millis(500);

/// What stands in the cluster under the node's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// No Node.
    Absent,
    /// The owner's.
    Ours,
    /// The owner's, being deleted.
    Going,
    /// Somebody else's.
    Foreign,
}

/// All that is decided by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) chain: &'a Chain,
    pub(super) status: &'a SealedNodeStatus,
    pub(super) node: Seen,
    /// Its pods were looked at, and none is left that could be moved.
    pub(super) drained: bool,
    /// The agent never asked: said by the SealedNode of a node that was cut before it did.
    pub(super) never_asked: bool,
    /// No seal's node may bear the name any more.
    pub(super) reserved: bool,
    pub(super) now: UnixMillis,
    pub(super) drain_grace: Duration,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing is known: nothing changes.
    Leave,
    /// The agent has not asked to join: there is no Node to keep.
    Wait,
    /// The Node is there and open; it is made where it is missing.
    Keep,
    /// No new pods, and those that run are moved, until then.
    Drain {
        /// When it is cut.
        until: UnixMillis,
    },
    /// No Node and no pods.
    Cut,
}

impl Step {
    /// The state that goes with it; none where it stays.
    pub(super) const fn state(self) -> Option<NodeState> {
        match self {
            Self::Leave => None,
            Self::Wait => Some(NodeState::Pending),
            Self::Keep => Some(NodeState::Active),
            Self::Drain { .. } => Some(NodeState::Draining),
            Self::Cut => Some(NodeState::Cut),
        }
    }
}

/// The next step and all that belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) step: Step,
    /// When the seal ended, where it has.
    pub(super) ended_at: Option<UnixMillis>,
    pub(super) look_again: Duration,
}

/// What is next.
pub(super) fn decide(facts: &Facts<'_>) -> Next {
    match facts.chain {
        Chain::Unknown => unknown(facts),
        Chain::Usable(held) => usable(facts, held.record.expires_at),
        Chain::Ended(how, held) => {
            let record = held.as_ref().map(|held| held.record.as_ref());
            ended(facts, *how, record)
        }
    }
}

/// The agent has asked to join, as far as anybody knows. Who made a Node had been asked.
fn has_asked(facts: &Facts<'_>) -> bool {
    let has_node = matches!(facts.node, Seen::Ours | Seen::Going);
    match facts.status.state {
        NodeState::Pending => has_node,
        NodeState::Active | NodeState::Draining => true,
        NodeState::Cut => has_node || !facts.never_asked,
    }
}

fn unknown(facts: &Facts<'_>) -> Next {
    let step = match facts.status.state {
        NodeState::Cut => Step::Cut,
        NodeState::Pending | NodeState::Active | NodeState::Draining => Step::Leave,
    };
    Next {
        step,
        ended_at: facts.status.ended_at_ms.map(UnixMillis),
        look_again: LOOK_UNKNOWN,
    }
}

fn usable(facts: &Facts<'_>, expires_at: UnixMillis) -> Next {
    let may_be_made = facts.node != Seen::Absent || !facts.reserved;
    let step = if has_asked(facts) && may_be_made {
        Step::Keep
    } else {
        Step::Wait
    };
    let look_again = match (step, facts.node) {
        (Step::Keep, Seen::Going) => GOING,
        _ => until(facts.now, expires_at),
    };
    Next {
        step,
        ended_at: None,
        look_again,
    }
}

fn ended(facts: &Facts<'_>, how: Ended, record: Option<&SealRecord>) -> Next {
    let status = facts.status;
    // What is Pending keeps its time too: another one at each look would be a change at each look.
    let was_over = status.state != NodeState::Active;
    let known = status.ended_at_ms.map(UnixMillis).filter(|_| was_over);
    let ended_at = known.unwrap_or_else(|| match (how, record) {
        (Ended::Seal(Unusable::Expired), Some(record)) => record.expires_at.min(facts.now),
        _ => facts.now,
    });
    let step = match status.state {
        NodeState::Cut => Step::Cut,
        // Nothing of it is in the cluster. But a name that is gone is said to be.
        NodeState::Pending if !has_asked(facts) && matches!(how, Ended::Seal(_)) => Step::Wait,
        NodeState::Pending if !has_asked(facts) => Step::Cut,
        _ if !how.is_benign() => Step::Cut,
        // Nothing can be moved where no kubelet works.
        _ if facts.node != Seen::Ours => Step::Cut,
        NodeState::Pending | NodeState::Active => drain(facts, grace_ends(facts)),
        NodeState::Draining => match status.drain_until_ms.map(UnixMillis) {
            // However the clock was set meanwhile, and if the grace is shorter now.
            Some(until) => drain(facts, until.min(grace_ends(facts))),
            None => Step::Cut,
        },
    };
    let look_again = match (step, facts.node) {
        (Step::Drain { until: end }, _) => until(facts.now, end),
        (Step::Cut, Seen::Going) => GOING,
        _ => LOOK_AGAIN,
    };
    Next {
        step,
        ended_at: Some(ended_at),
        look_again,
    }
}

fn drain(facts: &Facts<'_>, until: UnixMillis) -> Step {
    if facts.drained || facts.now >= until {
        Step::Cut
    } else {
        Step::Drain { until }
    }
}

fn grace_ends(facts: &Facts<'_>) -> UnixMillis {
    let grace = u64::try_from(facts.drain_grace.as_millis()).unwrap_or(u64::MAX);
    UnixMillis(facts.now.0.saturating_add(grace))
}

/// How long to wait for a time, within bounds.
pub(super) fn until(now: UnixMillis, time: UnixMillis) -> Duration {
    Duration::from_millis(time.0.saturating_sub(now.0)).clamp(SOONEST, LOOK_AGAIN)
}

#[cfg(test)]
mod tests;
