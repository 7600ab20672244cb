//! Cluster-scoped kinds that the tier admin may make, and what of them would be more than that.

use seal::access::DenyReason::NodeLifecycle;
use serde_json::{Value, json};

use super::admission::{CRDS, definition};
use super::volumes::persistent_volume;
use super::{ADMIN, DEVELOPER, Tried};
use crate::attempt::{Attempt, with_name};
use crate::stage::{COMMONS, NODE};
use crate::stopper::{Stopper, denied, guard};

ways! {
    "a volume on a node's own disk", ADMIN => node_disk;
    "a CSI volume with Secrets, a path or another's handle", ADMIN => csi_volume;
    "a volume for a claim of kube-system", ADMIN => claim_of_system;
    "a volume of kube-system for a claim of one's own", ADMIN => volume_of_system;
    "a storage class that chooses paths or Secrets", ADMIN => class;
    "a Node's trust and other marks of the system", ADMIN => node_marks;
    "a Node's address range and provider", ADMIN => node_spec;
    "deleting a Node by the garbage collector", ADMIN => node_owner;
    "making a Node by server-side apply", ADMIN => node_apply;
    "a CRD with a conversion webhook", ADMIN => conversion;
    "a CRD in a group of the system", ADMIN => reserved_group;
    "the default priority class, and the system's", ADMIN => priority;
    "a pod of a system class where nobody owns the namespace", ADMIN => system_class;
    "pods and exec in a namespace that the operator made privileged", ADMIN => privileged_namespace;
    "a token of somebody else's service account, for long", ADMIN => long_token;
    "a service account that is bound in kube-system", ADMIN => bound_in_system;
    "a service account that is bound in default", ADMIN => bound_in_default;
    "a service account that is bound cluster-wide", ADMIN => bound_cluster_wide;
    "a HelmChart by a service account that the operator let make them", DEVELOPER => chart_by_account;
}

const VOLUMES: &str = "/api/v1/persistentvolumes";
const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";

fn csi(more: Value) -> Value {
    let mut source = json!({"driver": "way.example.com", "volumeHandle": "a-volume"});
    if let (Some(all), Value::Object(more)) = (source.as_object_mut(), more) {
        all.extend(more);
    }
    persistent_volume(json!({ "csi": source }))
}

async fn node_disk(t: &Attempt<'_>) -> Tried {
    let on_node = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [{
        "key": "kubernetes.io/hostname", "operator": "In", "values": [NODE],
    }]}]}});
    for source in [
        json!({"hostPath": {"path": "/"}}),
        json!({"local": {"path": "/var/lib/rancher"}, "nodeAffinity": on_node}),
        json!({"nfs": {"server": "10.0.0.1", "path": "/"}}),
    ] {
        t.create(
            VOLUMES,
            persistent_volume(source),
            guard("k3s-daas-volumes"),
        )
        .await?;
    }
    let harmless = with_name(csi(json!({})), &t.name());
    t.works(&t.client().post(VOLUMES, &harmless).await?);
    t.works(
        &t.client()
            .delete(&format!("{VOLUMES}/{}", t.name()))
            .await?,
    );
    Ok(())
}

async fn csi_volume(t: &Attempt<'_>) -> Tried {
    let secret = json!({"name": "treasure", "namespace": "kube-system"});
    for more in [
        json!({"nodePublishSecretRef": secret}),
        json!({"nodeStageSecretRef": secret}),
        json!({"volumeHandle": "/etc"}),
        json!({"volumeHandle": "../../etc"}),
        json!({"volumeHandle": "pvc-0123"}),
        json!({"volumeAttributes": {"hostPath": "/etc"}}),
    ] {
        t.create(VOLUMES, csi(more), guard("k3s-daas-volumes"))
            .await?;
    }
    Ok(())
}

async fn claim_of_system(t: &Attempt<'_>) -> Tried {
    let mut volume = csi(json!({}));
    volume["spec"]["claimRef"] = json!({"namespace": "kube-system", "name": "data"});
    t.create(VOLUMES, volume, guard("k3s-daas-volumes")).await
}

