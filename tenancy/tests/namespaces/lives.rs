//! Lives of namespaces, from first use to deletion.

use std::time::Duration;

use seal::Tier;
use serde_json::{Value, json};

use crate::bench::{Bench, home, owner, pod, pod_spec, template, until};
use crate::chain::FAR;

/// A Deployment, a StatefulSet, a CronJob, a Job and a bare pod.
pub(crate) async fn furnish(bench: &Bench, name: &str) {
    let scaled = |kind: &str, replicas: u32| {
        json!({
            "apiVersion": "apps/v1", "kind": kind, "metadata": { "name": "web" },
            "spec": {
                "replicas": replicas, "serviceName": "web",
                "selector": { "matchLabels": { "app": "a" } }, "template": template(),
            },
        })
    };
    let job = json!({ "template": { "spec": with(pod_spec(), "restartPolicy", "Never".into()) } });
    for object in [
        scaled("Deployment", 2),
        scaled("StatefulSet", 1),
        json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": "nightly" },
            "spec": { "schedule": "0 0 1 1 *", "jobTemplate": { "spec": job } },
        }),
        json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "once" },
            "spec": with(job.clone(), "suspend", true.into()),
        }),
        pod("bare"),
    ] {
        bench.make(Some(name), &object).await;
    }
}

fn with(mut object: Value, key: &str, value: Value) -> Value {
    object[key] = value;
    object
}

async fn field(bench: &Bench, name: &str, kind: &str, object: &str, path: &str) -> Value {
    let found = bench.get(name, kind, object).await.unwrap();
    found.pointer(path).cloned().unwrap_or(Value::Null)
}

