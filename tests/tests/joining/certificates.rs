//! What the certificates of a slashed worker are still good for: its own for nothing, those that
//! all agents share for what `worker_isolation` says.

use anyhow::ensure;
use http::Method;
use k3s_daas_tests::e2e::{Caller, Cluster, Said};
use k3s_daas_tests::worker::{ClientCa, Kubelet, node_path};
use serde_json::json;

use super::ends::is_cut;
use crate::{address, cluster, passes};

const PROXY: &str = "system:kube-proxy";
const CONTROLLER: &str = "system:k3s-controller";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const OF_KUBERNETES: &str = "labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes";
const SELF: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificates_of_a_slashed_worker_are_worth_what_the_isolation_says() {
    passes(async {
        let Some(cluster) = cluster("joining: certificates", &[]).await? else {
            return Ok(());
        };
        let ca = ClientCa::of(&cluster.control_plane_folder())?;
        as_k3s_grants(&cluster).await?;
        let (worker, other) = tokio::try_join!(cluster.worker("slashed"), cluster.worker("other"))?;
        let kubelet = worker.join(&cluster, &ca, address(), "slashed").await?;
        other.join(&cluster, &ca, address(), "other").await?;
        let shared = |user| Kubelet::shared(&cluster, &ca, user, "slashed");
        let (proxy, controller) = (shared(PROXY)?, shared(CONTROLLER)?);
        cluster.slash(&worker.token).await?;
        is_cut(&cluster, &worker, &kubelet).await?;

        strict(&proxy, &controller).await?;
        cluster
            .restart_server(&[("worker_isolation", "open")])
            .await?;
        open(&proxy, &controller).await?;
        // Its own is worth nothing in either.
        is_cut(&cluster, &worker, &kubelet).await?;
        cluster.stop().await;
        Ok(())
    })
    .await;
}

/// More than K3s grants these users (`manifests/rolebindings.yaml`), so that what is refused here is
/// refused by the authorizer, whatever a later K3s grants.
async fn as_k3s_grants(cluster: &Cluster) -> anyhow::Result<()> {
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "shared-identities"},
        "rules": [{
            "apiGroups": ["", "discovery.k8s.io", "networking.k8s.io", "coordination.k8s.io"],
            "resources": ["*"], "verbs": ["get", "list", "watch", "create", "patch", "delete"],
        }],
    });
    let path = format!("{rbac}/clusterroles");
    cluster.create(&Caller::Operator, &path, &role).await?;
    let user =
        |name: &str| json!({"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"});
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "shared-identities"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": "shared-identities",
        },
        "subjects": [user(PROXY), user(CONTROLLER)],
    });
    let path = format!("{rbac}/clusterrolebindings");
    cluster.create(&Caller::Operator, &path, &binding).await
}

fn is(what: &str, said: &Said, status: u16) -> anyhow::Result<()> {
    let body = said.body.to_string();
    let start: String = body.chars().take(300).collect();
    ensure!(said.status == status, "{what}: {} {start}", said.status);
    Ok(())
}

async fn strict(proxy: &Kubelet, controller: &Kubelet) -> anyhow::Result<()> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "nodes"}},
    });
    // The five without which a stock agent does not start.
    is("readyz", &controller.get("/readyz").await?, 200)?;
    let asked = controller.ask(Method::POST, SELF, Some(&review)).await?;
    is("selfsubjectaccessreviews", &asked, 201)?;
    is("a Node", &controller.get(&node_path("other")).await?, 200)?;
    let slices = format!("{SLICES}?{OF_KUBERNETES}");
    is("the API's slices", &controller.get(&slices).await?, 200)?;
    let watch = format!("{slices}&watch=1&timeoutSeconds=1");
    let watched = controller.get(&watch).await?;
    is("a watch of the API's slices", &watched, 200)?;
    // And no sixth.
    for path in [
        "/api/v1/nodes",
        "/api/v1/nodes?watch=1&timeoutSeconds=1",
        "/api/v1/pods",
        "/api/v1/services",
        "/api/v1/endpoints",
        "/api/v1/namespaces",
        "/api/v1/namespaces/default/endpoints/kubernetes",
        "/apis/discovery.k8s.io/v1/endpointslices",
        "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices",
        "/apis/networking.k8s.io/v1/networkpolicies",
        "/api/v1/namespaces/kube-system/secrets",
        "/api/v1/namespaces/kube-system/configmaps",
    ] {
        is(path, &controller.get(path).await?, 403)?;
    }
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "slashed"}});
    let label = json!({"metadata": {"annotations": {"flannel.alpha.coreos.com/public-ip": "::1"}}});
    for (what, said) in [
        (
            "creating a Node",
            controller
                .ask(Method::POST, "/api/v1/nodes", Some(&node))
                .await?,
        ),
        (
            "patching a Node",
            controller
                .ask(Method::PATCH, &node_path("other"), Some(&label))
                .await?,
        ),
        (
            "patching a Node's status",
            controller
                .ask(
                    Method::PATCH,
                    &format!("{}/status", node_path("other")),
                    Some(&label),
                )
                .await?,
        ),
        (
            "deleting a Node",
            controller
                .ask(Method::DELETE, &node_path("other"), None)
                .await?,
        ),
    ] {
        is(what, &said, 403)?;
    }
    // kube-proxy needs nothing, since there is none.
    for path in [
        "/readyz",
        "/api/v1/nodes",
        &node_path("other"),
        "/api/v1/services",
        "/api/v1/endpoints",
        "/apis/discovery.k8s.io/v1/endpointslices",
        &slices,
        "/api/v1/pods",
        "/api/v1/namespaces/kube-system/secrets",
    ] {
        is(path, &proxy.get(path).await?, 403)?;
    }
    let asked = proxy.ask(Method::POST, SELF, Some(&review)).await?;
    is("kube-proxy's own review", &asked, 403)
}

/// What every past joiner may read for the life of these certificates.
async fn open(proxy: &Kubelet, controller: &Kubelet) -> anyhow::Result<()> {
    for path in [
        "/api/v1/nodes",
        "/api/v1/services",
        "/apis/discovery.k8s.io/v1/endpointslices",
    ] {
        is(path, &proxy.get(path).await?, 200)?;
    }
    for path in ["/api/v1/nodes", "/api/v1/pods", "/api/v1/namespaces"] {
        is(path, &controller.get(path).await?, 200)?;
    }
    // To make its Node again is nobody's in either.
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "slashed"}});
    for (who, kubelet) in [(PROXY, proxy), (CONTROLLER, controller)] {
        let made = kubelet
            .ask(Method::POST, "/api/v1/nodes", Some(&node))
            .await?;
        is(&format!("{who} creating a Node"), &made, 403)?;
    }
    Ok(())
}