/// Its data would be read by whoever claims it next.
async fn volume_of_system(t: &Attempt<'_>) -> Tried {
    let mut theirs = with_name(csi(json!({})), &t.name());
    theirs["spec"]["claimRef"] = json!({"namespace": "kube-system", "name": t.name()});
    t.works(&t.stage.operator.post(VOLUMES, &theirs).await?);
    let one = format!("{VOLUMES}/{}", t.name());
    let before = t.stage.operator.get(&one).await?;
    for claim in [
        Value::Null,
        json!({"namespace": t.home(), "name": "mine"}),
        json!({"uid": "00000000-0000-0000-0000-000000000000"}),
    ] {
        let change = json!({"spec": {"claimRef": claim}});
        t.patch(&one, change, guard("k3s-daas-volumes")).await?;
    }
    t.delete(&one, guard("k3s-daas-volumes")).await?;
    let after = t.stage.operator.get(&one).await?;
    let claim = "/spec/claimRef/namespace";
    t.proof(
        after.ok() && before.field(claim) == after.field(claim),
        "it is still that claim's",
    );
    t.present(&one).await?;
    t.works(&t.stage.operator.delete(&one).await?);
    Ok(())
}

async fn class(t: &Attempt<'_>) -> Tried {
    for parameters in [
        json!({"pathPattern": "../../etc"}),
        json!({"nodePath": "/"}),
        json!({
            "csi.storage.k8s.io/provisioner-secret-name": "treasure",
            "csi.storage.k8s.io/provisioner-secret-namespace": "kube-system",
        }),
    ] {
        let class = json!({"provisioner": "rancher.io/local-path", "parameters": parameters});
        t.create(CLASSES, class, guard("k3s-daas-storage-classes"))
            .await?;
    }
    let options = json!({"provisioner": "x.io/x", "mountOptions": ["credentials=/etc/shadow"]});
    t.create(CLASSES, options, guard("k3s-daas-storage-classes"))
        .await?;
    let harmless = json!({"provisioner": "x.io/x", "parameters": {"type": "ssd"}});
    let harmless = with_name(harmless, &t.name());
    t.works(&t.client().post(CLASSES, &harmless).await?);
    t.works(
        &t.client()
            .delete(&format!("{CLASSES}/{}", t.name()))
            .await?,
    );
    Ok(())
}

fn node() -> String {
    format!("/api/v1/nodes/{NODE}")
}

/// Labels, taints and a cordon of its own are the tier's to give.
async fn harmless_node(t: &Attempt<'_>) -> Tried {
    let key = format!("example.com/{}", t.name());
    for value in [json!("a"), Value::Null] {
        let patch = json!({"metadata": {"labels": {&key: value}}});
        t.works(&t.client().patch(&node(), &patch).await?);
    }
    for cordon in [true, false] {
        let patch = json!({"spec": {"unschedulable": cordon}});
        t.works(&t.client().patch(&node(), &patch).await?);
    }
    Ok(())
}

/// The system and other ways write to the Node meanwhile: only what was tried is compared.
async fn node_kept(t: &Attempt<'_>, patch: Value, pointer: &str) -> Tried {
    let before = t.stage.operator.get(&node()).await?;
    t.patch(&node(), patch, guard("k3s-daas-nodes")).await?;
    let after = t.stage.operator.get(&node()).await?;
    t.proof(
        before.field(pointer) == after.field(pointer),
        "the Node is unchanged",
    );
    Ok(())
}

async fn node_marks(t: &Attempt<'_>) -> Tried {
    for (key, pointer) in [
        (
            "node-restriction.kubernetes.io/k3s-daas-trust",
            "/metadata/labels/node-restriction.kubernetes.io~1k3s-daas-trust",
        ),
        (
            "node-role.kubernetes.io/control-plane",
            "/metadata/labels/node-role.kubernetes.io~1control-plane",
        ),
        ("k3s-daas.io/way", "/metadata/labels/k3s-daas.io~1way"),
    ] {
        let patch = json!({"metadata": {"labels": {key: "operator"}}});
        node_kept(t, patch, pointer).await?;
    }
    // The last of these makes K3s take the node's etcd out of its cluster.
    for key in [
        "k3s-daas.io/way",
        "example.com/way",
        "etcd.k3s.cattle.io/remove",
    ] {
        let notes = json!({"metadata": {"annotations": {key: "true"}}});
        node_kept(t, notes, "/metadata/annotations").await?;
    }
    let taint = json!({"spec": {"taints": [{
        "key": "k3s-daas.io/way", "effect": "NoExecute",
    }]}});
    t.patch(&node(), taint, guard("k3s-daas-nodes")).await?;
    harmless_node(t).await
}

async fn node_spec(t: &Attempt<'_>) -> Tried {
    node_kept(
        t,
        json!({"spec": {"providerID": "aws:///x/i-0123456789"}}),
        "/spec/providerID",
    )
    .await?;
    let stay = json!({"metadata": {"finalizers": ["way.example.com/stay"]}});
    node_kept(t, stay, "/metadata/finalizers").await
}

