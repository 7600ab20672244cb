//! Nodes whose seals are usable, that can't be asked about, or that are others'.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, PostParams};
use node_admission::NodeSettings;
use node_admission::sealed_node::{NodeState, SealedNode, SealedNodeSpec};
use seal::{Mist, SealStatus, UnixMillis, identity};
use serde_json::json;

use crate::bench::{Bench, GRACE, settings, until};
use crate::chain::{FAR, owner};

fn taints(node: &Node) -> Vec<String> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone());
    let mut taints: Vec<String> = taints
        .unwrap_or_default()
        .into_iter()
        .map(|taint| {
            format!(
                "{}={}:{}",
                taint.key,
                taint.value.unwrap_or_default(),
                taint.effect
            )
        })
        // The node controllers have taints of their own.
        .filter(|taint| !taint.starts_with("node."))
        .collect();
    taints.sort();
    taints
}

pub(crate) async fn a_missing_node_is_made_again_with_its_agents_taints(bench: &Bench) {
    let node = "missing";
    bench.joined(node, 20).await;
    let args = json!([
        "agent",
        "--node-taint",
        "gpu=yes:NoSchedule",
        "--node-taint=slow:NoExecute"
    ]);
    let args = json!({ "metadata": {
        "annotations": { "k3s.io/node-args": args.to_string(), "k3s.io/internal-ip": "10.99.9.9" },
        "labels": { "kubernetes.io/hostname": node, "rack": "7" },
    } });
    bench.patch_node(node, args).await;
    let expected = ["gpu=yes:NoSchedule", "slow=:NoExecute"];
    until("the agent's taints are carried over", async || {
        taints(&bench.node(node).await.unwrap()) == expected
    })
    .await;
    until("and known", async || {
        bench.status(node).await.agent_taints.len() == 2
    })
    .await;
    // Who takes one off has a reason.
    let only = json!({ "spec": { "taints": [
        { "key": "gpu", "value": "yes", "effect": "NoSchedule" },
    ] } });
    bench.patch_node(node, only).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let found = bench.node(node).await.unwrap();
    assert_eq!(taints(&found), ["gpu=yes:NoSchedule"]);

    bench.delete_node(node).await;
    until("it is made again", async || {
        let after = bench.node(node).await;
        after.is_some_and(|after| after.metadata.uid != found.metadata.uid)
    })
    .await;
    let after = bench.node(node).await.unwrap();
    assert_eq!(taints(&after), expected);
    // What an agent says at its start alone is there again: K3s completes no Node without it.
    let annotations = after.metadata.annotations.unwrap();
    assert_eq!(annotations["k3s.io/internal-ip"], "10.99.9.9");
    assert_eq!(after.metadata.labels.unwrap()["rack"], "7");
    let all = after.spec.unwrap().taints.unwrap();
    let cloud = "node.cloudprovider.kubernetes.io/uninitialized";
    assert!(all.iter().any(|taint| taint.key == cloud));
}

pub(crate) async fn what_cant_be_read_changes_nothing(bench: &Bench) {
    for node in ["hidden", "hidden-cut", "hidden-draining"] {
        bench.joined(node, 21).await;
    }
    bench.pod("hidden-web", "hidden", "c", json!({})).await;
    bench.chain.set("hidden-cut", SealStatus::Slashed);
    bench.is_cut("hidden-cut").await;
    // Something that no look ends.
    bench
        .pod(
            "hidden-draining",
            "hidden-draining",
            "c",
            json!({ "finalizers": ["example.com/held"] }),
        )
        .await;
    bench.chain.expire("hidden-draining");
    bench.reaches("hidden-draining", NodeState::Draining).await;
    // Whatever the directory tells of, nobody can look it up.
    for node in ["hidden", "hidden-draining", "hidden-cut"] {
        bench.chain.hide(node);
    }
    bench.chain.expire("hidden");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let kept = bench.versions("hidden").await;
    let cut = bench.versions("hidden-cut").await;
    // Far beyond the end of a grace, and with looks in between.
    tokio::time::sleep(GRACE + Duration::from_secs(3)).await;
    bench.chain.tell_of("hidden");
    bench.chain.tell_of("hidden-cut");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.versions("hidden").await, kept);
    assert_eq!(bench.versions("hidden-cut").await, cut);
    assert_eq!(bench.pods_of("hidden").await, ["hidden-web"]);
    let draining = bench.status("hidden-draining").await;
    assert_eq!(draining.state, NodeState::Draining, "nobody is cut unasked");
    assert!(bench.node("hidden-draining").await.is_some());

    // It can be read again, and nobody tells.
    for node in ["hidden", "hidden-draining", "hidden-cut"] {
        bench.chain.unhide(node);
    }
    bench.reaches("hidden-draining", NodeState::Cut).await;
    bench.is_cut("hidden").await;
    assert_eq!(bench.status("hidden-cut").await.state, NodeState::Cut);
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
        kube::Api::namespaced(bench.client.clone(), crate::bench::PODS);
    let free = kube::api::Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    let params = kube::api::PatchParams::default();
    let _ = pods.patch("hidden-draining", &params, &free).await;
}

