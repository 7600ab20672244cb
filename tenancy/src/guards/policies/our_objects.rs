//! What confines a tenant's namespace is kept by the server alone.

use super::super::cel::{TENANTS_IN_WORDS, in_tenants_namespace, tenants, text};
use super::super::compose::MANAGED_BY;
use super::super::guard::{Check, Guard, On, Verdict};
use super::{CREATE, DELETE, UPDATE};

/// What the names of our objects begin with.
const OUR_NAMES: &str = "k3s-daas-";

pub(super) fn guard() -> Guard {
    let (label, ours) = MANAGED_BY;
    // Both marks count, before and after: an object can neither become ours nor cease to be.
    let is_ours = |of: &str| {
        format!(
            "{of} != null && ({of}.metadata.?name.orValue(\"\").startsWith({}) \
             || {of}.metadata.?labels[?{}].orValue(\"\") == {})",
            text(OUR_NAMES),
            text(label),
            text(ours),
        )
    };
    let operations = &[CREATE, UPDATE, DELETE];
    Guard {
        name: "k3s-daas-our-objects",
        on: vec![
            On {
                group: "",
                resources: &["resourcequotas", "resourcequotas/*", "limitranges"],
                operations,
            },
            On {
                group: "networking.k8s.io",
                resources: &["networkpolicies", "networkpolicies/*"],
                operations,
            },
            On {
                group: "rbac.authorization.k8s.io",
                resources: &["rolebindings"],
                operations,
            },
        ],
        whom: TENANTS_IN_WORDS,
        who: format!("{} && ({})", in_tenants_namespace(), tenants()),
        refuses: "network policies, quotas, limit ranges and role bindings of `seal-*` namespaces \
                  that are named `k3s-daas-*` or labelled as managed by k3s-daas: made, changed, \
                  relabelled, deleted",
        why: "they are the namespace's walls: without its network policy a pod reaches the nodes \
              and the control plane, without its quota it takes the cluster's room",
        variables: vec![],
        verdict: Verdict::Refuse(vec![Check::new(
            format!("!({}) && !({})", is_ours("object"), is_ours("oldObject")),
            "objects named k3s-daas-* or labelled app.kubernetes.io/managed-by=k3s-daas are kept by \
             the cluster; make your own under another name and label",
        )]),
    }
}
