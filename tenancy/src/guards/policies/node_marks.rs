//! What the server says on Nodes, nobody else says.
//!
//! K3s's supervisor, its cloud controller and the node controllers write Nodes too, and pass: they
//! never touch what is ours. Tenants are held to more than this by `nodes`.

use seal::identity::{LABEL_TRUST, SERVER_USER, TAINT_CUT, TAINT_DRAINING};

use super::super::cel::{
    is_user, key_of_domains, list, metadata, tenants, text, unchanged, unchanged_items,
};
use super::super::guard::{Check, Guard, On, Verdict};
use super::{CREATE, UPDATE};

const OURS: [&str; 1] = ["k3s-daas.io"];

pub(super) fn guard() -> Guard {
    let taints = |of: &str| format!("({of} == null ? [] : dyn({of}.?spec.?taints.orValue([])))");
    let closed = |of: &str| format!("({of} != null && {of}.?spec.?unschedulable.orValue(false))");
    let ours = key_of_domains("k", &OURS);
    Guard {
        name: "k3s-daas-node-marks",
        on: vec![On {
            group: "",
            resources: &["nodes", "nodes/*"],
            operations: &[CREATE, UPDATE],
        }],
        whom: "everybody but the server; tenants by `k3s-daas-nodes`",
        who: format!("!({}) && !({})", is_user(SERVER_USER), tenants()),
        refuses: "labels, annotations and taints of Nodes under `k3s-daas.io/` and the label \
                  `node-restriction.kubernetes.io/k3s-daas-trust`, set, changed or removed; opening \
                  a Node that is draining or cut to the scheduler",
        why: "they say whose a Node is, keep pods off a machine whose seal ended, and system pods \
              on machines that the operator trusts",
        variables: vec![
            ("newLabels", metadata("object", "labels")),
            ("oldLabels", metadata("oldObject", "labels")),
            ("newNotes", metadata("object", "annotations")),
            ("oldNotes", metadata("oldObject", "annotations")),
            ("newTaints", taints("object")),
            ("oldTaints", taints("oldObject")),
        ],
        verdict: Verdict::Refuse(vec![
            Check::new(
                unchanged(
                    "variables.newLabels",
                    "variables.oldLabels",
                    &format!("{ours} || k == {}", text(LABEL_TRUST)),
                ),
                "labels of a Node under k3s-daas.io/ and \
                 node-restriction.kubernetes.io/k3s-daas-trust are set by the cluster; trusted \
                 machines belong into trusted_nodes",
            ),
            Check::new(
                unchanged("variables.newNotes", "variables.oldNotes", &ours),
                "annotations of a Node under k3s-daas.io/ are set by the cluster; use a prefix of \
                 your own",
            ),
            Check::new(
                unchanged_items(
                    "variables.newTaints",
                    "variables.oldTaints",
                    &key_of_domains("t.key", &OURS),
                ),
                "taints of a Node under k3s-daas.io/ are set by the cluster; use a prefix of your \
                 own",
            ),
            Check::new(
                format!(
                    "!{} || {} || !variables.oldTaints.exists(t, t.key in {})",
                    closed("oldObject"),
                    closed("object"),
                    list([TAINT_DRAINING, TAINT_CUT]),
                ),
                "this Node's seal has ended, so it stays closed to the scheduler; restake to open it",
            ),
        ]),
    }
}
