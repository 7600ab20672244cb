//! What is known of nodes is written by the server alone.
//!
//! Operators can't delete it either: an end that is forgotten would let a node back in while the
//! chain can't be asked. Tenants can't write the group at all (`addons`).

use seal::identity::SERVER_USER;

use super::super::cel::{is_user, tenants};
use super::super::guard::{Check, Guard, On, Verdict};
use super::{CREATE, DELETE, UPDATE};

pub(super) fn guard() -> Guard {
    Guard {
        name: "k3s-daas-sealed-nodes",
        on: vec![On {
            group: "k3s-daas.io",
            resources: &["sealednodes", "sealednodes/*"],
            operations: &[CREATE, UPDATE, DELETE],
        }],
        whom: "everybody but the server; tenants by `k3s-daas-addons`",
        who: format!("!({}) && !({})", is_user(SERVER_USER), tenants()),
        refuses: "SealedNodes, made, changed or deleted",
        why: "they remember whose a node is and how its seal ended, when the chain can't be asked",
        variables: vec![],
        verdict: Verdict::Refuse(vec![Check::new(
            "false",
            "SealedNodes follow the chain and are written by the cluster alone; to end a node, end \
             its seal",
        )]),
    }
}
