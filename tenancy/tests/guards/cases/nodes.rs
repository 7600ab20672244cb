//! Nodes and their passwords.

use serde_json::{Value, json};

use super::{MINE, Row};
use crate::requests::{
    ACCOUNT, ADMIN, DEVELOPER, OPERATOR, SUPER, SUPERVISOR, Who, create, delete, merge,
};

pub(crate) fn nodes() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-nodes");
    let (one, two) = ("/api/v1/nodes/n1", "/api/v1/nodes/n2");
    let label = |key: &str, value: Value| merge(one, json!({"metadata": {"labels": {key: value}}}));
    let ours = json!({"key": "k3s-daas.io/hold", "effect": "NoSchedule"});
    let foreign = json!({"key": "example.com/x", "effect": "NoSchedule"});
    let taints = |taints: Value| merge(one, json!({"spec": {"taints": taints}}));
    let status = |status: Value| merge(&format!("{one}/status"), json!({"status": status}));
    vec![
        Row(
            ADMIN,
            "cordoned",
            merge(one, json!({"spec": {"unschedulable": true}})),
            None,
        ),
        Row(ADMIN, "a label", label("disk", json!("ssd")), None),
        Row(
            ADMIN,
            "a label with a prefix",
            label("example.com/disk", json!("ssd")),
            None,
        ),
        Row(ADMIN, "a label gone", label("team", Value::Null), None),
        Row(
            ADMIN,
            "a taint more",
            taints(json!([ours, foreign, {"key": "team", "effect": "NoSchedule"}])),
            None,
        ),
        Row(ADMIN, "a taint gone", taints(json!([ours])), None),
        Row(
            ADMIN,
            "taints in another order",
            taints(json!([foreign, ours])),
            None,
        ),
        Row(
            ADMIN,
            "a role",
            label("node-role.kubernetes.io/control-plane", json!("true")),
            GUARD,
        ),
        Row(
            ADMIN,
            "a role gone",
            label("node-role.kubernetes.io/edge", Value::Null),
            GUARD,
        ),
        Row(
            ADMIN,
            "trust",
            label(
                "node-restriction.kubernetes.io/k3s-daas-trust",
                json!("operator"),
            ),
            GUARD,
        ),
        Row(
            ADMIN,
            "our label",
            label("k3s-daas.io/x", json!("y")),
            GUARD,
        ),
        Row(
            ADMIN,
            "a label of K3s",
            label("egress.k3s.io/cluster", json!("y")),
            GUARD,
        ),
        Row(
            ADMIN,
            "a label of Rancher",
            label("plan.upgrade.cattle.io/x", json!("y")),
            GUARD,
        ),
        Row(ADMIN, "our taint gone", taints(json!([foreign])), GUARD),
        Row(
            ADMIN,
            "our taint weaker",
            taints(json!([{"key": "k3s-daas.io/hold", "effect": "PreferNoSchedule"}, foreign])),
            GUARD,
        ),
        Row(
            ADMIN,
            "a taint of the system",
            taints(
                json!([ours, foreign, {"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]),
            ),
            GUARD,
        ),
        Row(
            ADMIN,
            "an annotation",
            merge(
                one,
                json!({"metadata": {"annotations": {"flannel.alpha.coreos.com/public-ip": "10.0.0.1"}}}),
            ),
            GUARD,
        ),
        Row(
            ADMIN,
            "an annotation gone",
            merge(one, json!({"metadata": {"annotations": null}})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a finalizer",
            merge(one, json!({"metadata": {"finalizers": ["example.com/x"]}})),
            GUARD,
        ),
        Row(
            ADMIN,
            "an owner",
            merge(
                one,
                json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n2", "uid": "1"}]}}),
            ),
            GUARD,
        ),
        Row(
            ADMIN,
            "a provider id",
            merge(one, json!({"spec": {"providerID": "k3s://x"}})),
            GUARD,
        ),
        Row(
            ADMIN,
            "an address",
            status(json!({"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a leaving one opened",
            merge(two, json!({"spec": {"unschedulable": null}})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a leaving one labelled",
            merge(two, json!({"metadata": {"labels": {"team": "blue"}}})),
            None,
        ),
        Row(
            ACCOUNT,
            "a role",
            label("node-role.kubernetes.io/control-plane", json!("true")),
            GUARD,
        ),
        Row(
            SUPER,
            "a role",
            label("node-role.kubernetes.io/control-plane", json!("true")),
            None,
        ),
    ]
}

pub(super) const COLLECTOR: Who = Who {
    name: "the garbage collector",
    user: "system:serviceaccount:kube-system:generic-garbage-collector",
    groups: &[
        "system:serviceaccounts",
        "system:serviceaccounts:kube-system",
        "system:authenticated",
    ],
};

pub(crate) fn node_passwords() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-node-passwords");
    let all = "/api/v1/namespaces/kube-system/secrets";
    let one = format!("{all}/n1.node-password.k3s");
    let secret = |name: &str, kind: &str| {
        create(
            all,
            json!({"apiVersion": "v1", "kind": "Secret", "type": kind,
            "metadata": {"name": name}, "stringData": {"hash": "x"}}),
        )
    };
    let password = "k3s.cattle.io/node-password";
    let rehash = merge(&one, json!({"stringData": {"hash": "y"}}));
    let owned = merge(
        &one,
        json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "1"}]}}),
    );
    let mut every = delete(all);
    every
        .path
        .push_str("?fieldSelector=type%3Dk3s.cattle.io%2Fnode-password");
    vec![
        Row(
            SUPERVISOR,
            "makes one",
            secret("w.node-password.k3s", password),
            None,
        ),
        Row(SUPERVISOR, "gives it an owner", owned.clone(), None),
        Row(SUPERVISOR, "deletes one", delete(&one), None),
        Row(COLLECTOR, "deletes one", delete(&one), None),
        Row(COLLECTOR, "takes its owner", owned.clone(), None),
        Row(COLLECTOR, "writes one", rehash.clone(), GUARD),
        Row(
            ADMIN,
            "makes one",
            secret("w.node-password.k3s", "Opaque"),
            GUARD,
        ),
        Row(ADMIN, "makes one of the type", secret("w", password), GUARD),
        Row(
            SUPER,
            "makes one",
            secret("w.node-password.k3s", password),
            GUARD,
        ),
        Row(
            OPERATOR,
            "makes one",
            secret("w.node-password.k3s", password),
            GUARD,
        ),
        Row(OPERATOR, "writes one", rehash, GUARD),
        Row(OPERATOR, "lets it go with another", owned, GUARD),
        Row(OPERATOR, "deletes one", delete(&one), GUARD),
        Row(OPERATOR, "deletes all", every, GUARD),
        Row(OPERATOR, "another Secret", secret("w", "Opaque"), None),
        Row(
            DEVELOPER,
            "the name in its own namespace",
            create(
                &format!("/api/v1/namespaces/{MINE}/secrets"),
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "w.node-password.k3s"}}),
            ),
            None,
        ),
    ]
}
