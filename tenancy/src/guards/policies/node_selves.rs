//! What a stranger's machine says of its own Node, and what it leaves alone.
//!
//! Kubernetes' `NodeRestriction` keeps a kubelet to its own Node, off taints, owners and the labels
//! of `kubernetes.io`. What that leaves is here. Addresses are judged by the admission webhook, as
//! other Nodes count there.
//!
//! Source: Kubernetes 1.36 `plugin/pkg/admission/noderestriction`; K3s v1.36
//!         `pkg/cloudprovider/servicelb.go` (one Node with the label `enablelb` takes the load
//!         balancers of all others), `pkg/etcd` (annotations `remove` and `node-name`), flannel's
//!         `pkg/subnet/kube` (annotations and the condition, through `nodes/status`).

use super::super::GuardSettings;
use super::super::cel::{
    K3S_CONTROLLER, is_user, key_of_domains, machines, metadata, text, unchanged, unchanged_items,
};
use super::super::guard::{Check, Guard, On, Verdict};
use super::UPDATE;

/// Labels and annotations by which K3s's own controllers are steered.
const STEERING: [&str; 1] = ["cattle.io"];
/// Below those: what an agent with an embedded registry says of itself.
const REGISTRY: [&str; 1] = ["p2p.k3s.cattle.io"];
/// What flannel keeps on Nodes.
const FLANNEL: [&str; 1] = ["flannel.alpha.coreos.com"];

pub(super) fn guard(settings: &GuardSettings) -> Guard {
    let steering = format!(
        "{} && !{}",
        key_of_domains("k", &STEERING),
        key_of_domains("k", &REGISTRY)
    );
    let same = |field: &str, empty: &str| {
        format!("object.{field}.orValue({empty}) == oldObject.{field}.orValue({empty})")
    };
    let but_conditions = |new: &str, old: &str| {
        format!("{new}.all(k, k == \"conditions\" || (k in {old} && {old}[k] == {new}[k]))")
    };
    let (new_status, old_status) = ("variables.newStatus", "variables.oldStatus");
    Guard {
        name: "k3s-daas-node-selves",
        on: vec![On {
            group: "",
            resources: &["nodes", "nodes/*"],
            operations: &[UPDATE],
        }],
        whom: "kubelets but those of control-plane nodes, `system:k3s-controller`, \
               `system:kube-proxy`",
        who: machines(&settings.control_plane_nodes),
        refuses: "changes of a Node's `spec` (`podCIDR`, `providerID`, `unschedulable`, taints), \
                  finalizers and owners; labels and annotations under `cattle.io` (but \
                  `p2p.k3s.cattle.io`); by the users that all machines share everything but flannel's \
                  annotations and its condition `NetworkUnavailable`",
        why: "a machine that names its own pod range gets others' traffic, and one that calls itself \
              a load balancer gets all of it; a finalizer keeps the Node when its seal has ended; the \
              shared users are every joiner's, on every Node",
        variables: vec![
            ("newLabels", metadata("object", "labels")),
            ("oldLabels", metadata("oldObject", "labels")),
            ("newNotes", metadata("object", "annotations")),
            ("oldNotes", metadata("oldObject", "annotations")),
            ("newStatus", "dyn(object.?status.orValue({}))".to_owned()),
            ("oldStatus", "dyn(oldObject.?status.orValue({}))".to_owned()),
            (
                "shared",
                format!(
                    "{} || {}",
                    is_user(K3S_CONTROLLER),
                    is_user("system:kube-proxy")
                ),
            ),
        ],
        verdict: Verdict::Refuse(vec![
            Check::new(
                same("?spec", "{}"),
                "a machine can't change the spec of a Node: its pod range, provider id, taints and \
                 whether it is schedulable are the cluster's",
            ),
            Check::new(
                format!(
                    "{} && {}",
                    same("metadata.?finalizers", "[]"),
                    same("metadata.?ownerReferences", "[]")
                ),
                "a machine can't change finalizers and owners of a Node, which decide when it goes",
            ),
            Check::new(
                format!(
                    "{} && {}",
                    unchanged("variables.newLabels", "variables.oldLabels", &steering),
                    unchanged("variables.newNotes", "variables.oldNotes", &steering),
                ),
                "labels and annotations of a Node under cattle.io steer K3s's controllers and are the \
                 operator's; leave them out of the agent's configuration",
            ),
            Check::new(
                format!(
                    "!variables.shared || (variables.newLabels == variables.oldLabels && {} && {} \
                     && {} && {})",
                    unchanged(
                        "variables.newNotes",
                        "variables.oldNotes",
                        &format!("!{}", key_of_domains("k", &FLANNEL))
                    ),
                    but_conditions(new_status, old_status),
                    but_conditions(old_status, new_status),
                    unchanged_items(
                        &format!("{new_status}.?conditions.orValue([])"),
                        &format!("{old_status}.?conditions.orValue([])"),
                        &format!("t.type != {}", text("NetworkUnavailable")),
                    ),
                ),
                "this user is shared by all machines, so of a Node it changes flannel's annotations \
                 and the condition NetworkUnavailable alone",
            ),
        ]),
    }
}
