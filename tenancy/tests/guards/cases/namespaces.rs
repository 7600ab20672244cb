//! Namespaces, what confines them, and what their policies open.

use kube::Client;
use serde_json::{Value, json};

use super::{MINE, Row, THEIRS, merged};
use crate::bench::Bench;
use crate::requests::{ACCOUNT, ADMIN, Answer, DEVELOPER, OPERATOR, SUPER, create, delete, merge};

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

pub(crate) fn policy(egress: &Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": egress}})
}

pub(crate) fn egress() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-egress");
    let path = format!("/apis/networking.k8s.io/v1/namespaces/{MINE}/networkpolicies");
    let to = |peer: Value| create(&path, policy(&json!([{"to": [peer]}])));
    let of = |labels: Value| to(json!({"namespaceSelector": {"matchLabels": labels}}));
    let name = "kubernetes.io/metadata.name";
    let addresses = json!({"ipBlock": {"cidr": "0.0.0.0/0"}});
    vec![
        Row(
            DEVELOPER,
            "pods of its namespace",
            to(json!({"podSelector": {}})),
            None,
        ),
        Row(
            DEVELOPER,
            "a tenant's namespace",
            of(json!({name: THEIRS})),
            None,
        ),
        Row(
            DEVELOPER,
            "pods of a tenant's namespace",
            to(json!({"podSelector": {}, "namespaceSelector": {"matchLabels": {name: THEIRS}}})),
            None,
        ),
        Row(
            DEVELOPER,
            "no egress at all",
            create(&path, policy(&json!([]))),
            None,
        ),
        Row(DEVELOPER, "every address", to(addresses.clone()), GUARD),
        Row(
            DEVELOPER,
            "one address",
            to(json!({"ipBlock": {"cidr": "10.0.0.1/32"}})),
            GUARD,
        ),
        Row(
            DEVELOPER,
            "addresses behind a good peer",
            create(
                &path,
                policy(&json!([{"to": [{"podSelector": {}}, addresses]}])),
            ),
            GUARD,
        ),
        Row(
            DEVELOPER,
            "addresses in a second rule",
            create(
                &path,
                policy(
                    &json!([{"to": [{"podSelector": {}}]}, {"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}]}]),
                ),
            ),
            GUARD,
        ),
        Row(
            DEVELOPER,
            "every namespace",
            to(json!({"namespaceSelector": {}})),
            GUARD,
        ),
        Row(
            DEVELOPER,
            "kube-system",
            of(json!({name: "kube-system"})),
            GUARD,
        ),
        Row(
            DEVELOPER,
            "namespaces by another label",
            of(json!({"team": "seal-x"})),
            GUARD,
        ),
        Row(
            DEVELOPER,
            "namespaces by expression",
            to(
                json!({"namespaceSelector": {"matchExpressions": [{"key": name, "operator": "Exists"}]}}),
            ),
            GUARD,
        ),
        Row(
            DEVELOPER,
            "pods of every namespace",
            to(json!({"podSelector": {}, "namespaceSelector": {}})),
            GUARD,
        ),
        Row(ACCOUNT, "every address", to(addresses.clone()), GUARD),
        Row(
            ADMIN,
            "every address, elsewhere",
            create(
                "/apis/networking.k8s.io/v1/namespaces/team/networkpolicies",
                policy(&json!([{"to": [addresses]}])),
            ),
            None,
        ),
        Row(
            SUPER,
            "every address",
            to(json!({"ipBlock": {"cidr": "0.0.0.0/0"}})),
            None,
        ),
        Row(
            OPERATOR,
            "an open rule",
            create(&path, policy(&json!([{}]))),
            None,
        ),
    ]
}

/// Charts with open egress rules install, and what is stored opens nothing.
pub(crate) async fn open_egress(bench: &Bench) {
    let path = format!("/apis/networking.k8s.io/v1/namespaces/{MINE}/networkpolicies");
    let client: Client = bench.acting_as(DEVELOPER.user, DEVELOPER.groups);
    let good = json!({"to": [{"podSelector": {}}]});
    let charts = [
        (json!([{}]), json!([])),
        (
            json!([{"ports": [{"port": 53, "protocol": "UDP"}]}]),
            json!([]),
        ),
        (json!([{"to": []}, good]), json!([good])),
        (json!([good, {}]), json!([good])),
    ];
    for (brought, kept) in charts {
        match create(&path, policy(&brought)).send(&client).await {
            Answer::Yes(stored) => {
                let egress = stored.pointer("/spec/egress").cloned().unwrap_or(json!([]));
                assert_eq!(egress, kept, "{brought}");
            }
            no @ Answer::No { .. } => panic!("{brought}: {no:?}"),
        }
    }
    let operator = bench.acting_as(OPERATOR.user, OPERATOR.groups);
    match create(&path, policy(&json!([{}]))).send(&operator).await {
        Answer::Yes(stored) => assert_eq!(stored.pointer("/spec/egress"), Some(&json!([{}]))),
        no @ Answer::No { .. } => panic!("{no:?}"),
    }
}

/// What is too large to judge is refused, not let through.
pub(crate) async fn hostile_sizes(bench: &Bench) {
    let path = format!("/apis/networking.k8s.io/v1/namespaces/{MINE}/networkpolicies");
    let client = bench.acting_as(DEVELOPER.user, DEVELOPER.groups);
    let good = json!({"to": [{"podSelector": {"matchLabels": {"a": "b"}}}]});
    let bad = json!({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]});
    for count in [100, 5_000, 15_000] {
        for last in [&bad, &json!({})] {
            let mut rules = vec![good.clone(); count];
            rules.push(last.clone());
            match create(&path, policy(&json!(rules))).send(&client).await {
                Answer::Yes(stored) => {
                    let kept = stored.pointer("/spec/egress").and_then(Value::as_array);
                    assert!(kept.is_some_and(|kept| kept.iter().all(|rule| *rule == good)));
                }
                Answer::No { code, message, .. } => {
                    let shown: String = message.chars().take(300).collect();
                    assert!(
                        code == 403 || code == 422 || code == 500,
                        "{count}: {code} {shown}"
                    );
                    assert!(message.contains("k3s-daas-"), "{count}: {shown}");
                }
            }
        }
    }
}
