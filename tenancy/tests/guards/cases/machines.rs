//! Nodes as machines of strangers: who makes them, marks them, and what they say of themselves.

use std::time::{Duration, Instant};

use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use serde_json::{Value, json};

use super::Row;
use super::nodes::COLLECTOR;
use crate::bench::Bench;
use crate::requests::{
    ACCOUNT, ADMIN, Ask, KUBELET, OPERATOR, SERVER, SUPER, SUPERVISOR, Who, create, delete, merge,
};

/// Every joiner has a certificate of this user. The test's group gives it all rights.
const SHARED: Who = Who {
    name: "the user that all machines share",
    user: "system:k3s-controller",
    groups: &["operators", "system:authenticated"],
};
const OF_THE_CONTROL_PLANE: Who = Who {
    name: "a kubelet of the control plane",
    user: "system:node:server-1",
    groups: &["system:nodes", "system:authenticated"],
};
const NAMED_LIKE_IT: Who = Who {
    name: "a user named like a kubelet of the control plane",
    user: "system:node:server-1",
    groups: &["operators", "system:authenticated"],
};
const STRANGER: Who = Who {
    name: "a kubelet with an old certificate",
    user: "system:node:w9",
    groups: &["system:nodes", "system:authenticated"],
};

const ONE: &str = "/api/v1/nodes/n1";
const LEAVING: &str = "/api/v1/nodes/n2";
const OWN: &str = "/api/v1/nodes/server-1";

fn node(metadata: &Value) -> Ask {
    create(
        "/api/v1/nodes",
        json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata}),
    )
}

fn label(of: &str, key: &str, value: &str) -> Ask {
    merge(of, json!({"metadata": {"labels": {key: value}}}))
}

fn note(of: &str, key: &str, value: &str) -> Ask {
    merge(of, json!({"metadata": {"annotations": {key: value}}}))
}

fn status(of: &str, status: &Value) -> Ask {
    merge(&format!("{of}/status"), json!({"status": status}))
}

pub(crate) fn lives() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-node-lives");
    let named = |name: &str| node(&json!({"name": name}));
    // Told by a dry run that it would be there: its name is not taken.
    let own = |who| Row(who, "its own Node again", delete(OWN), None);
    vec![
        Row(SERVER, "makes one", named("w9"), None),
        Row(OPERATOR, "makes one", named("w9"), GUARD),
        Row(
            OPERATOR,
            "makes one of a generated name",
            node(&json!({"generateName": "w"})),
            GUARD,
        ),
        Row(SUPERVISOR, "makes one", named("w9"), GUARD),
        Row(ADMIN, "makes one", named("w9"), GUARD),
        Row(SUPER, "makes one", named("w9"), GUARD),
        Row(STRANGER, "makes its own", named("w9"), GUARD),
        Row(NAMED_LIKE_IT, "makes its Node", named("server-2"), GUARD),
        Row(OPERATOR, "deletes one", delete(ONE), None),
        Row(COLLECTOR, "deletes one", delete(ONE), None),
        Row(SERVER, "deletes one", delete(ONE), None),
        own(OF_THE_CONTROL_PLANE),
        Row(KUBELET, "deletes its own", delete(ONE), GUARD),
        Row(SHARED, "deletes one", delete(ONE), GUARD),
        Row(SHARED, "deletes all", delete("/api/v1/nodes"), GUARD),
        Row(ACCOUNT, "deletes one", delete(ONE), GUARD),
    ]
}

pub(crate) fn pods() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-node-pods");
    let pod = || {
        create(
            "/api/v1/namespaces/default/pods",
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "static"},
                "spec": {"nodeName": "n1", "containers": [{"name": "a", "image": "registry.invalid/a"}]},
            }),
        )
    };
    vec![
        Row(OPERATOR, "makes a pod", pod(), None),
        Row(SHARED, "makes a pod", pod(), GUARD),
        Row(NAMED_LIKE_IT, "makes a pod", pod(), None),
    ]
}

