//! The rules of the built-in ClusterRoles `view`, `edit` and `admin`, as a table.
//!
//! Shape:  per API group, one line a kind: what `view` gives, and what `edit` and
//!         `admin` give besides.
//! Source: Kubernetes 1.36, `plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`
//!         (`viewRules`, `editRules`, `system:aggregate-to-admin`) with default
//!         feature gates.
//! Left out: `*/status`, `*/binding`, Endpoints and EndpointSlices (reads too),
//!         the verb `impersonate`, and Namespace objects, which have rules of their own.
//! Added:  `pods/ephemeralcontainers` and `pods/resize`.

use super::ResourceAttributes;
use super::verbs::Verbs;

/// Which part of the rules gives a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// `view` gives it.
    View,
    /// `edit` or `admin` give it.
    Work,
    /// None gives it.
    None,
}

struct Kind {
    resource: &'static str,
    subresource: &'static str,
    view: Verbs,
    work: Verbs,
}

const fn kind(resource: &'static str, view: Verbs, work: Verbs) -> Kind {
    sub(resource, "", view, work)
}

const fn sub(resource: &'static str, subresource: &'static str, view: Verbs, work: Verbs) -> Kind {
    Kind {
        resource,
        subresource,
        view,
        work,
    }
}

const NONE: Verbs = Verbs::NONE;
const READ: Verbs = Verbs::READ;
const WRITE: Verbs = Verbs::WRITE;
const ALL: Verbs = Verbs::ALL;
const CREATE: Verbs = Verbs::CREATE;
/// What the API server serves for subresources that change a running pod.
const MEND: Verbs = Verbs::GET.and(Verbs::UPDATE).and(Verbs::PATCH);

const CORE: &[Kind] = &[
    kind("pods", READ, WRITE),
    sub("pods", "log", READ, NONE),
    sub("pods", "attach", NONE, ALL),
    sub("pods", "exec", NONE, ALL),
    sub("pods", "portforward", NONE, ALL),
    sub("pods", "proxy", NONE, ALL),
    sub("pods", "eviction", NONE, CREATE),
    sub("pods", "ephemeralcontainers", NONE, MEND),
    sub("pods", "resize", NONE, MEND),
    kind("configmaps", READ, WRITE),
    kind("secrets", NONE, ALL),
    kind("services", READ, WRITE),
    sub("services", "proxy", NONE, ALL),
    kind("serviceaccounts", READ, WRITE),
    sub("serviceaccounts", "token", NONE, CREATE),
    kind("persistentvolumeclaims", READ, WRITE),
    kind("replicationcontrollers", READ, WRITE),
    sub("replicationcontrollers", "scale", READ, WRITE),
    kind("events", READ, WRITE),
    kind("bindings", READ, NONE),
    kind("limitranges", READ, NONE),
    kind("resourcequotas", READ, NONE),
];

const APPS: &[Kind] = &[
    kind("deployments", READ, WRITE),
    sub("deployments", "scale", READ, WRITE),
    sub("deployments", "rollback", NONE, WRITE),
    kind("replicasets", READ, WRITE),
    sub("replicasets", "scale", READ, WRITE),
    kind("statefulsets", READ, WRITE),
    sub("statefulsets", "scale", READ, WRITE),
    kind("daemonsets", READ, WRITE),
    kind("controllerrevisions", READ, NONE),
];

const EXTENSIONS: &[Kind] = &[
    kind("daemonsets", READ, WRITE),
    kind("deployments", READ, WRITE),
    sub("deployments", "scale", READ, WRITE),
    sub("deployments", "rollback", NONE, WRITE),
    kind("ingresses", READ, WRITE),
    kind("networkpolicies", READ, WRITE),
    kind("replicasets", READ, WRITE),
    sub("replicasets", "scale", READ, WRITE),
    sub("replicationcontrollers", "scale", READ, WRITE),
];

const AUTHORIZATION: &[Kind] = &[kind("localsubjectaccessreviews", NONE, CREATE)];
const AUTOSCALING: &[Kind] = &[kind("horizontalpodautoscalers", READ, WRITE)];
const BATCH: &[Kind] = &[kind("jobs", READ, WRITE), kind("cronjobs", READ, WRITE)];
const COORDINATION: &[Kind] = &[kind("leases", NONE, ALL)];
const EVENTS: &[Kind] = &[kind("events", READ, WRITE)];
const NETWORKING: &[Kind] = &[
    kind("ingresses", READ, WRITE),
    kind("networkpolicies", READ, WRITE),
];
const POLICY: &[Kind] = &[kind("poddisruptionbudgets", READ, WRITE)];
const RBAC: &[Kind] = &[kind("roles", NONE, ALL), kind("rolebindings", NONE, ALL)];
const RESOURCE: &[Kind] = &[
    kind("resourceclaims", READ, WRITE),
    kind("resourceclaimtemplates", READ, WRITE),
];

