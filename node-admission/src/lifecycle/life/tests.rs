//! Every state with everything that can be known.

use std::sync::Arc;

use proptest::prelude::*;
use seal::CredentialHash;
use seal::testing::active_record;

use super::super::chain::Held;
use super::*;

const NOW: UnixMillis = UnixMillis(1_000_000);
const GRACE: Duration = Duration::from_mins(5);
const GRACE_ENDS: UnixMillis = UnixMillis(1_300_000);
const STATES: [NodeState; 4] = [
    NodeState::Pending,
    NodeState::Active,
    NodeState::Draining,
    NodeState::Cut,
];
const SEEN: [Seen; 4] = [Seen::Absent, Seen::Ours, Seen::Going, Seen::Foreign];

fn held(expires_at: u64) -> Held {
    let record = SealRecord {
        expires_at: UnixMillis(expires_at),
        ..active_record()
    };
    Held {
        hash: CredentialHash::from_bytes([3; 32]),
        record: Arc::new(record),
        tier: None,
    }
}

fn usable() -> Chain {
    Chain::Usable(held(2_000_000))
}

fn lost(how: Unusable) -> Chain {
    Chain::Ended(Ended::Seal(how), Some(held(900_000)))
}

const FAULTS: [Unusable; 3] = [Unusable::Slashed, Unusable::Revoked, Unusable::StakeTooLow];
const BENIGN: [Unusable; 3] = [Unusable::Expired, Unusable::Unbonding, Unusable::Retired];

fn chains() -> Vec<Chain> {
    let ends = FAULTS.into_iter().chain(BENIGN).map(lost);
    let taken = [Ended::Voided, Ended::Others].map(|how| Chain::Ended(how, None));
    [Chain::Unknown, usable()]
        .into_iter()
        .chain(ends)
        .chain(taken)
        .collect()
}

fn status(state: NodeState) -> SealedNodeStatus {
    let over = matches!(state, NodeState::Draining | NodeState::Cut);
    SealedNodeStatus {
        state,
        drain_until_ms: (state == NodeState::Draining).then_some(1_100_000),
        ended_at_ms: over.then_some(800_000),
        ..SealedNodeStatus::default()
    }
}

fn facts<'a>(chain: &'a Chain, status: &'a SealedNodeStatus, node: Seen) -> Facts<'a> {
    Facts {
        chain,
        status,
        node,
        drained: false,
        never_asked: false,
        reserved: false,
        now: NOW,
        drain_grace: GRACE,
    }
}

fn step(chain: &Chain, state: NodeState, node: Seen) -> Step {
    decide(&facts(chain, &status(state), node)).step
}

#[test]
fn a_usable_seal_keeps_its_node_wherever_it_was() {
    for node in SEEN {
        for state in [NodeState::Active, NodeState::Draining, NodeState::Cut] {
            assert_eq!(
                step(&usable(), state, node),
                Step::Keep,
                "{state:?} {node:?}"
            );
        }
    }
    // Nobody asked; but who made a Node had been.
    let pending = |node| step(&usable(), NodeState::Pending, node);
    assert_eq!(pending(Seen::Absent), Step::Wait);
    assert_eq!(pending(Seen::Foreign), Step::Wait);
    assert_eq!(pending(Seen::Ours), Step::Keep);
    assert_eq!(pending(Seen::Going), Step::Keep);
}

#[test]
fn what_is_not_known_changes_nothing_and_what_was_cut_stays_cut() {
    for node in SEEN {
        for state in [NodeState::Pending, NodeState::Active, NodeState::Draining] {
            assert_eq!(step(&Chain::Unknown, state, node), Step::Leave, "{state:?}");
        }
        assert_eq!(step(&Chain::Unknown, NodeState::Cut, node), Step::Cut);
    }
    // The end of its grace passed while nobody could ask: it may have been restaked.
    let (chain, mut status) = (Chain::Unknown, status(NodeState::Draining));
    status.drain_until_ms = Some(1);
    assert_eq!(
        decide(&facts(&chain, &status, Seen::Ours)).step,
        Step::Leave
    );
}

#[test]
fn a_fault_cuts_at_once() {
    for how in FAULTS {
        for node in SEEN {
            for state in [NodeState::Active, NodeState::Draining, NodeState::Cut] {
                assert_eq!(step(&lost(how), state, node), Step::Cut, "{how} {state:?}");
            }
        }
        assert_eq!(step(&lost(how), NodeState::Pending, Seen::Ours), Step::Cut);
        assert_eq!(
            step(&lost(how), NodeState::Pending, Seen::Absent),
            Step::Wait
        );
    }
}

