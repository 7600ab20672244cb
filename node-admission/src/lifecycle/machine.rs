//! What a machine says of itself on its Node, remembered for the Node that is made again.
//!
//! Shape:  labels that a kubelet may set, and K3s's annotations. Both are said at an agent's start
//!         alone: a Node that is made while the agent runs would stay without them, and K3s's cloud
//!         controller does not complete a Node whose `k3s.io/internal-ip` is missing.
//! Errors: all of it is a stranger's, and the server's own writes are judged by nobody: so what
//!         NodeRestriction would refuse is left out here, and addresses that another Node has by
//!         now are not put back. The agent's restart says them again, and is judged.
//! Source: Kubernetes `plugin/pkg/admission/noderestriction`, `k8s.io/kubelet/pkg/apis`
//!         `IsKubeletLabel`; K3s `pkg/cloudprovider/instances.go`.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;

use crate::admit::addresses;
use crate::sealed_node::Machine;

/// As the definition has it.
const MOST_LABELS: usize = 64;
const MOST_ANNOTATIONS: usize = 32;
/// Bytes of all annotations together, the agent's arguments among them.
const MOST_TEXT: usize = 32 * 1024;
/// Annotations that K3s's agent writes. What flannel writes goes by the pods' range, which a Node
/// that is made again gets anew.
const ANNOTATIONS: &str = "k3s.io/";
const NODE_IP: &str = "alpha.kubernetes.io/provided-node-ip";
/// Labels of Kubernetes' own domains that a kubelet may set,
const LABELS: [&str; 13] = [
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.kubernetes.io/region",
    "failure-domain.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];
/// and whole domains of them.
const LABEL_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];
/// Domains in which a kubelet may set nothing else. K3s's: labels there are addresses to older ones.
const CLOSED_DOMAINS: [&str; 4] = ["kubernetes.io", "k8s.io", "k3s-daas.io", "k3s.io"];

/// What the machine says of itself; none where it has not said anything yet.
pub(super) fn of(node: &Node) -> Option<Machine> {
    let meta = &node.metadata;
    let mut text = 0;
    let annotations: BTreeMap<String, String> = entries(meta.annotations.as_ref())
        .filter(|(key, _)| is_machines_annotation(key))
        .take(MOST_ANNOTATIONS)
        .take_while(|(key, value)| {
            text += key.len() + value.len();
            text <= MOST_TEXT
        })
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if annotations.is_empty() {
        return None;
    }
    let labels = entries(meta.labels.as_ref())
        .filter(|(key, _)| is_machines_label(key))
        .take(MOST_LABELS)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Some(Machine {
        labels,
        annotations,
    })
}

