//! What others change is repaired.

use kube::api::DeleteParams;
use seal::Tier;
use serde_json::{Value, json};

use crate::bench::{Bench, home, owner, until};
use crate::chain::FAR;

pub(crate) async fn what_is_changed_is_repaired(bench: &Bench) {
    let (me, name) = (owner(4), home(4));
    bench.chain.stake(me, 2, FAR);
    bench.ensure_home(4, Tier::Developer).await;
    let policy = async || bench.get(&name, "NetworkPolicy", "k3s-daas-default").await;

    let policies = bench.objects(Some(&name), "NetworkPolicy");
    let params = DeleteParams::default();
    drop(policies.delete("k3s-daas-default", &params).await.unwrap());
    until("a deleted policy is back", async || {
        policy().await.is_some()
    })
    .await;

    // What server-side apply would leave: a selector under which no pod falls.
    let narrowed = json!({ "spec": { "podSelector": { "matchLabels": { "a": "b" } } } });
    bench
        .patch(Some(&name), "NetworkPolicy", "k3s-daas-default", narrowed)
        .await;
    until("a narrowed policy is as it was", async || {
        policy()
            .await
            .is_some_and(|policy| policy["spec"]["podSelector"] == json!({}))
    })
    .await;

    let quota = json!({ "spec": { "hard": { "pods": "9999", "services.loadbalancers": "5" } } });
    bench
        .patch(Some(&name), "ResourceQuota", "k3s-daas-quota", quota)
        .await;
    until("a raised quota is as it was", async || {
        let quota = bench.get(&name, "ResourceQuota", "k3s-daas-quota").await;
        quota.is_some_and(|quota| {
            let hard = &quota["spec"]["hard"];
            hard["pods"] == "4" && hard["services.loadbalancers"] == "0"
        })
    })
    .await;

    let limits = json!({ "spec": { "limits": [] } });
    bench
        .patch(Some(&name), "LimitRange", "k3s-daas-defaults", limits)
        .await;
    until("emptied defaults are back", async || {
        let limits = bench.get(&name, "LimitRange", "k3s-daas-defaults").await;
        limits.is_some_and(|limits| limits["spec"]["limits"][0]["default"]["cpu"] == "500m")
    })
    .await;

    let unlabelled = json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": null } }, "subjects": [] });
    bench
        .patch(Some(&name), "RoleBinding", "k3s-daas-owner", unlabelled)
        .await;
    until("a hidden binding is found and repaired", async || {
        let binding = bench.get(&name, "RoleBinding", "k3s-daas-owner").await;
        binding.is_some_and(|binding| binding["subjects"][0]["name"] == format!("seal:{me}"))
    })
    .await;

    // Whom it binds to can't be changed, so it is made anew.
    let bindings = bench.objects(Some(&name), "RoleBinding");
    drop(bindings.delete("k3s-daas-owner", &params).await.unwrap());
    let other = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": "k3s-daas-owner", "labels": { "app.kubernetes.io/managed-by": "k3s-daas" } },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
    });
    // The controller may be faster; then there is nothing to repair.
    let _ = bench.try_make(Some(&name), &other).await;
    until("a binding to another role is made anew", async || {
        let binding = bench.get(&name, "RoleBinding", "k3s-daas-owner").await;
        binding.is_some_and(|binding| {
            binding["roleRef"]["name"] == "admin" && binding["subjects"] != Value::Null
        })
    })
    .await;

    let label = "pod-security.kubernetes.io/enforce";
    for value in [Value::Null, "privileged".into()] {
        let weakened = json!({ "metadata": { "labels": { label: value } } });
        bench.patch(None, "Namespace", &name, weakened).await;
        until("Pod Security is enforced again", async || {
            let namespace = bench.namespace(&name).await.unwrap();
            namespace
                .metadata
                .labels
                .unwrap()
                .get(label)
                .map(String::as_str)
                == Some("restricted")
        })
        .await;
    }
    let stateless = json!({ "metadata": { "labels": { "k3s-daas.io/state": null } } });
    bench.patch(None, "Namespace", &name, stateless).await;
    bench.reaches(&name, "active").await;
}
