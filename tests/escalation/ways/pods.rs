//! Pods that reach their node, another pod's rights, or the control plane.

use std::time::Duration;

use seal::access::DenyReason::{BeyondTier, NotYours, ProtectedExec, ProtectedWrite};
use seal::access::Silence;
use serde_json::{Value, json};

use super::{ADMIN, BELOW_SUPER, SMALL, Tried, WORKERS};
use crate::attempt::{Attempt, with_name};
use crate::stage::{COMMONS, NODE};
use crate::stopper::{Stopper, denied, guard, silent};

ways! {
    "a privileged container", BELOW_SUPER => privileged;
    "a container as root, or with more capabilities", WORKERS => capabilities;
    "a hostPath volume", BELOW_SUPER => host_path;
    "the node's network, processes, IPC or ports", WORKERS => host_namespaces;
    "a privileged pod where nobody owns the namespace", ADMIN => privileged_in_commons;
    "a privileged pod by way of a Deployment", WORKERS => privileged_deployment;
    "a privileged ephemeral container", WORKERS => ephemeral;
    "a privileged static pod's mirror", WORKERS => mirror;
    "a pod of a system priority class", WORKERS => system_priority;
    "a pod with somebody else's service account", WORKERS => foreign_account;
    "a pod in kube-system", BELOW_SUPER => pod_in_kube_system;
    "a workload in kube-system", BELOW_SUPER => workload_in_kube_system;
    "a pod in somebody else's namespace", SMALL => pod_elsewhere;
    "binding a pod to a node oneself", WORKERS => bind_pod;
    "a pod's status with the address of a control-plane service", BELOW_SUPER => pod_ip;
    "exec, attach, port-forward and proxy into kube-system", BELOW_SUPER => exec_system;
    "exec into somebody else's pod", SMALL => exec_victim;
    "the API server by services/proxy in default", BELOW_SUPER => service_proxy;
    "evicting pods of kube-system", SMALL => evict;
    "pods with a device's admin access", WORKERS => device_admin;
    "kubectl debug of a node", BELOW_SUPER => debug_node;
}

fn pod(spec: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "c",
                "image": "x",
                "securityContext": {
                    "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    });
    merge(&mut pod["spec"], spec);
    pod
}

/// Lists merge item by item.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) if into.len() == from.len() => {
            for (into, value) in into.iter_mut().zip(from) {
                merge(into, value);
            }
        }
        (into, from) => *into = from,
    }
}

fn security(context: Value) -> Value {
    json!({"containers": [{"securityContext": context}]})
}

fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

/// A harmless pod at home; gives its path.
async fn harmless(t: &Attempt<'_>) -> anyhow::Result<String> {
    let pod = with_name(pod(json!({})), &t.name());
    t.works(&t.client().post(&pods(t.home()), &pod).await?);
    Ok(format!("{}/{}", pods(t.home()), t.name()))
}

/// The quota on pods is for the other ways too.
async fn clear(t: &Attempt<'_>, path: &str) -> Tried {
    t.works(
        &t.client()
            .delete(&format!("{path}?gracePeriodSeconds=0"))
            .await?,
    );
    Ok(())
}

async fn privileged(t: &Attempt<'_>) -> Tried {
    let privileged = security(json!({"privileged": true, "allowPrivilegeEscalation": true}));
    let expected = t.at_home(Stopper::PodSecurity);
    t.create(&pods(t.home()), pod(privileged), expected).await
}

async fn capabilities(t: &Attempt<'_>) -> Tried {
    for context in [
        json!({"capabilities": {"add": ["SYS_ADMIN"]}}),
        json!({"capabilities": {"add": ["NET_RAW"]}}),
        json!({"runAsUser": 0}),
        json!({"allowPrivilegeEscalation": true}),
        json!({"seccompProfile": {"type": "Unconfined"}}),
    ] {
        let pod = pod(security(context));
        t.create(&pods(t.home()), pod, Stopper::PodSecurity).await?;
    }
    let path = harmless(t).await?;
    clear(t, &path).await
}

async fn host_path(t: &Attempt<'_>) -> Tried {
    let volume = json!({"volumes": [{"name": "v", "hostPath": {"path": "/var/lib/rancher"}}]});
    t.create(
        &pods(t.home()),
        pod(volume),
        t.at_home(Stopper::PodSecurity),
    )
    .await
}

async fn host_namespaces(t: &Attempt<'_>) -> Tried {
    for spec in [
        json!({"hostNetwork": true}),
        json!({"hostPID": true}),
        json!({"hostIPC": true}),
        json!({"containers": [{"ports": [{"containerPort": 80, "hostPort": 80}]}]}),
    ] {
        t.create(&pods(t.home()), pod(spec), Stopper::PodSecurity)
            .await?;
    }
    Ok(())
}

