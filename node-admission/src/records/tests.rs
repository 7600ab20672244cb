use crate::sealed_node::SealedNodeStatus;

use super::*;

fn sealed(state: NodeState, drain_until_ms: Option<u64>) -> SealedNode {
    let spec = SealedNodeSpec {
        owner: String::new(),
        seal_id: String::new(),
        credential_hash: String::new(),
    };
    let mut sealed = SealedNode::new("worker-001", spec);
    sealed.status = Some(SealedNodeStatus {
        state,
        drain_until_ms,
        ..SealedNodeStatus::default()
    });
    sealed
}

#[test]
fn a_node_stands_as_its_status_says() {
    let until = UnixMillis(5);
    for (state, drain_until_ms, standing) in [
        (NodeState::Pending, None, NodeStanding::Unknown),
        (NodeState::Active, None, NodeStanding::Active),
        (NodeState::Active, Some(5), NodeStanding::Active),
        (
            NodeState::Draining,
            Some(5),
            NodeStanding::Draining { until },
        ),
        (NodeState::Draining, None, NodeStanding::Cut),
        (NodeState::Cut, Some(5), NodeStanding::Cut),
    ] {
        assert_eq!(super::standing(&sealed(state, drain_until_ms)), standing);
    }
    let mut registered = sealed(NodeState::Pending, None);
    registered.status = None;
    assert_eq!(super::standing(&registered), NodeStanding::Unknown);
}

fn registration() -> Registration {
    Registration {
        ip_address: "10.0.1.5".to_owned(),
        cpu: "4".to_owned(),
        memory: "16Gi".to_owned(),
        storage: "100Gi".to_owned(),
        at_ms: 1,
    }
}

type Change = fn(&mut Registration);

#[test]
fn a_registration_is_what_it_says() {
    assert_eq!(checked(registration()).unwrap(), registration());
    let changes: [(&str, Change); 5] = [
        ("ip_address", |bad| bad.ip_address = "worker".to_owned()),
        ("ip_address", |bad| bad.ip_address = "10.0.0.0/8".to_owned()),
        ("cpu", |bad| bad.cpu = "many".to_owned()),
        ("memory", |bad| bad.memory = String::new()),
        ("storage", |bad| bad.storage = "1 Gi".to_owned()),
    ];
    for (field, change) in changes {
        let mut bad = registration();
        change(&mut bad);
        let refused = checked(bad).unwrap_err();
        assert!(matches!(refused, JoinError::Invalid { what } if what == field));
    }
    let late = Registration {
        at_ms: u64::MAX,
        ..registration()
    };
    assert_eq!(checked(late).unwrap().at_ms, 9_223_372_036_854_775_807);
}

#[test]
fn times_are_shown_in_whole_seconds() {
    let shown = rfc3339(UnixMillis(1_793_404_800_999)).unwrap();
    assert_eq!(shown, "2026-10-31T00:00:00Z");
    assert_eq!(rfc3339(UnixMillis(u64::MAX)), None);
}