pub(crate) fn marks() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-node-marks");
    const TRUST: &str = "node-restriction.kubernetes.io/k3s-daas-trust";
    let hold = json!({"key": "k3s-daas.io/hold", "effect": "NoSchedule"});
    let taints = |taints: Value| merge(ONE, json!({"spec": {"taints": taints}}));
    let open = merge(LEAVING, json!({"spec": {"unschedulable": null}}));
    vec![
        Row(
            SERVER,
            "marks one",
            note(ONE, "k3s-daas.io/seal", "0x1"),
            None,
        ),
        Row(SERVER, "trusts one", label(ONE, TRUST, "operator"), None),
        Row(SERVER, "opens one again", open.clone(), None),
        Row(SERVER, "takes a taint", taints(json!([])), None),
        Row(OPERATOR, "trusts one", label(ONE, TRUST, "operator"), GUARD),
        Row(
            OPERATOR,
            "labels one",
            label(ONE, "k3s-daas.io/x", "y"),
            GUARD,
        ),
        Row(
            OPERATOR,
            "labels one below our domain",
            label(ONE, "a.k3s-daas.io/x", "y"),
            GUARD,
        ),
        Row(
            OPERATOR,
            "marks one",
            note(ONE, "k3s-daas.io/seal", "0x1"),
            GUARD,
        ),
        Row(
            OPERATOR,
            "marks one through its status",
            note(&format!("{ONE}/status"), "k3s-daas.io/seal", "0x1"),
            GUARD,
        ),
        Row(
            OPERATOR,
            "takes a mark",
            merge(LEAVING, json!({"metadata": {"annotations": null}})),
            GUARD,
        ),
        Row(OPERATOR, "takes a taint", taints(json!([])), GUARD),
        Row(
            OPERATOR,
            "adds a taint",
            taints(json!([hold, {"key": "k3s-daas.io/cut", "effect": "NoExecute"}])),
            GUARD,
        ),
        Row(OPERATOR, "opens one that leaves", open.clone(), GUARD),
        Row(SUPERVISOR, "opens one that leaves", open.clone(), GUARD),
        Row(SUPER, "opens one that leaves", open, GUARD),
        Row(
            OPERATOR,
            "closes one",
            merge(ONE, json!({"spec": {"unschedulable": true}})),
            None,
        ),
        Row(
            OPERATOR,
            "a taint of its own",
            taints(json!([hold, {"key": "example.com/y", "effect": "NoSchedule"}])),
            None,
        ),
        Row(
            OPERATOR,
            "a label",
            label(ONE, "node-role.kubernetes.io/x", ""),
            None,
        ),
        Row(
            KUBELET,
            "marks its own",
            note(ONE, "k3s-daas.io/seal", "0x1"),
            GUARD,
        ),
    ]
}

