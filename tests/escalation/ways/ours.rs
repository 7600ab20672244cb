//! The extension's own objects.

use seal::access::DenyReason::{OurObjects, ProtectedSecrets, ProtectedWrite};
use seal::access::EXTENSION_NAMESPACE;
use serde_json::json;

use super::{BELOW_SUPER, Tried};
use crate::attempt::Attempt;
use crate::stopper::denied;

ways! {
    "Secrets of the extension's namespace", BELOW_SUPER => secrets;
    "configuration of the extension's namespace", BELOW_SUPER => config;
    "taking the lease of the namespaces' keeper", BELOW_SUPER => lease;
    "binding the extension's service account elsewhere", BELOW_SUPER => account;
    "objects of k3s-daas.io", BELOW_SUPER => objects;
}

fn core(kind: &str) -> String {
    format!("/api/v1/namespaces/{EXTENSION_NAMESPACE}/{kind}")
}

async fn secrets(t: &Attempt<'_>) -> Tried {
    let path = core("secrets");
    t.get(&path, denied(ProtectedSecrets)).await?;
    t.create(&path, json!({}), denied(ProtectedSecrets)).await
}

async fn config(t: &Attempt<'_>) -> Tried {
    let path = core("configmaps");
    t.create(&path, json!({"data": {}}), denied(ProtectedWrite))
        .await?;
    let probe = json!({"metadata": {"name": "k3s-daas-guard-probe"}});
    t.create(&path, probe, denied(ProtectedWrite)).await
}

async fn lease(t: &Attempt<'_>) -> Tried {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{EXTENSION_NAMESPACE}/leases");
    let lease = json!({"spec": {"holderIdentity": "me", "leaseDurationSeconds": 99999}});
    t.create(&path, lease.clone(), denied(ProtectedWrite))
        .await?;
    let theirs = format!("{path}/k3s-daas-tenancy");
    t.patch(&theirs, lease, denied(ProtectedWrite)).await?;
    t.delete(&theirs, denied(ProtectedWrite)).await?;
    let namespace = EXTENSION_NAMESPACE;
    t.cannot(
        t.client(),
        namespace,
        &[
            "update leases.coordination.k8s.io",
            "patch leases.coordination.k8s.io",
        ],
    )
    .await
}

async fn account(t: &Attempt<'_>) -> Tried {
    let path = core("serviceaccounts");
    t.create(&path, json!({}), denied(ProtectedWrite)).await?;
    let one = format!("{path}/{}", seal::identity::SERVER_ACCOUNT);
    t.delete(&one, denied(ProtectedWrite)).await?;
    let role =
        format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{EXTENSION_NAMESPACE}/rolebindings");
    let binding = json!({
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [{
            "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": t.me().user(),
        }],
    });
    t.create(&role, binding, denied(ProtectedWrite)).await
}

async fn objects(t: &Attempt<'_>) -> Tried {
    let node = json!({"apiVersion": "k3s-daas.io/v1alpha1", "kind": "SealedNode", "spec": {}});
    let path = "/apis/k3s-daas.io/v1alpha1/sealednodes";
    t.create(path, node.clone(), denied(OurObjects)).await?;
    t.patch(&format!("{path}/any"), node, denied(OurObjects))
        .await?;
    t.delete(path, denied(OurObjects)).await?;
    t.cannot(t.client(), "", &["create sealednodes.k3s-daas.io"])
        .await
}
