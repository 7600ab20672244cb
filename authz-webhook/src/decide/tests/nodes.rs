//! Nodes: by their seal, by what is remembered of them, and while nothing can be read.

use seal::UnixMillis;
use sui_ledger::directory::End;

use super::*;

const GRACE: Duration = Duration::from_millis(50);

/// A node whose seal can be read and is usable.
fn good() -> NodeFacts {
    NodeFacts {
        name: node_name(),
        claim: Ok(Some(CLAIM)),
        record: Some(present(record(500_000_000))),
        end: None,
        standing: NodeStanding::Active,
        joined_by: Some(OWNER),
        clock: clock(),
    }
}

const CLAIM: NodeClaim = NodeClaim {
    owner: OWNER,
    hash: HASH,
};

fn judged(facts: NodeFacts) -> Verdict {
    let settings = Settings {
        drain_grace: GRACE,
        ..settings()
    };
    decide(&settings, &Facts::Node(facts), &list_pods(""))
}

/// A record that can't be used for this reason.
fn ended(how: Unusable) -> SealRecord {
    let status = |status| SealRecord {
        status,
        ..record(SUPER)
    };
    match how {
        Unusable::Unbonding => status(SealStatus::Unbonding),
        Unusable::Slashed => status(SealStatus::Slashed),
        Unusable::Revoked => status(SealStatus::Revoked),
        Unusable::Retired => status(SealStatus::Retired),
        Unusable::Expired => SealRecord {
            expires_at: clock().now,
            ..record(SUPER)
        },
        Unusable::StakeTooLow => record(499_999_999),
    }
}

fn end(how: Unusable, ago: Duration) -> End {
    let ago = u64::try_from(ago.as_millis()).unwrap();
    End {
        seq: 2,
        how,
        at: UnixMillis(clock().now.0.checked_sub(ago).unwrap()),
    }
}

const WITHOUT_FAULT: [Unusable; 3] = [Unusable::Expired, Unusable::Unbonding, Unusable::Retired];
const AT_FAULT: [Unusable; 3] = [Unusable::Slashed, Unusable::Revoked, Unusable::StakeTooLow];

fn standings() -> [NodeStanding; 5] {
    let now = clock().now;
    [
        NodeStanding::Unknown,
        NodeStanding::Active,
        NodeStanding::Draining { until: now },
        NodeStanding::Draining {
            until: UnixMillis(now.0 + 1),
        },
        NodeStanding::Cut,
    ]
}

#[test]
fn a_usable_seal_is_enough_however_the_node_stood() {
    for standing in standings() {
        let facts = NodeFacts { standing, ..good() };
        assert_eq!(judged(facts), Verdict::Pass(Pass::Node), "{standing:?}");
    }
}

#[test]
fn a_node_without_a_seal_of_its_own_is_refused() {
    let facts = NodeFacts {
        claim: Ok(None),
        record: None,
        ..good()
    };
    assert_eq!(judged(facts), Verdict::Refuse(Refusal::NodeUnclaimed));
    let facts = NodeFacts {
        record: Some(Ok(None)),
        ..good()
    };
    assert_eq!(judged(facts), Verdict::Refuse(Refusal::NodeMismatch));
    for mismatch in [
        SealRecord {
            node_id: None,
            ..record(SUPER)
        },
        SealRecord {
            node_id: Some("worker-2".parse().unwrap()),
            ..record(SUPER)
        },
        SealRecord {
            owner: Address::from_bytes([9; 32]),
            ..record(SUPER)
        },
    ] {
        let facts = NodeFacts {
            record: Some(present(mismatch)),
            ..good()
        };
        assert_eq!(judged(facts), Verdict::Refuse(Refusal::NodeMismatch));
    }
}

#[test]
fn whoever_unbonds_after_a_fault_is_not_drained() {
    for how in [Unusable::Slashed, Unusable::Revoked] {
        for standing in standings() {
            let facts = NodeFacts {
                record: Some(present(ended(Unusable::Unbonding))),
                end: Some(end(how, Duration::ZERO)),
                standing,
                ..good()
            };
            let refused = Verdict::Refuse(Refusal::Node(Unusable::Unbonding));
            assert_eq!(judged(facts), refused, "{how:?} {standing:?}");
        }
    }
}