/// What `furnish` made is stopped: the Job was suspended by its owner, and stays as it was.
pub(crate) async fn is_stopped(bench: &Bench, name: &str) {
    for kind in ["Deployment", "StatefulSet"] {
        assert_eq!(
            field(bench, name, kind, "web", "/spec/replicas").await,
            0,
            "{kind}"
        );
    }
    assert_eq!(
        field(bench, name, "CronJob", "nightly", "/spec/suspend").await,
        true
    );
    let pods = bench.objects(Some(name), "Pod");
    let left = pods.list(&kube::api::ListParams::default()).await.unwrap();
    let left: Vec<_> = left
        .items
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// What `furnish` made is as it was, but for the bare pod.
pub(crate) async fn is_restored(bench: &Bench, name: &str) {
    assert_eq!(
        field(bench, name, "Deployment", "web", "/spec/replicas").await,
        2
    );
    assert_eq!(
        field(bench, name, "StatefulSet", "web", "/spec/replicas").await,
        1
    );
    assert_eq!(
        field(bench, name, "CronJob", "nightly", "/spec/suspend").await,
        false
    );
    assert_eq!(
        field(bench, name, "Job", "once", "/spec/suspend").await,
        true
    );
    for (kind, object) in [
        ("Deployment", "web"),
        ("StatefulSet", "web"),
        ("CronJob", "nightly"),
    ] {
        let annotations = field(bench, name, kind, object, "/metadata/annotations").await;
        assert!(
            !annotations.to_string().contains("k3s-daas.io"),
            "{annotations}"
        );
    }
}

async fn pods_hard(bench: &Bench, name: &str) -> Value {
    field(
        bench,
        name,
        "ResourceQuota",
        "k3s-daas-quota",
        "/spec/hard/pods",
    )
    .await
}

pub(crate) async fn from_first_use_to_deletion(bench: &Bench) {
    let (me, name) = (owner(1), home(1));
    bench.chain.stake(me, 2, FAR);
    assert_eq!(bench.ensure_home(1, Tier::Developer).await, name);
    assert_eq!(
        bench.state(&name).await,
        "active",
        "complete when it is told"
    );
    for (kind, object) in [
        ("ResourceQuota", "k3s-daas-quota"),
        ("ResourceQuota", "k3s-daas-no-system-pods"),
        ("LimitRange", "k3s-daas-defaults"),
        ("NetworkPolicy", "k3s-daas-default"),
        ("RoleBinding", "k3s-daas-owner"),
    ] {
        assert!(bench.get(&name, kind, object).await.is_some(), "{object}");
    }
    furnish(bench, &name).await;

    bench.chain.slash(me);
    bench.reaches(&name, "ended").await;
    until("the pod quota is 0", async || {
        pods_hard(bench, &name).await == "0"
    })
    .await;
    let refused = bench.try_make(Some(&name), &pod("late")).await.unwrap_err();
    assert!(refused.contains("exceeded quota"), "{refused}");
    let deployment = field(bench, &name, "Deployment", "web", "/spec/replicas").await;
    assert_eq!(deployment, 2, "workloads run on in the grace");

    bench.reaches(&name, "stopped").await;
    is_stopped(bench, &name).await;

    bench.chain.stake(me, 2, FAR);
    bench.reaches(&name, "active").await;
    is_restored(bench, &name).await;
    assert_eq!(pods_hard(bench, &name).await, "4");
    let annotations = bench
        .namespace(&name)
        .await
        .unwrap()
        .metadata
        .annotations
        .unwrap();
    assert_eq!(annotations.len(), 1, "the owner alone: {annotations:?}");
    let reasons = bench.reasons(&name).await;
    assert_eq!(reasons, ["SealBack", "SealEnded", "WorkloadsStopped"]);

    bench.chain.slash(me);
    bench.reaches(&name, "stopped").await;
    bench.reaches(&name, "gone").await;

    // A new stake after that is a new beginning.
    bench.chain.stake(me, 2, FAR);
    bench.ensure_home(1, Tier::Developer).await;
    assert_eq!(bench.state(&name).await, "active");
}

pub(crate) async fn what_cant_be_read_changes_nothing(bench: &Bench) {
    let (me, name) = (owner(2), home(2));
    bench.chain.stake(me, 2, FAR);
    bench.ensure_home(2, Tier::Developer).await;
    let before = bench
        .namespace(&name)
        .await
        .unwrap()
        .metadata
        .resource_version;
    bench.chain.hide(me);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = bench
        .namespace(&name)
        .await
        .unwrap()
        .metadata
        .resource_version;
    assert_eq!(before, after);

    // Neither does it move an end on.
    bench.chain.slash(me);
    bench.reaches(&name, "ended").await;
    bench.chain.hide(me);
    tokio::time::sleep(crate::bench::GRACE + Duration::from_secs(2)).await;
    assert_eq!(bench.state(&name).await, "ended");
    bench.chain.slash(me);
    bench.reaches(&name, "stopped").await;
    bench.chain.stake(me, 2, FAR);
    bench.reaches(&name, "active").await;
}

pub(crate) async fn a_tier_changes_the_quota_and_an_expiry_is_told(bench: &Bench) {
    let (me, name) = (owner(3), home(3));
    bench.chain.stake(me, 2, FAR);
    bench.ensure_home(3, Tier::Developer).await;
    bench.chain.stake(me, 5, FAR);
    until("the quota is an admin's", async || {
        pods_hard(bench, &name).await == "9"
    })
    .await;
    // Expires in the time of the first warning; the second comes 833 ms before the end.
    bench.chain.stake(me, 2, 6_000);
    until("the quota is a developer's", async || {
        pods_hard(bench, &name).await == "4"
    })
    .await;
    bench.reaches(&name, "ended").await;
    let mut reasons = bench.reasons(&name).await;
    reasons.retain(|reason| reason != "WorkloadsStopped");
    assert_eq!(
        reasons,
        [
            "QuotaChanged",
            "QuotaChanged",
            "SealEnded",
            "SealEnding",
            "SealEnding"
        ]
    );
    bench.chain.stake(me, 2, FAR);
    bench.reaches(&name, "active").await;
}
