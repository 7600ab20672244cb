//! Nodes: made, ended, reached into, relabelled.

use seal::access::DenyReason::{NodeInternals, NodeLifecycle};
use seal::access::Silence::NotGranted;
use serde_json::{Value, json};

use super::{BELOW_SUPER, SMALL, Tried};
use crate::attempt::Attempt;
use crate::stage::NODE;
use crate::stopper::{denied, silent};

ways! {
    "making a Node", BELOW_SUPER => make;
    "deleting a Node, or all", BELOW_SUPER => delete;
    "the kubelet's API by nodes/proxy", BELOW_SUPER => proxy;
    "a node's logs and configuration", BELOW_SUPER => logs;
    "a Node's status: addresses, capacity", BELOW_SUPER => status;
    "labels and taints of Nodes", SMALL => labels;
}

fn node() -> String {
    format!("/api/v1/nodes/{NODE}")
}

async fn make(t: &Attempt<'_>) -> Tried {
    t.create("/api/v1/nodes", json!({}), denied(NodeLifecycle))
        .await
}

async fn delete(t: &Attempt<'_>) -> Tried {
    t.delete("/api/v1/nodes", denied(NodeLifecycle)).await?;
    t.remove(&node(), denied(NodeLifecycle)).await
}

async fn proxy(t: &Attempt<'_>) -> Tried {
    for path in [
        format!("{}/proxy/pods", node()),
        format!("{}/proxy/", node()),
        format!("{}:10250/proxy/runningpods/", node()),
        format!("/api/v1/nodes/https:{NODE}:10250/proxy/exec/a/b/c?command=id"),
        format!("/api/v1/proxy/nodes/{NODE}/pods"),
    ] {
        let answer = t.client().get(&path).await?;
        // The last is a spelling of Kubernetes 1.5, whose verb is `proxy` to this day.
        let expected = if path.starts_with("/api/v1/proxy") {
            denied(NodeLifecycle)
        } else {
            denied(NodeInternals)
        };
        t.stopped(&answer, &expected);
    }
    let exec = format!("{}/proxy/run/a/b/c?cmd=id", node());
    t.post(&exec, Value::Null, denied(NodeInternals)).await?;
    t.cannot(t.client(), "", &["get nodes/proxy", "create nodes/proxy"])
        .await
}

async fn logs(t: &Attempt<'_>) -> Tried {
    for what in ["log", "configz", "proxy/logs/", "proxy/configz"] {
        t.get(&format!("{}/{what}", node()), denied(NodeInternals))
            .await?;
    }
    t.cannot(t.client(), "", &["get nodes/log", "get nodes/configz"])
        .await
}

async fn status(t: &Attempt<'_>) -> Tried {
    let before = t.stage.operator.get(&node()).await?;
    let patch = json!({"status": {"addresses": [{"type": "InternalIP", "address": "10.43.0.1"}]}});
    t.patch(&format!("{}/status", node()), patch, silent(NotGranted))
        .await?;
    let after = t.stage.operator.get(&node()).await?;
    let same = before.field("/status/addresses") == after.field("/status/addresses");
    t.proof(same, "the Node's addresses are unchanged");
    Ok(())
}

async fn labels(t: &Attempt<'_>) -> Tried {
    let patch = json!({
        "metadata": {"labels": {"node-restriction.kubernetes.io/k3s-daas-trust": "operator"}},
        "spec": {"taints": []},
    });
    t.change(&node(), patch, silent(NotGranted)).await
}