/// An owner that does not exist: the collector would delete the Node, as nobody below super may.
async fn node_owner(t: &Attempt<'_>) -> Tried {
    let orphan = json!({"metadata": {"ownerReferences": [{
        "apiVersion": "v1", "kind": "Namespace", "name": "gone",
        "uid": "00000000-0000-0000-0000-000000000000",
    }]}});
    node_kept(t, orphan, "/metadata/ownerReferences").await?;
    t.present(&node()).await
}

async fn node_apply(t: &Attempt<'_>) -> Tried {
    let one = format!("/api/v1/nodes/{}", t.name());
    let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": t.name()}});
    let answer = t.client().apply(&one, &object).await?;
    t.stopped(&answer, &denied(NodeLifecycle));
    t.absent(&one).await
}

async fn conversion(t: &Attempt<'_>) -> Tried {
    let webhook = json!({"conversion": {"strategy": "Webhook", "webhook": {
        "clientConfig": {"url": "https://127.0.0.1:6443/"},
        "conversionReviewVersions": ["v1"],
    }}});
    let group = format!("{}.example.net", t.name());
    t.create(
        CRDS,
        definition(&group, "ways", webhook),
        guard("k3s-daas-crds"),
    )
    .await?;
    let harmless = definition(&group, "ways", json!({}));
    t.works(&t.client().post(CRDS, &harmless).await?);
    let one = format!("{CRDS}/ways.{group}");
    t.works(&t.stage.operator.delete(&one).await?);
    Ok(())
}

async fn reserved_group(t: &Attempt<'_>) -> Tried {
    for group in [
        "helm.cattle.io",
        "k3s.cattle.io",
        "upgrade.cattle.io",
        "k3s-daas.io",
        "sub.k3s-daas.io",
        "way.k8s.io",
    ] {
        let mut crd = definition(group, "ways", json!({}));
        // Kubernetes wants this said of its own groups.
        crd["metadata"]["annotations"] = json!({"api-approved.kubernetes.io": "https://github.com/kubernetes/enhancements/pull/1"});
        t.create(CRDS, crd, guard("k3s-daas-crds")).await?;
    }
    Ok(())
}

async fn priority(t: &Attempt<'_>) -> Tried {
    let path = "/apis/scheduling.k8s.io/v1/priorityclasses";
    let class = json!({"value": 1_000_000, "globalDefault": true});
    t.create(path, class, guard("k3s-daas-priority-classes"))
        .await?;
    let system = format!("{path}/system-node-critical");
    t.remove(&system, Stopper::Plugin("Priority")).await?;
    let harmless = with_name(json!({"value": 1000}), &t.name());
    t.works(&t.client().post(path, &harmless).await?);
    t.works(&t.client().delete(&format!("{path}/{}", t.name())).await?);
    Ok(())
}

fn pod(spec: Value) -> Value {
    let mut pod = json!({"spec": {"containers": [{"name": "c", "image": "x"}]}});
    if let (Some(all), Value::Object(spec)) = (pod["spec"].as_object_mut(), spec) {
        all.extend(spec);
    }
    pod
}

async fn system_class(t: &Attempt<'_>) -> Tried {
    let path = format!("/api/v1/namespaces/{COMMONS}/pods");
    let critical = pod(json!({"priorityClassName": "system-cluster-critical"}));
    t.create(&path, critical, guard("k3s-daas-workloads"))
        .await?;
    let harmless = with_name(pod(json!({})), &t.name());
    t.works(&t.client().post(&path, &harmless).await?);
    let one = format!("{path}/{}?gracePeriodSeconds=0", t.name());
    t.works(&t.client().delete(&one).await?);
    Ok(())
}

/// A namespace of the operator's with the given labels, and a service account `agent`.
async fn operators(t: &Attempt<'_>, labels: Value) -> anyhow::Result<String> {
    let name = t.name();
    let body = json!({"metadata": {"name": name, "labels": labels}});
    t.works(&t.stage.operator.post("/api/v1/namespaces", &body).await?);
    let accounts = format!("/api/v1/namespaces/{name}/serviceaccounts");
    let agent = json!({"metadata": {"name": "agent"}});
    t.works(&t.stage.operator.post(&accounts, &agent).await?);
    Ok(name)
}