#[test]
fn a_name_that_is_lost_cuts_at_once_and_in_every_state() {
    for how in [Ended::Voided, Ended::Others] {
        for state in STATES {
            for node in SEEN {
                let chain = Chain::Ended(how, None);
                assert_eq!(step(&chain, state, node), Step::Cut, "{how:?} {state:?}");
            }
        }
    }
}

#[test]
fn an_end_without_fault_drains_first() {
    for how in BENIGN {
        let chain = lost(how);
        let until = |until| Step::Drain { until };
        assert_eq!(
            step(&chain, NodeState::Active, Seen::Ours),
            until(GRACE_ENDS)
        );
        assert_eq!(
            step(&chain, NodeState::Pending, Seen::Ours),
            until(GRACE_ENDS)
        );
        // What was written holds.
        let written = UnixMillis(1_100_000);
        assert_eq!(
            step(&chain, NodeState::Draining, Seen::Ours),
            until(written)
        );
        assert_eq!(step(&chain, NodeState::Cut, Seen::Ours), Step::Cut);
        assert_eq!(step(&chain, NodeState::Pending, Seen::Absent), Step::Wait);
        // No kubelet, or not ours: nothing to move.
        for node in [Seen::Absent, Seen::Going, Seen::Foreign] {
            assert_eq!(step(&chain, NodeState::Active, node), Step::Cut, "{node:?}");
            assert_eq!(
                step(&chain, NodeState::Draining, node),
                Step::Cut,
                "{node:?}"
            );
        }
    }
}

#[test]
fn a_drain_ends_when_its_grace_does_or_when_nothing_is_left() {
    let chain = lost(Unusable::Expired);
    let draining = status(NodeState::Draining);
    let at = |now, drained| {
        let facts = facts(&chain, &draining, Seen::Ours);
        let now = UnixMillis(now);
        decide(&Facts {
            drained,
            now,
            ..facts
        })
        .step
    };
    let until = UnixMillis(1_100_000);
    assert_eq!(at(1_099_999, false), Step::Drain { until });
    assert_eq!(at(1_100_000, false), Step::Cut);
    assert_eq!(at(1_000_000, true), Step::Cut);
    // Nobody wrote for how long.
    let endless = SealedNodeStatus {
        drain_until_ms: None,
        ..draining.clone()
    };
    assert_eq!(decide(&facts(&chain, &endless, Seen::Ours)).step, Step::Cut);
    // No grace at all.
    let active = status(NodeState::Active);
    let none = Facts {
        drain_grace: Duration::ZERO,
        ..facts(&chain, &active, Seen::Ours)
    };
    assert_eq!(decide(&none).step, Step::Cut);
    // A grace that was written by a clock far ahead.
    let far = SealedNodeStatus {
        drain_until_ms: Some(u64::MAX),
        ..draining
    };
    let step = decide(&facts(&chain, &far, Seen::Ours)).step;
    assert_eq!(step, Step::Drain { until: GRACE_ENDS });
}

#[test]
fn who_never_asked_has_no_node_when_its_name_is_back() {
    let (chain, cut) = (usable(), status(NodeState::Cut));
    let facts = Facts {
        never_asked: true,
        ..facts(&chain, &cut, Seen::Absent)
    };
    assert_eq!(decide(&facts).step, Step::Wait);
}

#[test]
fn a_reserved_name_gets_no_node_and_keeps_the_one_it_has() {
    let (chain, active) = (usable(), status(NodeState::Active));
    let of = |node| {
        decide(&Facts {
            reserved: true,
            ..facts(&chain, &active, node)
        })
        .step
    };
    assert_eq!(of(Seen::Absent), Step::Wait);
    assert_eq!(of(Seen::Ours), Step::Keep);
}

#[test]
fn the_time_of_an_end_is_the_chains_or_when_it_was_first_seen() {
    let ended_at = |chain: &Chain, state| {
        let status = status(state);
        decide(&facts(chain, &status, Seen::Ours)).ended_at
    };
    let expired = lost(Unusable::Expired);
    assert_eq!(
        ended_at(&expired, NodeState::Active),
        Some(UnixMillis(900_000))
    );
    assert_eq!(
        ended_at(&lost(Unusable::Slashed), NodeState::Active),
        Some(NOW)
    );
    assert_eq!(
        ended_at(&expired, NodeState::Draining),
        Some(UnixMillis(800_000))
    );
    assert_eq!(
        ended_at(&expired, NodeState::Cut),
        Some(UnixMillis(800_000))
    );
    assert_eq!(ended_at(&usable(), NodeState::Cut), None);
}