#[test]
fn a_name_that_passed_to_another_owner_does_not_carry_the_old_certificates() {
    for standing in standings() {
        let facts = |joined_by| NodeFacts {
            standing,
            joined_by,
            ..good()
        };
        let others = judged(facts(Some(Address::from_bytes([9; 32]))));
        assert_eq!(others, Verdict::Refuse(Refusal::NodeMismatch));
        // Nothing is remembered: it is about to join.
        assert_eq!(judged(facts(None)), Verdict::Pass(Pass::Node));
    }
}

#[test]
fn who_was_at_fault_is_refused_at_once_however_the_node_stands() {
    for how in AT_FAULT {
        for standing in standings() {
            let facts = NodeFacts {
                record: Some(present(ended(how))),
                end: Some(end(how, Duration::ZERO)),
                standing,
                ..good()
            };
            assert_eq!(judged(facts), Verdict::Refuse(Refusal::Node(how)));
        }
    }
}

#[test]
fn who_was_not_at_fault_goes_on_until_the_drain_ends() {
    let now = clock().now;
    for how in WITHOUT_FAULT {
        for (standing, ago, goes_on) in [
            (
                NodeStanding::Draining {
                    until: UnixMillis(now.0 + 1),
                },
                GRACE * 2,
                true,
            ),
            (NodeStanding::Draining { until: now }, Duration::ZERO, false),
            // The drain has not begun yet: by the end itself.
            (
                NodeStanding::Active,
                GRACE.checked_sub(Duration::from_millis(1)).unwrap(),
                true,
            ),
            (NodeStanding::Active, GRACE, false),
            (NodeStanding::Cut, Duration::ZERO, false),
            (NodeStanding::Unknown, Duration::ZERO, false),
        ] {
            let facts = NodeFacts {
                record: Some(present(ended(how))),
                end: Some(end(how, ago)),
                standing,
                ..good()
            };
            let expected = if goes_on {
                Verdict::Pass(Pass::NodeDraining)
            } else {
                Verdict::Refuse(Refusal::Node(how))
            };
            assert_eq!(judged(facts), expected, "{how} {standing:?} {ago:?}");
        }
    }
}

#[test]
fn an_end_whose_instant_is_not_known_has_no_moment_before_the_drain() {
    let facts = NodeFacts {
        record: Some(present(ended(Unusable::Unbonding))),
        ..good()
    };
    assert_eq!(
        judged(facts),
        Verdict::Refuse(Refusal::Node(Unusable::Unbonding))
    );
}

#[test]
fn a_node_that_cannot_be_read_goes_on_unless_it_was_known_to_have_ended() {
    let unread = |standing, end| {
        [
            NodeFacts {
                claim: Err(STALE),
                record: None,
                standing,
                end,
                ..good()
            },
            NodeFacts {
                record: Some(Err(STALE)),
                standing,
                end,
                ..good()
            },
        ]
        .map(judged)
    };
    let goes_on = [Verdict::UndecidedPass(STALE); 2];
    let ended = [Verdict::Refuse(Refusal::NodeEnded); 2];
    for standing in standings() {
        let is_over = standing == NodeStanding::Cut
            || standing == NodeStanding::Draining { until: clock().now };
        let expected = if is_over { ended } else { goes_on };
        assert_eq!(unread(standing, None), expected, "{standing:?}");
        for how in AT_FAULT {
            assert_eq!(unread(standing, Some(end(how, Duration::ZERO))), ended);
        }
    }
    let until = UnixMillis(clock().now.0 + 1);
    for how in WITHOUT_FAULT {
        let end = Some(end(how, Duration::from_millis(1)));
        assert_eq!(unread(NodeStanding::Draining { until }, end), goes_on);
        assert_eq!(unread(NodeStanding::Active, end), goes_on);
        assert_eq!(unread(NodeStanding::Cut, end), ended);
        assert_eq!(unread(NodeStanding::Unknown, end), ended);
    }
}

#[test]
fn a_name_whose_seal_was_rotated_before_an_outage_goes_on() {
    let end = Some(end(Unusable::Retired, GRACE * 2));
    let facts = NodeFacts {
        claim: Err(STALE),
        record: None,
        end,
        ..good()
    };
    assert_eq!(judged(facts), Verdict::UndecidedPass(STALE));
    let withdrawn = NodeFacts {
        claim: Err(STALE),
        record: None,
        end,
        standing: NodeStanding::Cut,
        ..good()
    };
    assert_eq!(judged(withdrawn), Verdict::Refuse(Refusal::NodeEnded));
}

