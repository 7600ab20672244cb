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
