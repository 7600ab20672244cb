//! What Kubernetes and K3s do themselves goes on under the guards.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, Node, ResourceQuota};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::bench::Bench;
use super::cases::{Row, check};
use super::requests::{KUBELET, OPERATOR, SERVER, SUPERVISOR, Who, create, delete, merge};

const NODE_CONTROLLER: Who = Who {
    name: "the node controller",
    user: "system:serviceaccount:kube-system:node-controller",
    groups: &[
        "system:serviceaccounts",
        "system:serviceaccounts:kube-system",
        "system:authenticated",
    ],
};
const REPLICAS: Who = Who {
    name: "the replica set controller",
    user: "system:serviceaccount:kube-system:replicaset-controller",
    groups: &[
        "system:serviceaccounts",
        "system:serviceaccounts:kube-system",
        "system:authenticated",
    ],
};

pub(crate) async fn run(bench: &Bench) {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "a", "image": "a"}]}});
    let rows = [
        Row(
            KUBELET,
            "labels its node",
            merge(
                "/api/v1/nodes/n1",
                json!({"metadata": {
            "labels": {"kubernetes.io/arch": "amd64"}, "annotations": {"k3s.io/node-args": "[]"}}}),
            ),
            None,
        ),
        Row(
            KUBELET,
            "reports its addresses",
            merge(
                "/api/v1/nodes/n1/status",
                json!({"status": {
            "addresses": [{"type": "InternalIP", "address": "192.0.2.7"}]}}),
            ),
            None,
        ),
        Row(
            NODE_CONTROLLER,
            "taints a node",
            merge(
                "/api/v1/nodes/n1",
                json!({"spec": {"taints": [
            {"key": "k3s-daas.io/hold", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]}}),
            ),
            None,
        ),
        Row(
            SUPERVISOR,
            "keeps a node until it has cleaned up",
            merge(
                "/api/v1/nodes/n1",
                json!({"metadata": {"finalizers": ["wrangler.cattle.io/node"]}}),
            ),
            None,
        ),
        Row(
            SUPERVISOR,
            "deletes a node",
            delete("/api/v1/nodes/n1"),
            None,
        ),
        Row(
            REPLICAS,
            "makes a tenant's pod",
            create("/api/v1/namespaces/seal-1111111111111111/pods", pod),
            None,
        ),
        Row(
            OPERATOR,
            "labels a namespace",
            merge(
                "/api/v1/namespaces/team",
                json!({"metadata": {
            "labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}),
            ),
            None,
        ),
    ];
    for row in rows {
        assert_eq!(check(bench, row).await, None);
    }
    the_quota_controller_counts(bench).await;
    a_tenants_namespace_ends(bench).await;
    a_node_goes(bench).await;
}

async fn the_quota_controller_counts(bench: &Bench) {
    let quotas: Api<ResourceQuota> = Api::namespaced(bench.admin.clone(), "seal-1111111111111111");
    until("the quota is counted", async || {
        let quota = quotas.get("k3s-daas-quota").await.unwrap();
        quota.status.is_some_and(|status| status.used.is_some())
    })
    .await;
}

/// The namespace controller deletes our objects in it and finalizes it.
async fn a_tenants_namespace_ends(bench: &Bench) {
    let namespaces: Api<Namespace> = Api::all(bench.admin.clone());
    let name = "seal-4444444444444444";
    bench
        .apply(&json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"k3s-daas.io/state": "active"}}}))
        .await;
    bench.apply(&json!({"apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "k3s-daas-quota", "namespace": name}, "spec": {"hard": {"pods": "1"}}})).await;
    namespaces
        .delete(name, &DeleteParams::default())
        .await
        .unwrap();
    until("the namespace is gone", async || {
        namespaces.get_opt(name).await.unwrap().is_none()
    })
    .await;
}

/// The garbage collector deletes the password of a Node that is gone.
async fn a_node_goes(bench: &Bench) {
    let nodes: Api<Node> = Api::all(bench.admin.clone());
    let node = Api::<Node>::all(bench.acting_as(SERVER.user, SERVER.groups))
        .create(
            &PostParams::default(),
            &serde_json::from_value(
                json!({"metadata": {"name": "n3", "finalizers": ["wrangler.cattle.io/node"]}}),
            )
            .unwrap(),
        )
        .await
        .unwrap();
    let name = "n3.node-password.k3s";
    bench
        .apply(
            &json!({"apiVersion": "v1", "kind": "Secret", "type": "k3s.cattle.io/node-password",
        "metadata": {"name": name, "namespace": "kube-system", "ownerReferences": [
            {"apiVersion": "v1", "kind": "Node", "name": "n3", "uid": node.metadata.uid}]}}),
        )
        .await;
    nodes.delete("n3", &DeleteParams::default()).await.unwrap();
    // K3s's finalizer makes of the deletion an update of its supervisor's. A K3s does it by itself.
    let supervisor: Api<Node> = Api::all(bench.acting_as(SUPERVISOR.user, SUPERVISOR.groups));
    let done = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let params = PatchParams::default();
    if let Err(error) = supervisor.patch("n3", &params, &done).await {
        assert!(
            matches!(&error, kube::Error::Api(status) if status.code == 404),
            "{error}"
        );
    }
    until("the node is gone", async || {
        nodes.get_opt("n3").await.unwrap().is_none()
    })
    .await;
    let secrets: Api<k8s_openapi::api::core::v1::Secret> =
        Api::namespaced(bench.admin.clone(), "kube-system");
    until("the password is gone", async || {
        let named = ListParams::default().fields(&format!("metadata.name={name}"));
        secrets.list(&named).await.unwrap().items.is_empty()
    })
    .await;
}

async fn until(what: &str, check: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !check().await {
        assert!(started.elapsed() < Duration::from_mins(1), "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