async fn privileged_in_commons(t: &Attempt<'_>) -> Tried {
    for spec in [
        security(json!({"privileged": true, "allowPrivilegeEscalation": true})),
        json!({"hostNetwork": true}),
        json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
    ] {
        t.create(&pods(COMMONS), pod(spec), Stopper::PodSecurity)
            .await?;
    }
    Ok(())
}

async fn privileged_deployment(t: &Attempt<'_>) -> Tried {
    let path = format!("/apis/apps/v1/namespaces/{}/deployments", t.home());
    let labels = json!({"way": t.name()});
    let mut template = pod(security(
        json!({"privileged": true, "allowPrivilegeEscalation": true}),
    ));
    template["metadata"] = json!({"labels": labels});
    let deployment = json!({
        "metadata": {"name": t.name()},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    });
    t.works(&t.client().post(&path, &deployment).await?);
    let one = format!("{path}/{}", t.name());
    let mut message = String::new();
    for _ in 0..100 {
        let found = t.client().get(&one).await?;
        let conditions = found.field("/status/conditions").as_array().cloned();
        let failure = conditions
            .unwrap_or_default()
            .into_iter()
            .find(|condition| condition["type"] == "ReplicaFailure");
        if let Some(failure) = failure {
            message = failure["message"].as_str().unwrap_or_default().to_owned();
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    if message.contains("violates PodSecurity") {
        t.stopped_by(Stopper::PodSecurity);
    }
    let selector = format!("{}?labelSelector=way%3D{}", pods(t.home()), t.name());
    let made = t.stage.operator.get(&selector).await?;
    let none = made.field("/items").as_array().is_some_and(Vec::is_empty);
    t.proof(none, "no such pod exists");
    t.works(&t.client().delete(&one).await?);
    Ok(())
}

async fn ephemeral(t: &Attempt<'_>) -> Tried {
    let path = harmless(t).await?;
    let container = json!({"spec": {"ephemeralContainers": [{
        "name": "e", "image": "x", "securityContext": {"privileged": true},
    }]}});
    let answer = t
        .client()
        .patch(&format!("{path}/ephemeralcontainers"), &container)
        .await?;
    t.stopped(&answer, &Stopper::PodSecurity);
    let after = t.stage.operator.get(&path).await?;
    t.proof(
        after.field("/spec/ephemeralContainers").is_null(),
        "the pod has no such container",
    );
    clear(t, &path).await
}

async fn mirror(t: &Attempt<'_>) -> Tried {
    let mut mirror = pod(security(
        json!({"privileged": true, "allowPrivilegeEscalation": true}),
    ));
    mirror["metadata"] = json!({"annotations": {
        "kubernetes.io/config.mirror": "x", "kubernetes.io/config.source": "file",
    }});
    mirror["spec"]["nodeName"] = NODE.into();
    t.create(&pods(t.home()), mirror, Stopper::PodSecurity)
        .await
}

async fn system_priority(t: &Attempt<'_>) -> Tried {
    for class in ["system-node-critical", "system-cluster-critical"] {
        let pod = pod(json!({"priorityClassName": class}));
        t.create(&pods(t.home()), pod, guard("k3s-daas-workloads"))
            .await?;
    }
    Ok(())
}

async fn foreign_account(t: &Attempt<'_>) -> Tried {
    let pod = pod(json!({"serviceAccountName": "the-operator"}));
    t.create(&pods(t.home()), pod, Stopper::Plugin("ServiceAccount"))
        .await
}

async fn pod_in_kube_system(t: &Attempt<'_>) -> Tried {
    t.create(&pods("kube-system"), pod(json!({})), denied(ProtectedWrite))
        .await?;
    t.create(&pods("default"), pod(json!({})), denied(ProtectedWrite))
        .await
}

async fn workload_in_kube_system(t: &Attempt<'_>) -> Tried {
    let labels = json!({"way": t.name()});
    let mut template = pod(json!({"serviceAccountName": "the-operator"}));
    template["metadata"] = json!({"labels": labels});
    for (group, kinds) in [("apps", "daemonsets"), ("apps", "deployments")] {
        let path = format!("/apis/{group}/v1/namespaces/kube-system/{kinds}");
        let workload = json!({"spec": {
            "selector": {"matchLabels": labels}, "template": template,
        }});
        t.create(&path, workload, denied(ProtectedWrite)).await?;
    }
    let jobs = "/apis/batch/v1/namespaces/kube-system/jobs";
    t.create(
        jobs,
        json!({"spec": {"template": template}}),
        denied(ProtectedWrite),
    )
    .await
}

async fn pod_elsewhere(t: &Attempt<'_>) -> Tried {
    let theirs = pods(&t.stage.victim.home);
    t.create(&theirs, pod(json!({})), denied(NotYours)).await?;
    t.create(&pods(COMMONS), pod(json!({})), silent(Silence::NotGranted))
        .await
}

async fn bind_pod(t: &Attempt<'_>) -> Tried {
    let path = harmless(t).await?;
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {"name": t.name()},
        "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
    });
    let at_pod = format!("{path}/binding");
    t.post(&at_pod, binding.clone(), denied(BeyondTier)).await?;
    let bindings = format!("/api/v1/namespaces/{}/bindings", t.home());
    t.post(&bindings, binding, denied(BeyondTier)).await?;
    let after = t.stage.operator.get(&path).await?;
    t.proof(
        after.field("/spec/nodeName").is_null(),
        "the pod is on no node",
    );
    clear(t, &path).await
}

