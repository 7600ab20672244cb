//! All guards, one file each.

mod addons;
mod crds;
mod egress;
mod namespaces;
mod node_lives;
mod node_marks;
mod node_passwords;
mod node_pods;
mod node_selves;
mod nodes;
mod our_objects;
mod paths;
mod priority_classes;
mod sealed_nodes;
mod storage_classes;
mod tokens;
mod volumes;
mod workloads;

use super::{Guard, GuardSettings};

/// All guards of the cluster, in the order in which they are shown.
#[must_use]
pub fn all(settings: &GuardSettings) -> Vec<Guard> {
    vec![
        namespaces::guard(settings),
        our_objects::guard(),
        egress::guard(),
        egress::open_egress(),
        workloads::guard(),
        tokens::guard(),
        volumes::guard(),
        storage_classes::guard(),
        nodes::guard(),
        node_lives::guard(settings),
        node_marks::guard(),
        node_selves::guard(settings),
        node_pods::guard(settings),
        node_passwords::guard(),
        sealed_nodes::guard(),
        crds::guard(),
        addons::guard(),
        priority_classes::guard(),
    ]
}

/// Operations, as admission names them.
const CREATE: &str = "CREATE";
const UPDATE: &str = "UPDATE";
const DELETE: &str = "DELETE";
const CONNECT: &str = "CONNECT";
