//! Namespaces, and what confines them.

use serde_json::{Value, json};

use super::{MINE, Row, merged};
use crate::requests::{ACCOUNT, ADMIN, DEVELOPER, OPERATOR, SUPER, create, delete, merge};

pub(crate) fn namespaces() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-namespaces");
    let all = "/api/v1/namespaces";
    let one = format!("{all}/{MINE}");
    let named = |name: &str| {
        create(
            all,
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
        )
    };
    let generated = |prefix: &str| {
        create(
            all,
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": prefix}}),
        )
    };
    let labelled =
        |key: &str, value: Value| merge(&one, json!({"metadata": {"labels": {key: value}}}));
    let noted = |key: &str| merge(&one, json!({"metadata": {"annotations": {key: "x"}}}));
    let with = |label: &str| {
        create(
            all,
            json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "team-2", "labels": {label: "privileged"}}}),
        )
    };
    let enforce = "pod-security.kubernetes.io/enforce";
    vec![
        Row(ADMIN, "a namespace of its own", named("team-2"), None),
        Row(ADMIN, "kubed is not kube-", named("kubed"), None),
        Row(
            ADMIN,
            "another label",
            labelled("team", json!("blue")),
            None,
        ),
        Row(ADMIN, "another annotation", noted("example.com/note"), None),
        Row(
            ADMIN,
            "a look-alike prefix",
            labelled("notk3s-daas.io/x", json!("y")),
            None,
        ),
        Row(
            ADMIN,
            "a finalizer",
            merge(
                &one,
                json!({"metadata": {"finalizers": ["example.com/stay"]}}),
            ),
            GUARD,
        ),
        Row(
            ADMIN,
            "an owner that does not exist",
            merge(
                &one,
                json!({"metadata": {"ownerReferences": [{
                    "apiVersion": "v1", "kind": "Namespace", "name": "gone",
                    "uid": "00000000-0000-0000-0000-000000000000",
                }]}}),
            ),
            GUARD,
        ),
        Row(ADMIN, "a generated name", generated("team-"), None),
        Row(ADMIN, "a generated seal name", generated("seal-"), GUARD),
        Row(
            ADMIN,
            "a seal namespace",
            named("seal-3333333333333333"),
            GUARD,
        ),
        Row(ADMIN, "a kube namespace", named("kube-more"), GUARD),
        Row(ADMIN, "one of ours", named("k3s-daas-extra"), GUARD),
        Row(
            ADMIN,
            "one that the operator protects",
            named("monitoring"),
            GUARD,
        ),
        Row(ADMIN, "pod security at creation", with(enforce), GUARD),
        Row(
            ADMIN,
            "pod security changed",
            labelled(enforce, json!("privileged")),
            GUARD,
        ),
        Row(
            ADMIN,
            "pod security removed",
            merge(
                "/api/v1/namespaces/plugins",
                json!({"metadata": {"labels": {enforce: null}}}),
            ),
            GUARD,
        ),
        Row(
            ADMIN,
            "all labels removed",
            merge(
                "/api/v1/namespaces/plugins",
                json!({"metadata": {"labels": null}}),
            ),
            GUARD,
        ),
        Row(
            ADMIN,
            "its version",
            labelled("pod-security.kubernetes.io/enforce-version", json!("v1.0")),
            GUARD,
        ),
        Row(
            ADMIN,
            "devices of others",
            labelled("resource.kubernetes.io/admin-access", json!("true")),
            GUARD,
        ),
        Row(
            ADMIN,
            "our label",
            labelled("k3s-daas.io/state", json!("active")),
            GUARD,
        ),
        Row(ADMIN, "our annotation", noted("k3s-daas.io/owner"), GUARD),
        Row(
            ADMIN,
            "a node selector",
            noted("scheduler.alpha.kubernetes.io/node-selector"),
            GUARD,
        ),
        Row(
            ADMIN,
            "default tolerations",
            noted("scheduler.alpha.kubernetes.io/defaultTolerations"),
            GUARD,
        ),
        Row(
            ADMIN,
            "allowed tolerations",
            noted("scheduler.alpha.kubernetes.io/tolerationsWhitelist"),
            GUARD,
        ),
        Row(
            ADMIN,
            "by its status",
            merge(
                &format!("{one}/status"),
                json!({"metadata": {"labels": {enforce: "privileged"}}}),
            ),
            GUARD,
        ),
        Row(
            ACCOUNT,
            "pod security changed",
            labelled(enforce, json!("privileged")),
            GUARD,
        ),
        Row(
            SUPER,
            "pod security changed",
            labelled(enforce, json!("privileged")),
            None,
        ),
        Row(
            OPERATOR,
            "a seal namespace",
            named("seal-3333333333333333"),
            None,
        ),
        Row(OPERATOR, "our annotation", noted("k3s-daas.io/owner"), None),
    ]
}

