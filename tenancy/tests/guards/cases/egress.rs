//! What network policies of tenants open.

use kube::Client;
use serde_json::{Value, json};

use super::{MINE, Row, THEIRS};
use crate::bench::Bench;
use crate::requests::{ACCOUNT, ADMIN, Answer, DEVELOPER, OPERATOR, SUPER, create};

/// What a chart with an open rule is told where nothing mends it.
pub(crate) const NAMELESS: &str = "an egress rule must name its peers; DNS and the internet are open \
                                   already, so leave the rule out";

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
