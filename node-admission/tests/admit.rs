//! The admission webhook on a real API server: what it judges, what never reaches it, and what the
//! cluster does while it is down.
//!
//! `$K3S_BIN` or `$K3S_DAAS_CONTROL_PLANE` names the control plane (what
//! `tests/control-plane/build.sh` prints); without one the test is skipped, and says so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "admit/bench.rs"]
mod bench;

use std::time::Duration;

use bench::{Bench, Refused, note, status};
use k3s_configs::launch::testing::within;
use serde_json::json;

const DEADLINE: Duration = Duration::from_mins(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_with_the_webhook() {
    let check = async {
        let Some(mut bench) = Bench::start().await else {
            return;
        };
        it_starts_from_nothing_while_nobody_answers(&bench).await;
        bench.serve().await;
        addresses_are_judged(&bench).await;
        two_at_once_are_not_both_granted_an_address(&bench).await;
        what_does_not_change_addresses_never_arrives(&bench).await;
        what_is_written_behind_its_back_is_put_right(&bench).await;
        eprintln!("a review took {:?} on average", bench.mean_review());
        bench.silence().await;
        it_goes_on_while_nobody_answers(&bench).await;
        bench.restart().await;
        it_goes_on_while_nobody_answers(&bench).await;
        bench.serve().await;
        bench
            .until("an address is judged again", async |bench| {
                let answer = bench.kubelet("w1", note("k3s.io/internal-ip", "10.7.0.41"));
                answer.await.is_ok()
            })
            .await;
        bench.stop().await;
    };
    within(DEADLINE, Box::pin(check)).await;
}

/// The configuration is there from the first second, and nobody serves it: the control plane's node
/// joins, Nodes of seals are made, everything but a stranger's new address is written.
async fn it_starts_from_nothing_while_nobody_answers(bench: &Bench) {
    bench.in_force().await;
    let own = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "server-1"},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.7.0.1"}]}});
    bench.make_as_kubelet("server-1", &own).await.unwrap();
    bench
        .kubelet("server-1", note("k3s.io/internal-ip", "10.7.0.1"))
        .await
        .unwrap();
    for name in ["w1", "w2", "w3", "w4"] {
        bench.make_node(name).await;
    }
    it_goes_on_while_nobody_answers(bench).await;
    // K3s's cloud controller and the operator are not asked about.
    let address = status(&json!({"addresses": [{"type": "InternalIP", "address": "10.7.0.4"}]}));
    bench.operator("w4", address).await.unwrap();
}

async fn it_goes_on_while_nobody_answers(bench: &Bench) {
    bench.heartbeat("w1").await.unwrap();
    bench
        .kubelet("w1", note("example.com/note", "x"))
        .await
        .unwrap();
    bench
        .kubelet("server-1", note("k3s.io/external-ip", "10.7.0.101"))
        .await
        .unwrap();
    bench
        .operator("w1", note("example.com/other", "x"))
        .await
        .unwrap();
    // Another one each time: what does not change is not asked about.
    let refused = bench
        .kubelet("w1", note("k3s.io/internal-ip", "10.7.0.40"))
        .await
        .unwrap_err();
    assert_eq!(refused.code, 500, "{refused:?}");
    assert!(
        refused.message.contains("failed calling webhook"),
        "{refused:?}"
    );
}

