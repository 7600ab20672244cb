use serde_json::json;

use super::show::{Said, Shown, for_people};
use super::*;

fn sealed() -> SealedNode {
    serde_json::from_value(json!({
        "apiVersion": "k3s-daas.io/v1",
        "kind": "SealedNode",
        "metadata": { "name": "worker-001" },
        "spec": { "owner": "0x01", "sealId": "0x02", "credentialHash": "03" },
        "status": {
            "state": "Draining",
            "reason": "expired",
            "stakeMist": 500_000_000,
            "tier": "viewer",
            "heartbeat": {
                "atMs": 10_000, "sentMs": 9_000, "cpuUsage": 1.0, "memoryUsage": 2.0,
                "podCount": 3, "containerCount": 4, "networkRx": 5, "networkTx": 6,
            },
        },
    }))
    .unwrap()
}

fn node(ready: &str) -> Node {
    serde_json::from_value(json!({
        "metadata": { "name": "worker-001", "labels": { LABEL_TRUST: "operator" } },
        "status": { "conditions": [{ "type": "Ready", "status": ready }] },
    }))
    .unwrap()
}

#[test]
fn a_row_says_where_a_node_is_in_its_life_and_what_kubernetes_says_of_it() {
    let one = listed(&sealed(), Some(&node("True")), 12_500);
    assert_eq!(one.heartbeat_age_seconds, Some(2));
    assert_eq!(
        row(&one),
        [
            "worker-001",
            "draining",
            "expired",
            "ready, trusted",
            "viewer",
            "0.5 SUI",
            "-",
            "0x01"
        ]
    );
}

#[test]
fn a_machine_is_ready_only_when_kubernetes_says_so() {
    assert_eq!(machine(None), "absent");
    for (status, said) in [
        ("True", "ready"),
        ("False", "not_ready"),
        ("Unknown", "unknown"),
    ] {
        assert_eq!(machine(Some(&node(status))), said);
    }
    assert_eq!(machine(Some(&Node::default())), "unknown");
}

#[test]
fn all_that_is_known_is_told_a_line_each() {
    let said = |what: &str| Said {
        what: what.to_owned(),
        when: None,
        message: "why".to_owned(),
    };
    let shown = Shown {
        listed: listed(&sealed(), None, 12_500),
        seal_id: "0x02".to_owned(),
        credential_hash: "03".to_owned(),
        addresses: Vec::new(),
        unschedulable: true,
        taints: vec!["k3s-daas.io/draining=:NoSchedule".to_owned()],
        conditions: vec![said("Sealed False")],
        registration: None,
        heartbeat: sealed().status.unwrap().heartbeat,
        events: vec![said("SealEnding")],
    };
    let text = for_people(&shown);
    for line in [
        "node             worker-001",
        "machine          absent",
        "cordoned         true",
        "heartbeat        2 s ago: cpu 1 %, memory 2 %, 3 pods, 4 containers (self-reported)",
        "  -  Sealed False: why",
        "  -  SealEnding: why",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    assert!(!text.contains("addresses"), "{text}");
}

#[test]
fn states_are_typed_as_they_are_shown() {
    use clap::ValueEnum as _;
    for state in StateName::value_variants() {
        let typed = state.to_possible_value().unwrap();
        assert_eq!(typed.get_name(), label(state.state()));
    }
}
