use serde_json::json;

use super::*;
use crate::commands::doctor::State;

fn sealed(name: &str, state: &str, expires_at_ms: u64) -> SealedNode {
    serde_json::from_value(json!({
        "apiVersion": "k3s-daas.io/v1",
        "kind": "SealedNode",
        "metadata": { "name": name },
        "spec": { "owner": "0x01", "sealId": "0x02", "credentialHash": "03" },
        "status": { "state": state, "reason": "expired", "expiresAtMs": expires_at_ms },
    }))
    .unwrap()
}

fn node(name: &str, trusted: bool) -> Node {
    let labels = trusted.then(|| json!({ LABEL_TRUST: TRUST_OPERATOR }));
    serde_json::from_value(json!({ "metadata": { "name": name, "labels": labels } })).unwrap()
}

fn settings(control_plane: &[&str], trusted: &[&str]) -> NodeSettings {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    NodeSettings {
        control_plane_nodes: set(control_plane),
        trusted_nodes: set(trusted),
        ..NodeSettings::default()
    }
}

#[test]
fn nodes_whose_seal_ends_soon_and_nodes_on_their_way_out_are_told() {
    let all = [
        sealed("soon", "Active", 1_500),
        sealed("later", "Active", 5_000),
        sealed("leaving", "Draining", 0),
        sealed("gone", "Cut", 0),
    ];
    let check = seals(&all, Duration::from_secs(1), 1_000);
    assert_eq!(check.state, State::Warn);
    assert!(
        check.found.contains("the seal of soon ends"),
        "{}",
        check.found
    );
    assert!(check.found.contains("leaving is being drained (expired)"));
    assert!(!check.found.contains("later") && !check.found.contains("gone"));
    let check = seals(&all[1..2], Duration::from_secs(1), 1_000);
    assert_eq!(check.state, State::Ok);
}

#[test]
fn machines_without_a_seal_must_be_named_and_no_other() {
    let worker = [sealed("worker", "Active", 0)];
    let nodes = [node("master", false), node("worker", false)];
    let of = |named: &[&str]| control_plane(&worker, &nodes, &settings(named, &[]), "host").state;
    assert_eq!(of(&[]), State::Fail);
    assert_eq!(of(&["master"]), State::Ok);
    assert_eq!(of(&["master", "worker"]), State::Fail);
    assert_eq!(of(&["master", "server-without-agent"]), State::Ok);
    let alone = control_plane(&worker, &nodes[1..], &settings(&[], &[]), "host");
    assert_eq!(alone.state, State::Warn);
    assert!(alone.found.contains("system:node:host"), "{}", alone.found);
}

#[test]
fn only_named_nodes_may_be_marked_as_trusted() {
    let of = |nodes: &[Node], named: &[&str]| trusted(nodes, &settings(&[], named)).state;
    assert_eq!(of(&[node("a", true)], &["a"]), State::Ok);
    assert_eq!(of(&[node("a", false)], &["a"]), State::Warn);
    assert_eq!(of(&[node("a", true)], &[]), State::Fail);
    assert_eq!(of(&[], &[]), State::Ok);
}

#[test]
fn names_of_a_certificate_that_a_node_could_bear() {
    let names = ["Master", "kubernetes.default.svc", "127.0.0.1", "k3s"];
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(names.map(str::to_owned)).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let found: Vec<String> = names_without_dots(certificate.der()).into_iter().collect();
    assert_eq!(found, ["k3s", "master"]);
    assert!(names_without_dots(b"nothing").is_empty());
}