async fn addresses_are_judged(bench: &Bench) {
    let internal = |address: &str| {
        status(&json!({"addresses": [
            {"type": "InternalIP", "address": address}, {"type": "Hostname", "address": "w1"}]}))
    };
    bench
        .until("a good address is written", async |bench| {
            bench.kubelet("w1", internal("10.7.0.11")).await.is_ok()
        })
        .await;
    bench
        .kubelet("w1", note("k3s.io/internal-ip", "10.7.0.11"))
        .await
        .unwrap();
    for (patch, why) in [
        (internal("10.7.0.4"), "is the address of the Node w4"),
        (internal("010.7.0.4"), "is the address of the Node w4"),
        (internal("10.7.0.1"), "is the address of the Node server-1"),
        (
            internal("10.7.0.101"),
            "is the address of the Node server-1",
        ),
        (internal("10.43.0.1"), "lies in the cluster's own range"),
        (internal("127.0.0.1"), "is a loopback address"),
        (internal("169.254.169.254"), "is a link-local address"),
        (
            note("k3s.io/internal-ip", "10.7.0.11,10.7.0.4"),
            "is the address of the Node w4",
        ),
        (
            note("k3s.io/external-ip", "10.42.1.1"),
            "lies in the cluster's own range",
        ),
        (note("k3s.io/hostname", "server-1"), "host name server-1"),
        (note("k3s.io/hostname", "w4"), "host name w4"),
        (
            note("k3s.io/internal-dns", "kubernetes.default.svc"),
            "host name kubernetes",
        ),
        (
            note("alpha.kubernetes.io/provided-node-ip", "10.7.0.4"),
            "is the address of the Node w4",
        ),
        (
            note("flannel.alpha.coreos.com/public-ip", "10.7.0.4"),
            "is the address of the Node w4",
        ),
    ] {
        let Refused {
            code,
            reason,
            message,
        } = bench.kubelet("w1", patch).await.expect_err(why);
        assert_eq!((code, reason.as_str()), (403, "Forbidden"), "{message}");
        assert!(message.contains(why), "{message}");
        assert!(message.contains("addresses.nodes.k3s-daas.io"), "{message}");
    }
    if let Some(server) = bench.advertised_address().await {
        let refused = bench.kubelet("w1", internal(&server)).await.unwrap_err();
        assert!(
            refused
                .message
                .contains("is an address of the control plane"),
            "{refused:?}"
        );
    }
    // Flannel writes as a user that all machines share.
    let public = |address: &str| note("flannel.alpha.coreos.com/public-ip", address);
    let refused = bench.shared("w2", public("10.7.0.4")).await.unwrap_err();
    assert_eq!(refused.code, 403, "{refused:?}");
    bench.shared("w2", public("10.7.0.12")).await.unwrap();
    // A Node that is gone leaves its address.
    bench.delete_node("w4").await;
    bench
        .until(
            "the address of a Node that is gone is free",
            async |bench| {
                bench
                    .kubelet("w2", note("k3s.io/internal-ip", "10.7.0.4"))
                    .await
                    .is_ok()
            },
        )
        .await;
}

async fn two_at_once_are_not_both_granted_an_address(bench: &Bench) {
    for round in 0..8 {
        let claim = note("k3s.io/external-ip", &format!("10.7.1.{round}"));
        let (one, other) = tokio::join!(
            bench.kubelet("w1", claim.clone()),
            bench.kubelet("w3", claim),
        );
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    }
}

async fn what_does_not_change_addresses_never_arrives(bench: &Bench) {
    let before = bench.reviews();
    for _ in 0..5 {
        bench.heartbeat("w1").await.unwrap();
    }
    bench
        .kubelet("w1", note("example.com/note", "y"))
        .await
        .unwrap();
    bench
        .kubelet("server-1", note("k3s.io/external-ip", "10.7.0.102"))
        .await
        .unwrap();
    let address = status(&json!({"addresses": [{"type": "InternalIP", "address": "10.7.0.13"}]}));
    bench.operator("w3", address).await.unwrap();
    assert_eq!(bench.reviews(), before);
    bench
        .kubelet("w1", note("k3s.io/external-ip", "10.7.0.111"))
        .await
        .unwrap();
    assert_eq!(bench.reviews(), before + 1);
}

async fn what_is_written_behind_its_back_is_put_right(bench: &Bench) {
    for patch in [
        json!({"webhooks": [{"name": "addresses.nodes.k3s-daas.io", "failurePolicy": "Ignore"}]}),
        json!({"webhooks": [{"name": "addresses.nodes.k3s-daas.io", "matchConditions": [
            {"name": "never", "expression": "false"}]}]}),
        json!({"webhooks": [{"name": "addresses.nodes.k3s-daas.io",
            "namespaceSelector": {"matchLabels": {"a": "b"}}}]}),
        json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "other"}}}),
        json!({"metadata": {"finalizers": ["example.com/x"]}}),
    ] {
        bench.tamper(&patch).await;
        bench.repaired().await;
    }
    bench.remove_configuration().await;
    bench.repaired().await;
}