pub(crate) async fn nodes_of_others_are_left_alone(bench: &Bench) {
    let nodes = bench.kube_nodes();
    let record = |number| {
        let seal = owner(number).to_string();
        json!({ identity::ANNOTATION_SEAL: seal, identity::ANNOTATION_OWNER: seal })
    };
    // One that joined with a static token, one of another owner's, one of the control plane.
    for (name, annotations) in [
        ("static", json!({})),
        ("anothers", record(98)),
        ("master", record(22)),
    ] {
        bench.chain.stake(name, 22, FAR);
        let node = json!({ "metadata": { "name": name, "annotations": annotations } });
        let node = serde_json::from_value(node).unwrap();
        nodes.create(&PostParams::default(), &node).await.unwrap();
        bench
            .pod(&format!("{name}-web"), name, "d", json!({}))
            .await;
        let record = bench.chain.record(name);
        let spec = SealedNodeSpec {
            owner: record.owner.to_string(),
            seal_id: record.seal_id.to_string(),
            credential_hash: bench.chain.hash(name).to_string(),
        };
        let all = bench.sealed_nodes();
        let sealed = SealedNode::new(name, spec);
        all.create(&PostParams::default(), &sealed).await.unwrap();
        bench.patch_status(name, json!({ "state": "Active" })).await;
    }
    for name in ["static", "anothers"] {
        until("it is said that the name is taken", async || {
            bench.condition(name, "Joined").await == "False"
        })
        .await;
    }
    let mut before = Vec::new();
    for name in ["static", "anothers", "master"] {
        let node = bench.node(name).await.unwrap();
        before.push((node.metadata.annotations, node.metadata.uid));
        bench.chain.set(name, SealStatus::Slashed);
    }
    bench.reaches("static", NodeState::Cut).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (name, before) in ["static", "anothers", "master"].into_iter().zip(before) {
        let node = bench.node(name).await.unwrap();
        assert!(crate::bench::our_taints(&node).is_empty(), "{name}");
        assert_ne!(node.spec.unwrap().unschedulable, Some(true), "{name}");
        assert_eq!(
            (node.metadata.annotations, node.metadata.uid),
            before,
            "{name}"
        );
        assert_eq!(bench.pods_of(name).await.len(), 1, "{name}");
    }
    assert_eq!(bench.status("master").await.state, NodeState::Active);
}

pub(crate) async fn a_lost_sealed_node_is_made_again(bench: &Bench) {
    let node = "lost";
    bench.joined(node, 23).await;
    let uid = bench.node(node).await.unwrap().metadata.uid;
    let all = bench.sealed_nodes();
    let deleted = all.delete(node, &DeleteParams::default()).await;
    drop(deleted.unwrap());
    bench.is_open(node).await;
    assert_eq!(bench.node(node).await.unwrap().metadata.uid, uid);
    let sealed = bench.sealed(node).await.unwrap();
    assert_eq!(
        sealed.spec.credential_hash,
        bench.chain.hash(node).to_string()
    );
}

pub(crate) async fn the_seal_is_told_and_its_end_is_warned_of(bench: &Bench) {
    let node = "told";
    bench.joined(node, 24).await;
    bench
        .chain
        .change(node, |record| record.stake = Mist(6 * Mist::PER_SUI));
    until("the stake is told", async || {
        let annotations = bench
            .node(node)
            .await
            .unwrap()
            .metadata
            .annotations
            .unwrap();
        annotations[identity::ANNOTATION_TIER] == "admin"
            && annotations[identity::ANNOTATION_STAKE] == "6000000000"
    })
    .await;
    // A refresh: another seal of the same owner, and the same Node.
    let before = bench.node(node).await.unwrap();
    let hash = bench.chain.refresh(node, 24);
    until("the spec follows the claim", async || {
        let sealed = bench.sealed(node).await.unwrap();
        sealed.spec.credential_hash == hash.to_string()
    })
    .await;
    bench.is_open(node).await;
    let after = bench.node(node).await.unwrap();
    assert_eq!(after.metadata.uid, before.metadata.uid);
    assert!(bench.reasons(node).await.is_empty(), "nothing happened");
    // Within the time of the first warning; the second comes 833 ms before the end.
    let end = UnixMillis(seal_end(bench));
    bench.chain.change(node, |record| record.expires_at = end);
    bench.is_cut(node).await;
    until("it was told", async || {
        let expected = [
            "SealEnding",
            "SealEnding",
            "SealEndedCut",
            "SealEndedDraining",
        ];
        let mut expected = expected.map(str::to_owned);
        expected.sort();
        bench.reasons(node).await == expected
    })
    .await;
}

fn seal_end(bench: &Bench) -> u64 {
    use sui_ledger::directory::SealDirectory;
    bench.chain.now().0 + 3_000
}

pub(crate) async fn trust_follows_the_operators_list(bench: &Bench) {
    let label = async |name: &str| {
        let labels = bench.node(name).await.unwrap().metadata.labels;
        labels.and_then(|labels| labels.get(identity::LABEL_TRUST).cloned())
    };
    bench.joined("trusted", 25).await;
    assert_eq!(label("trusted").await, None);
    // Nodes that did not join with a seal may be listed too.
    bench.nodes.replace_settings(NodeSettings {
        trusted_nodes: ["trusted".to_owned(), "static".to_owned()].into(),
        ..settings()
    });
    for name in ["trusted", "static"] {
        until("it is trusted", async || {
            label(name).await.as_deref() == Some(identity::TRUST_OPERATOR)
        })
        .await;
    }
    bench.nodes.replace_settings(settings());
    for name in ["trusted", "static"] {
        until("it is not any longer", async || label(name).await.is_none()).await;
    }
}
