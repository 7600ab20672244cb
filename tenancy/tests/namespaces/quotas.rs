//! Quotas hold.

use seal::Tier;
use serde_json::json;

use crate::bench::{Bench, home, owner, pod, until};
use crate::chain::FAR;

pub(crate) async fn a_quota_holds(bench: &Bench) {
    let (me, name) = (owner(8), home(8));
    bench.chain.stake(me, 2, FAR);
    bench.ensure_home(8, Tier::Developer).await;
    let refused = async |object: serde_json::Value, why: &str| {
        // Before its first count a quota refuses all that it counts, for another reason. And
        // Kubernetes counts what its informer has seen: a count that lags behind lets one too many
        // in, and is made good when that one is deleted.
        let what = format!("{} is refused: {why}", object["metadata"]["name"]);
        until(&what, async || {
            if let Err(said) = bench.try_make(Some(&name), &object).await {
                return said.contains(why);
            }
            bench.unmake(&name, &object).await;
            false
        })
        .await;
    };
    bench.make(Some(&name), &pod("pod-0")).await;
    let mut system = pod("system");
    system["spec"]["priorityClassName"] = "system-node-critical".into();
    refused(system, "exceeded quota: k3s-daas-no-system-pods").await;
    let mut privileged = pod("privileged");
    privileged["spec"]["hostNetwork"] = true.into();
    refused(privileged, "violates PodSecurity \"restricted:latest\"").await;
    for number in 1..4 {
        bench
            .make(Some(&name), &pod(&format!("pod-{number}")))
            .await;
    }
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
}