/// Puts it on a Node that is to be made. `others` are the Nodes that are there.
pub(super) fn put_back(node: &mut Node, machine: &Machine, others: &[Arc<Node>]) {
    let meta = &mut node.metadata;
    let labels = entries(Some(&machine.labels)).filter(|(key, _)| is_machines_label(key));
    for (key, value) in labels {
        let all = meta.labels.get_or_insert_default();
        all.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let mut with = node.clone();
    let annotations = entries(Some(&machine.annotations));
    for (key, value) in annotations.filter(|(key, _)| is_machines_annotation(key)) {
        let all = with.metadata.annotations.get_or_insert_default();
        all.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let claimed = addresses(&with);
    let is_taken = others
        .iter()
        .filter(|other| other.metadata.name != node.metadata.name)
        .any(|other| !addresses(other).is_disjoint(&claimed));
    if !is_taken {
        *node = with;
    }
}

fn entries(map: Option<&BTreeMap<String, String>>) -> impl Iterator<Item = (&String, &String)> {
    map.into_iter().flatten()
}

fn is_machines_annotation(key: &str) -> bool {
    key.starts_with(ANNOTATIONS) || key == NODE_IP
}

fn is_machines_label(key: &str) -> bool {
    let is_in = |domain: &str, of: &str| {
        domain == of
            || domain
                .strip_suffix(of)
                .is_some_and(|sub| sub.ends_with('.'))
    };
    let Some((domain, _)) = key.split_once('/') else {
        return true;
    };
    LABELS.contains(&key)
        || LABEL_DOMAINS.iter().any(|open| is_in(domain, open))
        || !CLOSED_DOMAINS.iter().any(|closed| is_in(domain, closed))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, labels: serde_json::Value, annotations: serde_json::Value) -> Node {
        let mut node: Node =
            serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
        node.metadata.labels = serde_json::from_value(labels).unwrap();
        node.metadata.annotations = serde_json::from_value(annotations).unwrap();
        node
    }

    fn joined() -> Node {
        node(
            "a",
            json!({
                "kubernetes.io/hostname": "a",
                "rack": "7",
                "example.com/gpu": "yes",
                "node.kubernetes.io/instance-type": "k3s",
                "node-restriction.kubernetes.io/k3s-daas-trust": "operator",
                "x.node-restriction.kubernetes.io/y": "1",
                "node-role.kubernetes.io/control-plane": "true",
                "k3s-daas.io/x": "1",
                "x.k8s.io/y": "1",
                "k3s.io/internal-ip": "10.0.1.5",
            }),
            json!({
                "k3s.io/internal-ip": "10.0.1.5",
                "k3s.io/node-args": "[]",
                "k3s-daas.io/seal": "0x1",
                "example.com/x": "1",
                "flannel.alpha.coreos.com/public-ip": "10.0.1.5",
            }),
        )
    }

    fn keys(map: Option<&BTreeMap<String, String>>) -> Vec<&str> {
        entries(map).map(|(key, _)| key.as_str()).collect()
    }

    #[test]
    fn only_what_a_machine_may_say_is_remembered_and_put_back() {
        let machine = of(&joined()).unwrap();
        let labels = [
            "example.com/gpu",
            "kubernetes.io/hostname",
            "node.kubernetes.io/instance-type",
            "rack",
        ];
        assert_eq!(keys(Some(&machine.labels)), labels);
        let annotations = ["k3s.io/internal-ip", "k3s.io/node-args"];
        assert_eq!(keys(Some(&machine.annotations)), annotations);

        let mut made = node("a", json!({}), json!({}));
        put_back(&mut made, &machine, &[]);
        assert_eq!(of(&made), Some(machine.clone()), "and again");
        // Whatever stands where it is remembered: nothing else is put on.
        let all = joined().metadata;
        let forged = Machine {
            labels: all.labels.unwrap(),
            annotations: all.annotations.unwrap(),
        };
        let mut made = node("a", json!({}), json!({}));
        put_back(&mut made, &forged, &[]);
        assert_eq!(keys(made.metadata.labels.as_ref()), labels);
        assert_eq!(keys(made.metadata.annotations.as_ref()), annotations);
    }

    #[test]
    fn what_the_server_says_of_a_node_is_not_overwritten() {
        let mut made = node(
            "a",
            json!({ "rack": "1" }),
            json!({ "k3s.io/internal-ip": "10.0.0.1" }),
        );
        put_back(&mut made, &of(&joined()).unwrap(), &[]);
        assert_eq!(made.metadata.labels.unwrap()["rack"], "1");
        assert_eq!(
            made.metadata.annotations.unwrap()["k3s.io/internal-ip"],
            "10.0.0.1"
        );
    }

    #[test]
    fn an_address_that_is_anothers_by_now_is_not_put_back() {
        let machine = of(&joined()).unwrap();
        let other = |name: &str| {
            let other = json!({
                "metadata": { "name": name },
                "status": { "addresses": [{ "type": "InternalIP", "address": "10.0.1.5" }] },
            });
            Arc::new(serde_json::from_value::<Node>(other).unwrap())
        };
        let mut made = node("a", json!({}), json!({}));
        put_back(&mut made, &machine, &[other("b")]);
        assert!(made.metadata.annotations.unwrap().is_empty());
        assert!(made.metadata.labels.unwrap().contains_key("rack"));
        // Its own is no other.
        let mut made = node("a", json!({}), json!({}));
        put_back(&mut made, &machine, &[other("a")]);
        assert!(!made.metadata.annotations.unwrap().is_empty());
    }

    #[test]
    fn a_node_that_says_nothing_yet_changes_nothing_that_is_remembered() {
        assert_eq!(of(&node("a", json!({ "rack": "7" }), json!({}))), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let long = "x".repeat(MOST_TEXT);
        let annotations = json!({ "k3s.io/a": "1", "k3s.io/b": long });
        let machine = of(&node("a", json!({}), annotations)).unwrap();
        assert_eq!(keys(Some(&machine.annotations)), ["k3s.io/a"]);
        let many: BTreeMap<String, String> =
            (0..100).map(|n| (format!("l{n}"), String::new())).collect();
        let few = json!({ "k3s.io/a": "1" });
        let machine = of(&node("a", serde_json::to_value(many).unwrap(), few)).unwrap();
        assert_eq!(machine.labels.len(), MOST_LABELS);
    }
}
