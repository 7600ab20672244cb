//! Cluster-scoped kinds that the tiers reach.

use super::ResourceAttributes;
use super::verbs::Verbs;

/// One kind: who may read it, and what the tier admin may do besides.
struct Kind {
    group: &'static str,
    resource: &'static str,
    /// What the tier admin has besides reading. Never `deletecollection`.
    keep: Verbs,
}

const fn kind(group: &'static str, resource: &'static str, keep: Verbs) -> Kind {
    Kind {
        group,
        resource,
        keep,
    }
}

const KEEP: Verbs = Verbs::CREATE
    .and(Verbs::UPDATE)
    .and(Verbs::PATCH)
    .and(Verbs::DELETE);

/// All of them may be read by every seal.
const KINDS: &[Kind] = &[
    kind("", "nodes", Verbs::UPDATE.and(Verbs::PATCH)),
    kind("", "persistentvolumes", KEEP),
    kind("storage.k8s.io", "storageclasses", KEEP),
    kind("scheduling.k8s.io", "priorityclasses", KEEP),
    kind("node.k8s.io", "runtimeclasses", KEEP),
    kind("networking.k8s.io", "ingressclasses", KEEP),
    kind(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        Verbs::CREATE,
    ),
    kind("apiregistration.k8s.io", "apiservices", Verbs::NONE),
    kind("metrics.k8s.io", "nodes", Verbs::NONE),
];

/// What a cluster-scoped kind of the table gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cluster {
    /// No kind of the table.
    Other,
    /// Every seal may.
    Everyone,
    /// The tier admin may.
    Admin,
    /// A kind of the table, but nobody below super may.
    Nobody,
}

pub(super) fn look_up(request: &ResourceAttributes<'_>) -> Cluster {
    let Some(kind) = KINDS
        .iter()
        .find(|kind| kind.resource == request.resource && kind.group == request.group)
    else {
        return Cluster::Other;
    };
    if request.subresource.is_empty() {
        if Verbs::READ.has(request.verb) {
            return Cluster::Everyone;
        }
        if kind.keep.has(request.verb) {
            return Cluster::Admin;
        }
    } else if request.group.is_empty()
        && request.resource == "nodes"
        && matches!(request.subresource, "metrics" | "stats" | "status")
        && Verbs::READ.has(request.verb)
    {
        return Cluster::Admin;
    }
    Cluster::Nobody
}

/// The virtual kinds by which anyone asks about their own access.
pub(super) fn is_own_access(request: &ResourceAttributes<'_>) -> bool {
    request.verb == "create"
        && request.subresource.is_empty()
        && matches!(
            (request.group, request.resource),
            (
                "authorization.k8s.io",
                "selfsubjectaccessreviews" | "selfsubjectrulesreviews"
            ) | ("authentication.k8s.io", "selfsubjectreviews")
        )
}