pub(crate) fn our_objects() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-our-objects");
    let quotas = format!("/api/v1/namespaces/{MINE}/resourcequotas");
    let ours = format!("{quotas}/k3s-daas-quota");
    let own = format!("{quotas}/own");
    let limits = format!("/api/v1/namespaces/{MINE}/limitranges");
    let policies = format!("/apis/networking.k8s.io/v1/namespaces/{MINE}/networkpolicies");
    let bindings = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{MINE}/rolebindings");
    let more = json!({"spec": {"hard": {"pods": "500"}}});
    let named = |name: &str| {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name}, "spec": {"podSelector": {}}})
    };
    let managed = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "k3s-daas"}}});
    let released = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}});
    let by_helm = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "k3s-daas-owner"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}});
    let elsewhere = "/api/v1/namespaces/team/resourcequotas";
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "k3s-daas-quota"}, "spec": {"hard": {"pods": "1"}}});
    let mut all = delete(&quotas);
    all.path
        .push_str("?labelSelector=app.kubernetes.io%2Fmanaged-by%3Dk3s-daas");
    vec![
        Row(ADMIN, "more pods", merge(&ours, more.clone()), GUARD),
        Row(ADMIN, "no quota", delete(&ours), GUARD),
        Row(ADMIN, "no quota, as a collection", all, GUARD),
        Row(
            ADMIN,
            "a status of the quota",
            merge(
                &format!("{ours}/status"),
                json!({"status": {"used": {"pods": "0"}}}),
            ),
            GUARD,
        ),
        Row(
            ADMIN,
            "relabelled to Helm",
            merge(&format!("{limits}/relabelled"), by_helm),
            GUARD,
        ),
        Row(
            ADMIN,
            "the label gone",
            merge(&format!("{limits}/relabelled"), released),
            GUARD,
        ),
        Row(ADMIN, "its own made ours", merge(&own, managed), GUARD),
        Row(
            DEVELOPER,
            "a policy of our name",
            create(&policies, named("k3s-daas-network")),
            GUARD,
        ),
        Row(
            DEVELOPER,
            "a binding of our name",
            create(&bindings, binding.clone()),
            GUARD,
        ),
        Row(ACCOUNT, "more pods", merge(&ours, more.clone()), GUARD),
        Row(
            DEVELOPER,
            "a policy of its own",
            create(&policies, named("web")),
            None,
        ),
        Row(
            DEVELOPER,
            "a binding of its own",
            create(
                &bindings,
                merged(binding, &json!({"metadata": {"name": "readers"}})),
            ),
            None,
        ),
        Row(
            ADMIN,
            "its own quota changed",
            merge(&own, more.clone()),
            None,
        ),
        Row(ADMIN, "its own quota deleted", delete(&own), None),
        Row(
            ADMIN,
            "outside the tenants' namespaces",
            create(elsewhere, quota),
            None,
        ),
        Row(SUPER, "more pods", merge(&ours, more.clone()), None),
        Row(OPERATOR, "more pods", merge(&ours, more), None),
    ]
}
