//! All guards, one file each.

mod namespaces;
mod node_passwords;

use super::{Guard, GuardSettings};

/// All guards of the cluster, in the order in which they are shown.
#[must_use]
pub fn all(settings: &GuardSettings) -> Vec<Guard> {
    vec![namespaces::guard(settings), node_passwords::guard()]
}

/// Operations, as admission names them.
const CREATE: &str = "CREATE";
const UPDATE: &str = "UPDATE";
const DELETE: &str = "DELETE";
