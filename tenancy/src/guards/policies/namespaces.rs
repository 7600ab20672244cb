//! Namespaces keep what marks and confines them.

use seal::access::EXTENSION_NAMESPACE;
use seal::identity::NAMESPACE_PREFIX;

use super::super::GuardSettings;
use super::super::cel::{
    TENANTS_IN_WORDS, key_of_domains, list, metadata, tenants, text, unchanged,
};
use super::super::guard::{Check, Guard, On, Verdict};
use super::{CREATE, UPDATE};

/// Annotations by which the admission plugins `PodNodeSelector` and `PodTolerationRestriction`
/// choose nodes for a namespace's pods.
const SCHEDULING: [&str; 3] = [
    "scheduler.alpha.kubernetes.io/node-selector",
    "scheduler.alpha.kubernetes.io/defaultTolerations",
    "scheduler.alpha.kubernetes.io/tolerationsWhitelist",
];
/// Lets the namespace's pods use devices that others hold (dynamic resource allocation).
const ADMIN_ACCESS: &str = "resource.kubernetes.io/admin-access";

pub(super) fn guard(settings: &GuardSettings) -> Guard {
    let reserved = format!(
        "{} || k in {}",
        key_of_domains("k", &["pod-security.kubernetes.io", "k3s-daas.io"]),
        list(SCHEDULING.into_iter().chain([ADMIN_ACCESS])),
    );
    let same = |field: &str| {
        format!("object.metadata.?{field}.orValue([]) == oldObject.metadata.?{field}.orValue([])")
    };
    Guard {
        name: "k3s-daas-namespaces",
        on: vec![On {
            group: "",
            resources: &["namespaces", "namespaces/*"],
            operations: &[CREATE, UPDATE],
        }],
        whom: TENANTS_IN_WORDS,
        who: tenants(),
        refuses: "labels and annotations `pod-security.kubernetes.io/*`, `k3s-daas.io/*`, \
                  `resource.kubernetes.io/admin-access` and those of `PodNodeSelector`, set, changed \
                  or removed; finalizers and owners of `seal-*` namespaces; new namespaces `seal-*`, `kube-*`, `k3s-daas*` and those the operator \
                  protects",
        why: "without Pod Security a pod takes its node; our marks say whose a namespace is; the \
              node selector keeps system pods on trusted nodes; a name decides what is protected; what \
              holds a namespace back outlives its owner's seal",
        variables: vec![
            ("newLabels", metadata("object", "labels")),
            ("oldLabels", metadata("oldObject", "labels")),
            ("newNotes", metadata("object", "annotations")),
            ("oldNotes", metadata("oldObject", "annotations")),
        ],
        verdict: Verdict::Refuse(vec![
            Check::new(
                unchanged("variables.newLabels", "variables.oldLabels", &reserved),
                "the labels of a namespace under pod-security.kubernetes.io/ and k3s-daas.io/, and \
                 resource.kubernetes.io/admin-access, are the operator's; leave them as they are",
            ),
            Check::new(
                unchanged("variables.newNotes", "variables.oldNotes", &reserved),
                "the annotations of a namespace under k3s-daas.io/ and those that choose its nodes \
                 (scheduler.alpha.kubernetes.io/) are the operator's; leave them as they are",
            ),
            // A name made by generateName is there already when policies are asked.
            Check::new(
                format!(
                    "request.operation != {create:?} || (\
                     !{prefixes}.exists(p, object.metadata.?name.orValue(p).startsWith(p)) \
                     && !(object.metadata.?name.orValue(\"\") in {names}))",
                    create = CREATE,
                    prefixes = list([NAMESPACE_PREFIX, "kube-", "k3s-daas"]),
                    names = list(
                        settings
                            .protected_namespaces
                            .iter()
                            .map(String::as_str)
                            .chain(["default", EXTENSION_NAMESPACE])
                    ),
                ),
                "namespaces beginning with seal-, kube- or k3s-daas, and those that the operator \
                 protects, are made by the cluster; choose another name",
            ),
            // A finalizer of somebody's own holds the namespace for ever; an owner that does not
            // exist makes the garbage collector delete it.
            Check::new(
                format!(
                    "request.operation != {UPDATE:?} \
                     || !object.metadata.?name.orValue({prefix}).startsWith({prefix}) \
                     || ({} && {})",
                    same("finalizers"),
                    same("ownerReferences"),
                    prefix = text(NAMESPACE_PREFIX),
                ),
                "finalizers and owners of the namespaces seal-* decide when these go, which the \
                 cluster does; leave them as they are",
            ),
        ]),
    }
}