async fn privileged_namespace(t: &Attempt<'_>) -> Tried {
    let labels = json!({"pod-security.kubernetes.io/enforce": "privileged"});
    let namespace = operators(t, labels).await?;
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    t.create(&path, pod(json!({})), guard("k3s-daas-workloads"))
        .await?;
    let exec = format!("{path}/any/exec?command=id");
    t.post(&exec, Value::Null, guard("k3s-daas-workloads"))
        .await?;
    let labels = json!({"way": t.name()});
    let mut template = pod(json!({}));
    template["metadata"] = json!({"labels": labels});
    let set = json!({"spec": {"selector": {"matchLabels": labels}, "template": template}});
    let sets = format!("/apis/apps/v1/namespaces/{namespace}/daemonsets");
    t.create(&sets, set, guard("k3s-daas-workloads")).await
}

async fn long_token(t: &Attempt<'_>) -> Tried {
    let year = json!({"spec": {"expirationSeconds": 31_536_000}});
    for namespace in [COMMONS, &t.stage.victim.home] {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default/token");
        let answer = t
            .post(&path, year.clone(), guard("k3s-daas-tokens"))
            .await?;
        t.proof(
            answer.field("/status/token").is_null(),
            "the answer holds no token",
        );
        let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
        let forever = json!({
            "metadata": {"annotations": {"kubernetes.io/service-account.name": "default"}},
            "type": "kubernetes.io/service-account-token",
        });
        t.create(&secrets, forever, guard("k3s-daas-tokens"))
            .await?;
    }
    let hour = json!({"spec": {"expirationSeconds": 600}});
    let path = format!("/api/v1/namespaces/{COMMONS}/serviceaccounts/default/token");
    t.works(&t.client().post(&path, &hour).await?);
    Ok(())
}

/// Waits until the watch knows of the binding, then tries to become the account.
async fn become_agent(t: &Attempt<'_>, namespace: &str) -> Tried {
    use seal::access::DenyReason::{ProtectedToken, ProtectedWrite};
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/agent/token");
    for _ in 0..100 {
        if !t.client().post(&path, &json!({"spec": {}})).await?.ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let answer = t
        .post(&path, json!({"spec": {}}), denied(ProtectedToken))
        .await?;
    t.proof(
        answer.field("/status/token").is_null(),
        "the answer holds no token",
    );
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let as_agent = pod(json!({"serviceAccountName": "agent"}));
    t.create(&pods, as_agent, denied(ProtectedWrite)).await
}

fn agent_binding(t: &Attempt<'_>, namespace: &str) -> Value {
    json!({
        "metadata": {"name": t.name()},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "agent", "namespace": namespace}],
    })
}

async fn bound_in_system(t: &Attempt<'_>) -> Tried {
    bound_by(t, "namespaces/kube-system/rolebindings").await
}

async fn bound_in_default(t: &Attempt<'_>) -> Tried {
    bound_by(t, "namespaces/default/rolebindings").await
}

async fn bound_cluster_wide(t: &Attempt<'_>) -> Tried {
    bound_by(t, "clusterrolebindings").await
}

async fn bound_by(t: &Attempt<'_>, bindings: &str) -> Tried {
    let namespace = operators(t, json!({})).await?;
    let path = &format!("/apis/rbac.authorization.k8s.io/v1/{bindings}");
    let binding = agent_binding(t, &namespace);
    t.works(&t.stage.operator.post(path, &binding).await?);
    become_agent(t, &namespace).await?;
    t.works(
        &t.stage
            .operator
            .delete(&format!("{path}/{}", t.name()))
            .await?,
    );
    Ok(())
}

/// The authorizer judges seals; of service accounts RBAC decides, and after it the guards.
async fn chart_by_account(t: &Attempt<'_>) -> Tried {
    let home = t.home();
    let account = t.account(t.client(), home, &t.name(), json!({})).await?;
    let rbac = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{home}");
    let role = json!({
        "metadata": {"name": t.name()},
        "rules": [{"apiGroups": ["helm.cattle.io"], "resources": ["*"], "verbs": ["*"]}],
    });
    let binding = json!({
        "metadata": {"name": t.name()},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": t.name()},
        "subjects": [{"kind": "ServiceAccount", "name": t.name(), "namespace": home}],
    });
    for (kind, object) in [("roles", role), ("rolebindings", binding)] {
        let made = t
            .stage
            .operator
            .post(&format!("{rbac}/{kind}"), &object)
            .await?;
        t.works(&made);
    }
    let charts = format!("/apis/helm.cattle.io/v1/namespaces/{home}/helmcharts");
    let chart = json!({
        "apiVersion": "helm.cattle.io/v1", "kind": "HelmChart",
        "metadata": {"name": t.name()}, "spec": {"chartContent": ""},
    });
    t.stopped(
        &account.post(&charts, &chart).await?,
        &guard("k3s-daas-addons"),
    );
    t.absent(&format!("{charts}/{}", t.name())).await
}