fn group(name: &str) -> &'static [Kind] {
    match name {
        "" => CORE,
        "apps" => APPS,
        "authorization.k8s.io" => AUTHORIZATION,
        "autoscaling" => AUTOSCALING,
        "batch" => BATCH,
        "coordination.k8s.io" => COORDINATION,
        "events.k8s.io" => EVENTS,
        "extensions" => EXTENSIONS,
        "networking.k8s.io" => NETWORKING,
        "policy" => POLICY,
        "rbac.authorization.k8s.io" => RBAC,
        "resource.k8s.io" => RESOURCE,
        _ => &[],
    }
}

/// Which part of the rules gives this request, the namespace left aside.
pub(super) fn look_up(request: &ResourceAttributes<'_>) -> Rule {
    let found = group(request.group)
        .iter()
        .find(|kind| kind.resource == request.resource && kind.subresource == request.subresource);
    match found {
        Some(kind) if kind.view.has(request.verb) => Rule::View,
        Some(kind) if kind.work.has(request.verb) => Rule::Work,
        Some(_) | None => Rule::None,
    }
}

/// True for what the tier admin has in namespaces besides the rules of `admin`.
pub(super) fn is_quota(request: &ResourceAttributes<'_>) -> bool {
    request.group.is_empty()
        && request.subresource.is_empty()
        && matches!(request.resource, "resourcequotas" | "limitranges")
        && ALL.has(request.verb)
}

/// True for kinds that are known to live in namespaces; `*` asks for them too.
pub(super) fn is_namespaced(request: &ResourceAttributes<'_>) -> bool {
    if request.resource == "*" {
        return true;
    }
    let unlisted = matches!(
        (request.group, request.resource),
        ("", "endpoints" | "podtemplates") | ("discovery.k8s.io", "endpointslices")
    );
    unlisted
        || group(request.group)
            .iter()
            .any(|kind| kind.resource == request.resource)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PUBLISHED: &str = include_str!("../../testdata/cluster-roles.tsv");
    const VERBS: [&str; 8] = [
        "get",
        "list",
        "watch",
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
    ];

    /// Role, group, resource with subresource, verb.
    fn published() -> BTreeSet<(&'static str, &'static str, &'static str, &'static str)> {
        let rows = PUBLISHED.lines().filter(|line| !line.starts_with('#'));
        rows.flat_map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            let [role, group, resource, verbs] = cells[..] else {
                panic!("{line}")
            };
            let group = if group == "-" { "" } else { group };
            verbs
                .split(',')
                .map(move |verb| (role, group, resource, verb))
        })
        .collect()
    }

    fn left_out(resource: &str, verb: &str) -> bool {
        verb == "impersonate"
            || resource.ends_with("/status")
            || matches!(resource, "endpoints" | "endpointslices" | "namespaces")
    }

    #[test]
    fn the_table_is_what_kubernetes_publishes_but_for_what_is_left_out_and_added() {
        let published = published();
        assert!(published.len() > 300);
        let groups: BTreeSet<&str> = published.iter().map(|row| row.1).collect();
        let resources: BTreeSet<&str> = published.iter().map(|row| row.2).collect();
        for group in groups {
            for resource in resources.iter().copied().chain([
                "pods/ephemeralcontainers",
                "pods/resize",
                "pods/binding",
            ]) {
                let (kind, subresource) = resource.split_once('/').unwrap_or((resource, ""));
                for verb in VERBS.into_iter().chain(["impersonate"]) {
                    let has = |role| published.contains(&(role, group, resource, verb));
                    let added = group.is_empty()
                        && matches!(resource, "pods/ephemeralcontainers" | "pods/resize")
                        && matches!(verb, "get" | "update" | "patch");
                    let expected = if left_out(resource, verb) {
                        Rule::None
                    } else if has("view") {
                        Rule::View
                    } else if has("edit") || has("admin") || added {
                        Rule::Work
                    } else {
                        Rule::None
                    };
                    let request = ResourceAttributes {
                        verb,
                        group,
                        resource: kind,
                        subresource,
                        ..ResourceAttributes::default()
                    };
                    assert_eq!(look_up(&request), expected, "{verb} {group}/{resource}");
                }
            }
        }
    }
}
