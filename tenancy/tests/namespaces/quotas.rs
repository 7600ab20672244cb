//! Quotas hold.

use seal::Tier;
use serde_json::json;

use crate::bench::{Bench, home, owner, pod, pod_spec};
use crate::chain::FAR;

pub(crate) async fn a_quota_holds(bench: &Bench) {
    let (me, name) = (owner(8), home(8));
    bench.chain.stake(me, 2, FAR);
    bench.ensure_home(8, Tier::Developer).await;
    for number in 0..4 {
        bench
            .make(Some(&name), &pod(&format!("pod-{number}")))
            .await;
    }
    let refused = async |object: serde_json::Value, why: &str| {
        let said = bench.try_make(Some(&name), &object).await.unwrap_err();
        assert!(said.contains(why), "{said}");
    };
    refused(pod("one-too-many"), "exceeded quota: k3s-daas-quota").await;
    let service = |kind: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": kind.to_lowercase() },
            "spec": { "type": kind, "selector": { "app": "a" }, "ports": [{ "port": 80 }] },
        })
    };
    refused(service("LoadBalancer"), "exceeded quota: k3s-daas-quota").await;
    refused(service("NodePort"), "exceeded quota: k3s-daas-quota").await;
    bench.make(Some(&name), &service("ClusterIP")).await;

    let pods = bench.objects(Some(&name), "Pod");
    let now = kube::api::DeleteParams::default().grace_period(0);
    drop(pods.delete("pod-0", &now).await.unwrap());
    let mut system = pod("system");
    system["spec"]["priorityClassName"] = "system-node-critical".into();
    refused(system, "exceeded quota: k3s-daas-no-system-pods").await;
    let mut privileged = pod("privileged");
    privileged["spec"] = pod_spec();
    privileged["spec"]["hostNetwork"] = true.into();
    refused(privileged, "violates PodSecurity \"restricted:latest\"").await;
}