#[test]
fn looks_again_when_something_is_due() {
    let (active, chain) = (status(NodeState::Active), usable());
    let at = |now| {
        decide(&Facts {
            now: UnixMillis(now),
            ..facts(&chain, &active, Seen::Ours)
        })
    };
    assert_eq!(at(1_000).look_again, LOOK_AGAIN);
    assert_eq!(at(1_999_000).look_again, Duration::from_secs(1));
    assert_eq!(at(3_000_000).look_again, SOONEST);
    let drain = lost(Unusable::Expired);
    let draining = SealedNodeStatus {
        drain_until_ms: Some(1_002_000),
        ..status(NodeState::Draining)
    };
    let next = decide(&facts(&drain, &draining, Seen::Ours));
    assert_eq!(next.look_again, Duration::from_secs(2));
}

fn any_status() -> impl Strategy<Value = SealedNodeStatus> {
    let time = || proptest::option::of(0..3_000_000_u64);
    (0..STATES.len(), time(), time()).prop_map(|(state, until, ended)| SealedNodeStatus {
        state: STATES.get(state).copied().unwrap_or_default(),
        drain_until_ms: until,
        ended_at_ms: ended,
        ..SealedNodeStatus::default()
    })
}

fn any_chain() -> impl Strategy<Value = Chain> {
    proptest::sample::select(chains())
}

proptest! {
    /// Whatever stands anywhere.
    #[test]
    fn laws(
        chain in any_chain(),
        status in any_status(),
        node in proptest::sample::select(SEEN.to_vec()),
        flags in (any::<bool>(), any::<bool>(), any::<bool>()),
        now in 0..3_000_000_u64,
        grace in 0..1_000_000_u64,
    ) {
        let (drained, never_asked, reserved) = flags;
        let facts = Facts {
            chain: &chain, status: &status, node, drained, never_asked, reserved,
            now: UnixMillis(now), drain_grace: Duration::from_millis(grace),
        };
        let next = decide(&facts);
        prop_assert!(next.look_again >= SOONEST && next.look_again <= LOOK_AGAIN);
        match &chain {
            Chain::Usable(_) => prop_assert!(matches!(next.step, Step::Keep | Step::Wait)),
            Chain::Unknown => {
                let expected = match status.state {
                    NodeState::Cut => Step::Cut,
                    _ => Step::Leave,
                };
                prop_assert_eq!(next.step, expected);
            }
            Chain::Ended(how, _) => {
                prop_assert!(!matches!(next.step, Step::Keep | Step::Leave));
                // Cut stays cut.
                if status.state == NodeState::Cut {
                    prop_assert_eq!(next.step, Step::Cut);
                }
                if let Step::Drain { until } = next.step {
                    prop_assert!(how.is_benign() && !drained && node == Seen::Ours);
                    prop_assert!(until.0 > now && until.0 <= now + grace);
                    if let (NodeState::Draining, Some(written)) = (status.state, status.drain_until_ms) {
                        prop_assert!(until.0 <= written, "a grace is never put off");
                    }
                }
            }
        }
        // What was decided, once written, is decided again.
        let mut written = status.clone();
        if let Some(state) = next.step.state() {
            written.state = state;
            written.ended_at_ms = next.ended_at.map(|at| at.0);
            written.drain_until_ms = match next.step {
                Step::Drain { until } => Some(until.0),
                _ => None,
            };
        }
        let again = decide(&Facts { status: &written, never_asked: next.step == Step::Wait, ..facts });
        if next.step != Step::Wait {
            prop_assert_eq!(again.step, next.step);
            prop_assert_eq!(again.ended_at, next.ended_at);
        }
    }
}

#[test]
fn a_second_look_changes_nothing() {
    for state in STATES {
        for node in SEEN {
            for chain in chains() {
                let mut status = status(state);
                let first = decide(&facts(&chain, &status, node));
                if state == NodeState::Active || matches!(chain, Chain::Unknown) {
                    continue;
                }
                status.ended_at_ms = first.ended_at.map(|at| at.0);
                let later = Facts {
                    now: UnixMillis(NOW.0 + 1),
                    ..facts(&chain, &status, node)
                };
                assert_eq!(
                    decide(&later).ended_at,
                    first.ended_at,
                    "{state:?} {node:?} {chain:?}"
                );
            }
        }
    }
}
