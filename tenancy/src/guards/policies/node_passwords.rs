//! Node passwords are written by K3s alone.
//!
//! Source: K3s `pkg/nodepassword`: the supervisor creates `<node>.node-password.k3s`, adds the Node
//!         as its owner, deletes orphans, and once replaced Secrets of an older type; its user is
//!         `system:k3s-supervisor` (v1.36) or `system:admin` (v1.21), in `system:masters`. When a
//!         Node goes, the garbage collector deletes its Secret.

use super::super::cel::{in_group, is_user};
use super::super::guard::{Check, Guard, On, Verdict};
use super::{CREATE, DELETE, UPDATE};

const COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";

pub(super) fn guard() -> Guard {
    let subject = |of: &str| {
        format!(
            "({of} != null && ({of}.metadata.?name.orValue(\"\").endsWith(\".node-password.k3s\") \
             || {of}.?type.orValue(\"\") == \"k3s.cattle.io/node-password\"))"
        )
    };
    Guard {
        name: "k3s-daas-node-passwords",
        on: vec![On {
            group: "",
            resources: &["secrets"],
            operations: &[CREATE, UPDATE, DELETE],
        }],
        whom: "everybody but K3s itself (`system:masters`)",
        who: format!(
            "request.?namespace.orValue(\"\") == \"kube-system\" && !({}) && ({} || {})",
            in_group("system:masters"),
            subject("object"),
            subject("oldObject"),
        ),
        refuses: "Secrets `*.node-password.k3s` of `kube-system`, made, changed or deleted; but the \
                  garbage collector deletes those whose Node is gone",
        why: "whoever deletes or writes a node's password can join a machine under that node's name",
        variables: vec![],
        verdict: Verdict::Refuse(vec![Check::new(
            // Where a Node goes and leaves its Secret, the collector takes the owner out of it.
            format!(
                "{} && (request.operation == {DELETE:?} || (request.operation == {UPDATE:?} \
                 && object.?data.orValue({{}}) == oldObject.?data.orValue({{}})))",
                is_user(COLLECTOR)
            ),
            "the passwords of nodes are kept by K3s alone; to let a machine join anew, delete its \
             Node: its password goes with it",
        )]),
    }
}