pub(crate) fn selves() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-node-selves");
    let finalizer = json!({"metadata": {"finalizers": ["example.com/stay"]}});
    let through_status = format!("{ONE}/status");
    vec![
        Row(KUBELET, "its label", label(ONE, "color", "blue"), None),
        Row(
            KUBELET,
            "its address",
            note(ONE, "k3s.io/internal-ip", "192.0.2.7"),
            None,
        ),
        Row(
            KUBELET,
            "its registry",
            note(ONE, "p2p.k3s.cattle.io/node-address", "x"),
            None,
        ),
        Row(
            KUBELET,
            "its status",
            status(ONE, &json!({"capacity": {"cpu": "4"}})),
            None,
        ),
        Row(
            KUBELET,
            "a provider id",
            merge(ONE, json!({"spec": {"providerID": "k3s://server-1"}})),
            GUARD,
        ),
        Row(
            KUBELET,
            "opened or closed",
            merge(ONE, json!({"spec": {"unschedulable": true}})),
            GUARD,
        ),
        Row(KUBELET, "a finalizer", merge(ONE, finalizer.clone()), GUARD),
        Row(
            KUBELET,
            "a finalizer through its status",
            merge(&through_status, finalizer),
            GUARD,
        ),
        Row(
            KUBELET,
            "the cluster's load balancer",
            label(ONE, "svccontroller.k3s.cattle.io/enablelb", "true"),
            GUARD,
        ),
        Row(
            KUBELET,
            "a member of etcd",
            note(ONE, "etcd.k3s.cattle.io/remove", "true"),
            GUARD,
        ),
        Row(
            OF_THE_CONTROL_PLANE,
            "its member of etcd",
            note(OWN, "etcd.k3s.cattle.io/node-name", "server-1"),
            None,
        ),
        Row(
            SHARED,
            "flannel's annotation",
            note(
                &through_status,
                "flannel.alpha.coreos.com/public-ip",
                "192.0.2.7",
            ),
            None,
        ),
        Row(
            SHARED,
            "flannel's condition",
            status(
                ONE,
                &json!({"conditions": [{"type": "NetworkUnavailable", "status": "False"}]}),
            ),
            None,
        ),
        Row(
            SHARED,
            "another condition",
            status(
                ONE,
                &json!({"conditions": [{"type": "Ready", "status": "True"}]}),
            ),
            GUARD,
        ),
        Row(
            SHARED,
            "an address",
            status(
                ONE,
                &json!({"addresses": [{"type": "InternalIP", "address": "192.0.2.7"}]}),
            ),
            GUARD,
        ),
        Row(
            SHARED,
            "another annotation",
            note(&through_status, "k3s.io/internal-ip", "192.0.2.7"),
            GUARD,
        ),
        Row(SHARED, "a label", label(ONE, "color", "blue"), GUARD),
        Row(
            SHARED,
            "closed",
            merge(ONE, json!({"spec": {"unschedulable": true}})),
            GUARD,
        ),
    ]
}

pub(crate) fn sealed() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-sealed-nodes");
    let all = "/apis/k3s-daas.io/v1/sealednodes";
    let one = format!("{all}/n1");
    let made = create(
        all,
        json!({"apiVersion": "k3s-daas.io/v1", "kind": "SealedNode", "metadata": {"name": "w9"}}),
    );
    let state = json!({"status": {"state": "Active"}});
    let through_status = merge(&format!("{one}/status"), state);
    let changed = merge(&one, json!({"spec": {"owner": "0x1"}}));
    vec![
        Row(SERVER, "makes one", made.clone(), None),
        Row(SERVER, "writes one", through_status.clone(), None),
        Row(SERVER, "deletes one", delete(&one), None),
        Row(OPERATOR, "makes one", made.clone(), GUARD),
        Row(OPERATOR, "changes one", changed, GUARD),
        Row(OPERATOR, "revives one", through_status.clone(), GUARD),
        Row(OPERATOR, "deletes one", delete(&one), GUARD),
        Row(OPERATOR, "deletes all", delete(all), GUARD),
        Row(SUPERVISOR, "deletes one", delete(&one), GUARD),
        Row(SUPER, "revives one", through_status.clone(), GUARD),
        Row(KUBELET, "revives itself", through_status, GUARD),
        Row(ADMIN, "makes one", made, Some("k3s-daas-addons")),
    ]
}

/// What is known of `n1`, as soon as the kind is served.
pub(crate) async fn record(bench: &Bench) {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("k3s-daas.io", "v1", "SealedNode"));
    let all: kube::Api<DynamicObject> = kube::Api::all_with(bench.admin.clone(), &resource);
    let started = Instant::now();
    while all.list(&ListParams::default()).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(30), "not served");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bench
        .apply(
            &json!({"apiVersion": "k3s-daas.io/v1", "kind": "SealedNode",
            "metadata": {"name": "n1"}, "spec": {"owner": "0x2"}}),
        )
        .await;
}