async fn pod_ip(t: &Attempt<'_>) -> Tried {
    let ip = json!({"status": {"podIP": "10.43.0.1", "podIPs": [{"ip": "10.43.0.1"}]}});
    if t.tier < seal::Tier::Developer {
        let path = format!("{}/any/status", pods(t.home()));
        t.patch(&path, ip, denied(NotYours)).await?;
        return t.cannot(t.client(), t.home(), &["patch pods/status"]).await;
    }
    let path = harmless(t).await?;
    t.patch(&format!("{path}/status"), ip, denied(BeyondTier))
        .await?;
    let after = t.stage.operator.get(&path).await?;
    t.proof(
        after.field("/status/podIP").is_null(),
        "the pod has no address",
    );
    clear(t, &path).await
}

async fn exec_system(t: &Attempt<'_>) -> Tried {
    let pod = format!("{}/coredns", pods("kube-system"));
    for what in ["exec?command=id", "attach", "portforward", "proxy/"] {
        t.get(&format!("{pod}/{what}"), denied(ProtectedExec))
            .await?;
        t.post(&format!("{pod}/{what}"), Value::Null, denied(ProtectedExec))
            .await?;
    }
    let what = ["create pods/exec", "get pods/exec", "get pods/proxy"];
    t.cannot(t.client(), "kube-system", &what).await
}

async fn exec_victim(t: &Attempt<'_>) -> Tried {
    let pod = format!("{}/any", pods(&t.stage.victim.home));
    for what in ["exec?command=id", "attach", "log", "proxy/"] {
        t.get(&format!("{pod}/{what}"), denied(NotYours)).await?;
    }
    let what = ["create pods/exec", "get pods/log"];
    t.cannot(t.client(), &t.stage.victim.home, &what).await
}

async fn service_proxy(t: &Attempt<'_>) -> Tried {
    for path in [
        "/api/v1/namespaces/default/services/https:kubernetes:443/proxy/api/v1/secrets",
        "/api/v1/namespaces/kube-system/services/kube-dns:9153/proxy/metrics",
    ] {
        t.get(path, denied(ProtectedExec)).await?;
    }
    t.cannot(t.client(), "default", &["get services/proxy"])
        .await
}

async fn evict(t: &Attempt<'_>) -> Tried {
    let path = format!("{}/coredns/eviction", pods("kube-system"));
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "coredns"},
    });
    t.post(&path, eviction, denied(ProtectedWrite)).await?;
    t.cannot(
        t.client(),
        "kube-system",
        &["create pods/eviction", "delete pods"],
    )
    .await
}

async fn device_admin(t: &Attempt<'_>) -> Tried {
    let path = format!(
        "/apis/resource.k8s.io/v1/namespaces/{}/resourceclaims",
        t.home()
    );
    let claim = json!({"spec": {"devices": {"requests": [{
        "name": "d", "exactly": {"deviceClassName": "any", "adminAccess": true},
    }]}}});
    t.create(&path, claim, Stopper::Validation).await
}

async fn debug_node(t: &Attempt<'_>) -> Tried {
    let target = format!("node/{NODE}");
    let words = [
        "debug",
        &target,
        "--image=x",
        "--profile=sysadmin",
        "-n",
        "kube-system",
    ];
    let reply = crate::client::kubectl(t, &words).await?;
    t.stopped(&reply, &denied(ProtectedWrite));
    let all = t.stage.operator.get(&pods("kube-system")).await?;
    let found = all.text.contains("node-debugger");
    t.proof(!found, "no such pod exists");
    Ok(())
}
