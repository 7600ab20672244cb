//! Priority classes of the tier admin concern only pods that name them.
//!
//! Kubernetes itself keeps the classes `system-*` and the range above a thousand million.

use super::super::cel::{TENANTS_IN_WORDS, tenants};
use super::super::guard::{Check, Guard, On, Verdict};
use super::{CREATE, UPDATE};

pub(super) fn guard() -> Guard {
    Guard {
        name: "k3s-daas-priority-classes",
        on: vec![On {
            group: "scheduling.k8s.io",
            resources: &["priorityclasses"],
            operations: &[CREATE, UPDATE],
        }],
        whom: TENANTS_IN_WORDS,
        who: tenants(),
        refuses: "a priority class that is the default of all pods",
        why: "it changes the pods of everybody, those of protected namespaces too",
        variables: vec![],
        verdict: Verdict::Refuse(vec![Check::new(
            "!object.?globalDefault.orValue(false)",
            "the default priority class is the operator's to choose; let your pods name yours",
        )]),
    }
}
