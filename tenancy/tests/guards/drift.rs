//! What is changed behind the keeper's back is noticed, said, and put right.

use std::time::{Duration, Instant};

use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicyBinding, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tenancy::guards::{GuardSettings, Standing};

use super::bench::{Bench, settings};
use super::cases::egress::{NAMELESS, policy};
use super::cases::{Row, check};
use super::requests::{ADMIN, Answer, DEVELOPER, create};

const NOTICED: Duration = Duration::from_secs(5);
const REPAIRED: Duration = Duration::from_secs(20);

pub(crate) async fn run(bench: &Bench) {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(bench.admin.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(bench.admin.clone());
    let params = PatchParams::default();

    let before = bench.repairs();
    policies
        .delete("k3s-daas-nodes", &DeleteParams::default())
        .await
        .unwrap();
    repaired(bench, "a policy deleted").await;
    bindings
        .delete("k3s-daas-nodes", &DeleteParams::default())
        .await
        .unwrap();
    repaired(bench, "a binding deleted").await;
    assert!(bench.repairs() >= before + 2);

    let weakenings: [(&str, Value); 6] = [
        (
            "an action that only warns",
            json!({"spec": {"validationActions": ["Warn"]}}),
        ),
        (
            "a selector of namespaces",
            json!({"spec": {"matchResources": {"namespaceSelector": {"matchLabels": {"a": "b"}}}}}),
        ),
        (
            "a label gone",
            json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}}),
        ),
        (
            "a label changed",
            json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "other"}}}),
        ),
        (
            "an owner that is not there",
            json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1"}]}}),
        ),
        (
            "a finalizer",
            json!({"metadata": {"finalizers": ["example.com/x"]}}),
        ),
    ];
    for (what, change) in weakenings {
        bindings
            .patch("k3s-daas-egress", &params, &Patch::Merge(&change))
            .await
            .unwrap();
        repaired(bench, what).await;
    }
    let before = policies.get("k3s-daas-egress").await.unwrap();
    let condition = json!([{"op": "add", "path": "/spec/matchConditions/-",
        "value": {"name": "never", "expression": "false"}}]);
    let exclusion = json!([{"op": "add", "path": "/spec/matchConstraints/excludeResourceRules",
        "value": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]}]);
    let ignoring = json!([{"op": "replace", "path": "/spec/failurePolicy", "value": "Ignore"}]);
    let blunt = json!([{"op": "remove", "path": "/spec/validations/2"}]);
    for (what, change) in [
        ("a condition added", condition),
        ("an exclusion added", exclusion),
        ("faults ignored", ignoring),
        ("a check removed", blunt),
    ] {
        let change = serde_json::from_value(change).unwrap();
        policies
            .patch("k3s-daas-egress", &params, &Patch::Json::<()>(change))
            .await
            .unwrap();
        repaired(bench, what).await;
        assert_eq!(
            policies.get("k3s-daas-egress").await.unwrap().spec,
            before.spec,
            "{what}"
        );
    }

    settings_change(bench).await;
    a_restart_is_quick(bench).await;
    without_mending(bench).await;
    from_nothing(bench).await;
}

/// Where the API server mends nothing, an open rule is refused.
async fn without_mending(bench: &Bench) {
    bench.pause();
    let bindings: Api<MutatingAdmissionPolicyBinding> = Api::all(bench.admin.clone());
    let name = "k3s-daas-open-egress";
    bindings
        .delete(name, &DeleteParams::default())
        .await
        .unwrap();
    let path = "/apis/networking.k8s.io/v1/namespaces/seal-1111111111111111/networkpolicies";
    let client = bench.acting_as(DEVELOPER.user, DEVELOPER.groups);
    let started = Instant::now();
    let message = loop {
        match create(path, policy(&json!([{}]))).send(&client).await {
            Answer::No { message, .. } => break message,
            Answer::Yes(_) => assert!(started.elapsed() < NOTICED * 2),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(
        message.contains("'k3s-daas-egress'") && message.ends_with(NAMELESS),
        "{message}"
    );
    bench.resume();
    bench.in_place_within(REPAIRED).await;
}

/// How long a first installation takes.
async fn from_nothing(bench: &Bench) {
    bench.pause();
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(bench.admin.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(bench.admin.clone());
    let (all, params) = (ListParams::default(), DeleteParams::default());
    bindings.delete_collection(&params, &all).await.unwrap();
    policies.delete_collection(&params, &all).await.unwrap();
    // The API server has forgotten them.
    let host_path = || {
        let body = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"},
            "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": "/"}}});
        Row(
            ADMIN,
            "a host path",
            create("/api/v1/persistentvolumes", body),
            None,
        )
    };
    let started = Instant::now();
    while check(bench, host_path()).await.is_some() {
        assert!(started.elapsed() < NOTICED * 2);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bench.resume();
    let took = bench.in_place_within(REPAIRED).await;
    eprintln!("installed and proven after {took:?}");
    assert!(check(bench, host_path()).await.is_some());
}

/// Away at once, back when the repaired guard was seen in force.
async fn repaired(bench: &Bench, what: &str) {
    eprintln!("drift: {what}");
    bench.away_within(NOTICED).await;
    let took = bench.in_place_within(REPAIRED).await;
    eprintln!("  in place again after {took:?}");
    let status = bench.guards.status();
    assert!(
        status
            .guards
            .iter()
            .all(|guard| guard.standing == Standing::InForce),
        "{status:?}"
    );
}

async fn settings_change(bench: &Bench) {
    let named = |name: &str| {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        create("/api/v1/namespaces", body)
    };
    bench.guards.replace_settings(GuardSettings {
        protected_namespaces: ["backups".to_owned()].into(),
        ..settings()
    });
    let started = Instant::now();
    let refused = || {
        let guard = Some("k3s-daas-namespaces");
        Row(ADMIN, "a newly protected name", named("backups"), guard)
    };
    while let Some(wrong) = check(bench, refused()).await {
        // The former text stays in force meanwhile, and nobody is sent away.
        assert!(bench.state.in_place());
        assert!(started.elapsed() < REPAIRED, "{wrong}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eprintln!("new settings were in force after {:?}", started.elapsed());
    let free = Row(
        ADMIN,
        "a name that is free again",
        named("monitoring"),
        None,
    );
    assert_eq!(check(bench, free).await, None);
    assert!(bench.state.in_place());
    bench.guards.replace_settings(settings());
    let back = || {
        let guard = Some("k3s-daas-namespaces");
        Row(ADMIN, "protected as before", named("monitoring"), guard)
    };
    while check(bench, back()).await.is_some() {
        assert!(bench.state.in_place() && started.elapsed() < REPAIRED * 2);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Another keeper finds everything in place and changes nothing; what no guard is any more, goes.
async fn a_restart_is_quick(bench: &Bench) {
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(bench.admin.clone());
    bench.apply(&json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "k3s-daas-of-old", "labels": {"app.kubernetes.io/managed-by": "k3s-daas"}},
        "spec": {"policyName": "k3s-daas-of-old", "validationActions": ["Deny"]}})).await;
    bench
        .apply(&json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "somebodys", "labels": {"app.kubernetes.io/managed-by": "Helm"}},
        "spec": {"policyName": "somebodys", "validationActions": ["Deny"]}}))
        .await;
    let repairs = bench.repairs();
    let took = bench.second_keeper().await;
    eprintln!("a second keeper was sure after {took:?}");
    assert_eq!(bench.repairs(), repairs);
    assert!(bindings.get_opt("k3s-daas-of-old").await.unwrap().is_none());
    assert!(bindings.get_opt("somebodys").await.unwrap().is_some());
}
