//! The tier admin cordons, labels and taints Nodes, and changes nothing else of them.

use super::super::cel::{
    TENANTS_IN_WORDS, key_of_domains, metadata, tenants, text, unchanged, unchanged_items,
};
use super::super::guard::{Check, Guard, On, Verdict};
use super::UPDATE;

/// Domains whose labels and taints mean something to the system. Keys without a prefix are free.
const RESERVED: [&str; 5] = [
    "kubernetes.io",
    "k8s.io",
    "k3s.io",
    "cattle.io",
    "k3s-daas.io",
];
/// Labels, taints or annotations of a Node that is leaving.
const LEAVING: [&str; 2] = ["k3s-daas.io/cut", "k3s-daas.io/draining"];

pub(super) fn guard() -> Guard {
    let same_spec = |new: &str, old: &str| {
        format!(
            "{new}.all(k, k in [\"unschedulable\", \"taints\"] || (k in {old} && {old}[k] == {new}[k]))"
        )
    };
    let same = |field: &str, empty: &str| {
        format!("object.{field}.orValue({empty}) == oldObject.{field}.orValue({empty})")
    };
    let (new_spec, old_spec) = ("variables.newSpec", "variables.oldSpec");
    let (new_taints, old_taints) = ("variables.newTaints", "variables.oldTaints");
    let leaving = LEAVING.map(|key| {
        let key = text(key);
        format!(
            "{key} in variables.oldLabels || {key} in variables.oldNotes \
             || {old_taints}.exists(t, t.key == {key})"
        )
    });
    Guard {
        name: "k3s-daas-nodes",
        on: vec![On {
            group: "",
            resources: &["nodes", "nodes/*"],
            operations: &[UPDATE],
        }],
        whom: TENANTS_IN_WORDS,
        who: tenants(),
        refuses: "changes of Nodes other than `spec.unschedulable` and labels and taints of foreign \
                  prefixes (not `kubernetes.io`, `k8s.io`, `k3s.io`, `cattle.io`, `k3s-daas.io` or \
                  below); `spec.unschedulable` of a Node that is draining or cut",
        why: "a Node's addresses are where the API server connects to, its labels decide where \
              system pods run, and what is being drained must stay empty",
        variables: vec![
            ("newLabels", metadata("object", "labels")),
            ("oldLabels", metadata("oldObject", "labels")),
            ("newNotes", metadata("object", "annotations")),
            ("oldNotes", metadata("oldObject", "annotations")),
            ("newSpec", "dyn(object.?spec.orValue({}))".to_owned()),
            ("oldSpec", "dyn(oldObject.?spec.orValue({}))".to_owned()),
            ("newTaints", format!("{new_spec}.?taints.orValue([])")),
            ("oldTaints", format!("{old_spec}.?taints.orValue([])")),
        ],
        verdict: Verdict::Refuse(vec![
            Check::new(
                unchanged(
                    "variables.newLabels",
                    "variables.oldLabels",
                    &key_of_domains("k", &RESERVED),
                ),
                format!(
                    "labels of a Node under {} are the system's; use a prefix of your own",
                    RESERVED.join(", ")
                ),
            ),
            Check::new(
                unchanged_items(new_taints, old_taints, &key_of_domains("t.key", &RESERVED)),
                format!(
                    "taints of a Node under {} are the system's; use a prefix of your own",
                    RESERVED.join(", ")
                ),
            ),
            Check::new(
                format!(
                    "{} && {} && variables.newNotes == variables.oldNotes && {} && {} && {}",
                    same_spec(new_spec, old_spec),
                    same_spec(old_spec, new_spec),
                    same("metadata.?finalizers", "[]"),
                    same("metadata.?ownerReferences", "[]"),
                    same("?status", "{}"),
                ),
                "of a Node only spec.unschedulable, labels and taints can be changed; leave the rest \
                 as it is",
            ),
            Check::new(
                format!(
                    "{new_spec}.?unschedulable.orValue(false) == {old_spec}.?unschedulable.orValue(false) \
                     || !({})",
                    leaving.join(" || ")
                ),
                format!(
                    "this Node is leaving ({}) and stays unschedulable",
                    LEAVING.join(" or ")
                ),
            ),
        ]),
    }
}