#[test]
fn a_kubelet_creates_no_node_and_changes_its_own() {
    let request = |verb, subresource| {
        let request = Attributes::Resource(ResourceAttributes {
            verb,
            group: "",
            resource: "nodes",
            subresource,
            namespace: "",
            name: "worker-1",
        });
        decide(&settings(), &Facts::Node(good()), &request)
    };
    let refused = Verdict::Refuse(Refusal::NodeCreated);
    assert_eq!(request("create", ""), refused);
    assert_eq!(request("patch", "status"), Verdict::Pass(Pass::Node));
    assert_eq!(request("get", ""), Verdict::Pass(Pass::Node));
}

/// Everything that can be known of a node, good and bad alike.
fn anything() -> impl Strategy<Value = NodeFacts> {
    let owner = || prop_oneof![Just(OWNER), Just(Address::from_bytes([9; 32]))];
    let claim = prop_oneof![
        8 => owner().prop_map(|owner| Ok(Some(NodeClaim { owner, hash: HASH }))),
        1 => Just(Ok(None)),
        2 => Just(Err(STALE)),
    ];
    let name = prop_oneof![
        4 => Just(Some(node_name())),
        1 => Just(None),
        1 => Just(Some("worker-2".parse().unwrap())),
    ];
    let how = || proptest::sample::select(Unusable::ALL.to_vec());
    let usable = prop_oneof![Just(record(SUPER)), how().prop_map(ended)];
    let seal = (usable, owner(), name).prop_map(|(record, owner, node_id)| SealRecord {
        owner,
        node_id,
        ..record
    });
    let seal = prop_oneof![
        8 => seal.prop_map(|record| Some(present(record))),
        1 => Just(Some(Ok(None))),
        1 => Just(None),
        2 => Just(Some(Err(STALE))),
    ];
    let ago = (0_u64..200).prop_map(Duration::from_millis);
    let end = proptest::option::of((how(), ago).prop_map(|(how, ago)| end(how, ago)));
    let standing = proptest::sample::select(standings().to_vec());
    let joined_by = proptest::option::of(owner());
    (claim, seal, end, standing, joined_by).prop_map(|(claim, record, end, standing, joined_by)| {
        NodeFacts {
            claim,
            record,
            end,
            standing,
            joined_by,
            ..good()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn no_node_passes_without_a_seal_of_its_own_or_a_grace(facts in anything()) {
        let read = (facts.claim, facts.record.clone());
        let (end, standing, joined_by) = (facts.end, facts.standing, facts.joined_by);
        let clock = facts.clock;
        let fault = end.is_some_and(|end| AT_FAULT.contains(&end.how));
        let may_drain = match standing {
            NodeStanding::Draining { until } => clock.now < until,
            NodeStanding::Active => true,
            NodeStanding::Unknown | NodeStanding::Cut => false,
        };
        let verdict = judged(facts);
        match (read, verdict) {
            ((Ok(Some(claim)), Some(Ok(Some(record)))), verdict) => {
                let own = record.owner == claim.owner
                    && record.node_id == Some(node_name())
                    && joined_by.is_none_or(|owner| owner == claim.owner);
                let judged = record.usable(clock.now, &clock.thresholds);
                match verdict {
                    Verdict::Pass(Pass::Node) => prop_assert!(own && judged.is_ok()),
                    Verdict::Pass(Pass::NodeDraining) => {
                        let how = judged.unwrap_err();
                        prop_assert!(own && WITHOUT_FAULT.contains(&how) && may_drain);
                        prop_assert!(!fault || how != Unusable::Unbonding);
                    }
                    other => prop_assert!(matches!(other, Verdict::Refuse(_)), "{other:?}"),
                }
            }
            // What can't be read neither ends a node nor revives one that has ended.
            ((Err(_), _) | (Ok(Some(_)), Some(Err(_))), verdict) => match verdict {
                Verdict::UndecidedPass(_) => {
                    prop_assert!(standing != NodeStanding::Cut && !fault);
                }
                other => {
                    prop_assert_eq!(other, Verdict::Refuse(Refusal::NodeEnded));
                    let runs = matches!(standing, NodeStanding::Unknown | NodeStanding::Active);
                    prop_assert!(end.is_some() || !runs);
                }
            },
            (_, verdict) => prop_assert!(matches!(verdict, Verdict::Refuse(_)), "{verdict:?}"),
        }
    }
}
