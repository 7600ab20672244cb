//! Nodes are made by the server, for seals.
//!
//! K3s signs for a machine whose Node exists, so whoever makes Nodes lets machines in. Deletion lets
//! nobody in: the server makes the Node of a usable seal again, and what has ended is remembered by
//! its SealedNode. So whoever RBAC lets delete Nodes may (the operator, K3s, a cloud's controllers),
//! but for machines and tenants: with a Node goes its password, which binds the name to a machine.
//!
//! Source: a kubelet whose creation is refused adopts the Node that is there, but only where the
//!         reason is `Forbidden` (K3s v1.36.3). K3s's finalizer makes of a deletion a DELETE and an
//!         UPDATE without the finalizer, which no guard concerns.

use seal::identity::{GROUP_NODES, NODE_USER_PREFIX, SERVER_USER};

use super::super::GuardSettings;
use super::super::cel::{in_group, is_user, list, machines, tenants, text};
use super::super::guard::{Check, Guard, On, Verdict};
use super::{CREATE, DELETE};

pub(super) fn guard(settings: &GuardSettings) -> Guard {
    let control_plane = &settings.control_plane_nodes;
    let names = list(control_plane.iter().map(String::as_str));
    Guard {
        name: "k3s-daas-node-lives",
        on: vec![On {
            group: "",
            resources: &["nodes"],
            operations: &[CREATE, DELETE],
        }],
        whom: "everybody but the server; control-plane nodes make their own",
        who: format!("!({})", is_user(SERVER_USER)),
        refuses: "making a Node; deleting one, by machines and tenants",
        why: "K3s signs certificates for a machine whose Node exists; with a Node goes its password, \
              which keeps other machines from its name",
        variables: vec![("name", "object.?metadata.?name.orValue(\"\")".to_owned())],
        verdict: Verdict::Refuse(vec![
            Check::new(
                format!(
                    "request.operation != {CREATE:?} || (variables.name in {names} && {} \
                     && request.userInfo.username == {} + variables.name)",
                    in_group(GROUP_NODES),
                    text(NODE_USER_PREFIX),
                ),
                "Nodes are made by the cluster for seals that name them: stake with --node-id and \
                 join with the token of k3s-daas join-token; nodes of the control plane belong into \
                 control_plane_nodes",
            ),
            Check::new(
                format!(
                    "request.operation != {DELETE:?} || !({} || {})",
                    machines(control_plane),
                    tenants(),
                ),
                "Nodes are deleted by the cluster when their seal ends: unstake to leave",
            ),
        ]),
    }
}
