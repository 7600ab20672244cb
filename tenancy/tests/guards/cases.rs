//! What each guard refuses and what it leaves alone: one row a request.

use kube::Client;
use serde_json::{Value, json};

use super::bench::Bench;
use super::requests::{
    ACCOUNT, ADMIN, Answer, Ask, DEVELOPER, OPERATOR, SUPER, Who, create, delete, merge,
};

const MINE: &str = "seal-1111111111111111";
const THEIRS: &str = "seal-2222222222222222";

/// A row: who asks what, and which guard refuses it; `None` where it is accepted.
pub(crate) struct Row(
    pub(crate) Who,
    pub(crate) &'static str,
    pub(crate) Ask,
    pub(crate) Option<&'static str>,
);

pub(crate) async fn run(bench: &Bench) {
    prepare(bench).await;
    let tables = [
        namespaces(),
        our_objects(),
        egress(),
        workloads(),
        tokens(),
        volumes(),
        storage_classes(),
        nodes(),
        node_passwords(),
        crds(),
        addons(),
        priority_classes(),
    ];
    let mut wrong = Vec::new();
    let mut rows = 0;
    for row in tables.into_iter().flatten() {
        rows += 1;
        if let Some(text) = check(bench, row).await {
            wrong.push(text);
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {rows}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    eprintln!("{rows} requests were answered as they should be");
    open_egress(bench).await;
}

pub(crate) async fn check(bench: &Bench, Row(who, what, ask, guard): Row) -> Option<String> {
    let client = bench.acting_as(who.user, who.groups);
    let wrong = |said: &str| Some(format!("{}: {what}: {said}", who.name));
    match (ask.send(&client).await, guard) {
        (Answer::Yes(_), None) => None,
        (Answer::Yes(_), Some(guard)) => wrong(&format!("accepted, {guard} should refuse it")),
        (
            Answer::No {
                code,
                reason,
                message,
            },
            Some(guard),
        ) => {
            let by = format!("ValidatingAdmissionPolicy '{guard}' with binding '{guard}'");
            let good = code == 403 && reason == "Forbidden" && message.contains(&by)
                // An expression that fails refuses too, but that is not what is meant here.
                && !message.contains("resulted in error");
            (!good)
                .then(|| wrong(&format!("{code} {reason}: {message}")))
                .flatten()
        }
        (Answer::No { message, .. }, None) => wrong(&message),
    }
}

/// What is there for the requests to change.
async fn prepare(bench: &Bench) {
    for object in [
        json!({"apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": {"name": "k3s-daas-quota", "namespace": MINE,
                "labels": {"app.kubernetes.io/managed-by": "k3s-daas"}},
            "spec": {"hard": {"pods": "50"}}}),
        json!({"apiVersion": "v1", "kind": "LimitRange",
            "metadata": {"name": "relabelled", "namespace": MINE,
                "labels": {"app.kubernetes.io/managed-by": "k3s-daas"}},
            "spec": {"limits": [{"type": "PersistentVolumeClaim", "max": {"storage": "8Gi"}}]}}),
        json!({"apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": {"name": "own", "namespace": MINE}, "spec": {"hard": {"pods": "50"}}}),
        json!({"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "n1", "labels": {"team": "blue", "node-role.kubernetes.io/edge": "true"},
                "annotations": {"note": "kept"}},
            "spec": {"taints": [{"key": "k3s-daas.io/hold", "effect": "NoSchedule"},
                {"key": "example.com/x", "effect": "NoSchedule"}]}}),
        json!({"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "n2", "annotations": {"k3s-daas.io/draining": "1"}},
            "spec": {"unschedulable": true}}),
        json!({"apiVersion": "v1", "kind": "Secret", "type": "k3s.cattle.io/node-password",
            "metadata": {"name": "n1.node-password.k3s", "namespace": "kube-system"},
            "stringData": {"hash": "x"}}),
        volume(
            "claimed-by-tenant",
            json!({"claimRef": {"namespace": MINE, "name": "c", "kind": "PersistentVolumeClaim", "apiVersion": "v1"}}),
        ),
        volume(
            "claimed-by-operator",
            json!({"claimRef": {"namespace": "monitoring", "name": "c", "kind": "PersistentVolumeClaim", "apiVersion": "v1"}}),
        ),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": MINE}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": THEIRS}}),
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "helmcharts.helm.cattle.io"},
            "spec": {"group": "helm.cattle.io", "scope": "Namespaced",
                "names": {"plural": "helmcharts", "kind": "HelmChart"},
                "versions": [{"name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}}),
    ] {
        bench.apply(&object).await;
    }
}

fn merged(mut base: Value, more: &Value) -> Value {
    fn put(base: &mut Value, more: &Value) {
        match (base, more) {
            (Value::Object(base), Value::Object(more)) => {
                for (key, value) in more {
                    if value.is_null() {
                        base.remove(key);
                    } else {
                        put(base.entry(key.clone()).or_insert(Value::Null), value);
                    }
                }
            }
            (base, more) => *base = more.clone(),
        }
    }
    put(&mut base, more);
    base
}

fn namespaces() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-namespaces");
    let all = "/api/v1/namespaces";
    let one = format!("{all}/{MINE}");
    let named = |name: &str| {
        create(
            all,
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
        )
    };
    let generated = |prefix: &str| {
        create(
            all,
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": prefix}}),
        )
    };
    let labelled =
        |key: &str, value: Value| merge(&one, json!({"metadata": {"labels": {key: value}}}));
    let noted = |key: &str| merge(&one, json!({"metadata": {"annotations": {key: "x"}}}));
    let with = |label: &str| {
        create(
            all,
            json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "team-2", "labels": {label: "privileged"}}}),
        )
    };
    let enforce = "pod-security.kubernetes.io/enforce";
    vec![
        Row(ADMIN, "a namespace of its own", named("team-2"), None),
        Row(ADMIN, "kubed is not kube-", named("kubed"), None),
        Row(
            ADMIN,
            "another label",
            labelled("team", json!("blue")),
            None,
        ),
        Row(ADMIN, "another annotation", noted("example.com/note"), None),
        Row(
            ADMIN,
            "a look-alike prefix",
            labelled("notk3s-daas.io/x", json!("y")),
            None,
        ),
        Row(ADMIN, "a generated name", generated("team-"), None),
        Row(ADMIN, "a generated seal name", generated("seal-"), GUARD),
        Row(
            ADMIN,
            "a seal namespace",
            named("seal-3333333333333333"),
            GUARD,
        ),
        Row(ADMIN, "a kube namespace", named("kube-more"), GUARD),
        Row(ADMIN, "one of ours", named("k3s-daas-extra"), GUARD),
        Row(
            ADMIN,
            "one that the operator protects",
            named("monitoring"),
            GUARD,
        ),
        Row(ADMIN, "pod security at creation", with(enforce), GUARD),
        Row(
            ADMIN,
            "pod security changed",
            labelled(enforce, json!("privileged")),
            GUARD,
        ),
        Row(
            ADMIN,
            "pod security removed",
            merge(
                "/api/v1/namespaces/plugins",
                json!({"metadata": {"labels": {enforce: null}}}),
            ),
            GUARD,
        ),
        Row(
            ADMIN,
            "all labels removed",
            merge(
                "/api/v1/namespaces/plugins",
                json!({"metadata": {"labels": null}}),
            ),
            GUARD,
        ),
        Row(
            ADMIN,
            "its version",
            labelled("pod-security.kubernetes.io/enforce-version", json!("v1.0")),
            GUARD,
        ),
        Row(
            ADMIN,
            "devices of others",
            labelled("resource.kubernetes.io/admin-access", json!("true")),
            GUARD,
        ),
        Row(
            ADMIN,
            "our label",
            labelled("k3s-daas.io/state", json!("active")),
            GUARD,
        ),
        Row(ADMIN, "our annotation", noted("k3s-daas.io/owner"), GUARD),
        Row(
            ADMIN,
            "a node selector",
            noted("scheduler.alpha.kubernetes.io/node-selector"),
            GUARD,
        ),
        Row(
            ADMIN,
            "default tolerations",
            noted("scheduler.alpha.kubernetes.io/defaultTolerations"),
            GUARD,
        ),
        Row(
            ADMIN,
            "allowed tolerations",
            noted("scheduler.alpha.kubernetes.io/tolerationsWhitelist"),
            GUARD,
        ),
        Row(
            ADMIN,
            "by its status",
            merge(
                &format!("{one}/status"),
                json!({"metadata": {"labels": {enforce: "privileged"}}}),
            ),
            GUARD,
        ),
        Row(
            ACCOUNT,
            "pod security changed",
            labelled(enforce, json!("privileged")),
            GUARD,
        ),
        Row(
            SUPER,
            "pod security changed",
            labelled(enforce, json!("privileged")),
            None,
        ),
        Row(
            OPERATOR,
            "a seal namespace",
            named("seal-3333333333333333"),
            None,
        ),
        Row(OPERATOR, "our annotation", noted("k3s-daas.io/owner"), None),
    ]
}

fn our_objects() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-our-objects");
    let quotas = format!("/api/v1/namespaces/{MINE}/resourcequotas");
    let ours = format!("{quotas}/k3s-daas-quota");
    let own = format!("{quotas}/own");
    let limits = format!("/api/v1/namespaces/{MINE}/limitranges");
    let policies = format!("/apis/networking.k8s.io/v1/namespaces/{MINE}/networkpolicies");
    let bindings = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{MINE}/rolebindings");
    let more = json!({"spec": {"hard": {"pods": "500"}}});
    let named = |name: &str| {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name}, "spec": {"podSelector": {}}})
    };
    let managed = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "k3s-daas"}}});
    let released = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}});
    let by_helm = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "k3s-daas-owner"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}});
    let elsewhere = "/api/v1/namespaces/team/resourcequotas";
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "k3s-daas-quota"}, "spec": {"hard": {"pods": "1"}}});
    let mut all = delete(&quotas);
    all.path
        .push_str("?labelSelector=app.kubernetes.io%2Fmanaged-by%3Dk3s-daas");
    vec![
        Row(ADMIN, "more pods", merge(&ours, more.clone()), GUARD),
        Row(ADMIN, "no quota", delete(&ours), GUARD),
        Row(ADMIN, "no quota, as a collection", all, GUARD),
        Row(
            ADMIN,
            "a status of the quota",
            merge(
                &format!("{ours}/status"),
                json!({"status": {"used": {"pods": "0"}}}),
            ),
            GUARD,
        ),
        Row(
            ADMIN,
            "relabelled to Helm",
            merge(&format!("{limits}/relabelled"), by_helm),
            GUARD,
        ),
        Row(
            ADMIN,
            "the label gone",
            merge(&format!("{limits}/relabelled"), released),
            GUARD,
        ),
        Row(ADMIN, "its own made ours", merge(&own, managed), GUARD),
        Row(
            DEVELOPER,
            "a policy of our name",
            create(&policies, named("k3s-daas-network")),
            GUARD,
        ),
        Row(
            DEVELOPER,
            "a binding of our name",
            create(&bindings, binding.clone()),
            GUARD,
        ),
        Row(ACCOUNT, "more pods", merge(&ours, more.clone()), GUARD),
        Row(
            DEVELOPER,
            "a policy of its own",
            create(&policies, named("web")),
            None,
        ),
        Row(
            DEVELOPER,
            "a binding of its own",
            create(
                &bindings,
                merged(binding, &json!({"metadata": {"name": "readers"}})),
            ),
            None,
        ),
        Row(
            ADMIN,
            "its own quota changed",
            merge(&own, more.clone()),
            None,
        ),
        Row(ADMIN, "its own quota deleted", delete(&own), None),
        Row(
            ADMIN,
            "outside the tenants' namespaces",
            create(elsewhere, quota),
            None,
        ),
        Row(SUPER, "more pods", merge(&ours, more.clone()), None),
        Row(OPERATOR, "more pods", merge(&ours, more), None),
    ]
}

fn policy(egress: &Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": egress}})
}

fn egress() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-egress");
    let path = format!("/apis/networking.k8s.io/v1/namespaces/{MINE}/networkpolicies");
    let to = |peer: Value| create(&path, policy(&json!([{"to": [peer]}])));
    let of = |labels: Value| to(json!({"namespaceSelector": {"matchLabels": labels}}));
    let name = "kubernetes.io/metadata.name";
    let addresses = json!({"ipBlock": {"cidr": "0.0.0.0/0"}});
    vec![
        Row(
            DEVELOPER,
            "pods of its namespace",
            to(json!({"podSelector": {}})),
            None,
        ),
        Row(
            DEVELOPER,
            "a tenant's namespace",
            of(json!({name: THEIRS})),
            None,
        ),
        Row(
            DEVELOPER,
            "pods of a tenant's namespace",
            to(json!({"podSelector": {}, "namespaceSelector": {"matchLabels": {name: THEIRS}}})),
            None,
        ),
        Row(
            DEVELOPER,
            "no egress at all",
            create(&path, policy(&json!([]))),
            None,
        ),
        Row(DEVELOPER, "every address", to(addresses.clone()), GUARD),
        Row(
            DEVELOPER,
            "one address",
            to(json!({"ipBlock": {"cidr": "10.0.0.1/32"}})),
            GUARD,
        ),
        Row(
            DEVELOPER,
            "addresses behind a good peer",
            create(
                &path,
                policy(&json!([{"to": [{"podSelector": {}}, addresses]}])),
            ),
            GUARD,
        ),
        Row(
            DEVELOPER,
            "addresses in a second rule",
            create(
                &path,
                policy(
                    &json!([{"to": [{"podSelector": {}}]}, {"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}]}]),
                ),
            ),
            GUARD,
        ),
        Row(
            DEVELOPER,
            "every namespace",
            to(json!({"namespaceSelector": {}})),
            GUARD,
        ),
        Row(
            DEVELOPER,
            "kube-system",
            of(json!({name: "kube-system"})),
            GUARD,
        ),
        Row(
            DEVELOPER,
            "namespaces by another label",
            of(json!({"team": "seal-x"})),
            GUARD,
        ),
        Row(
            DEVELOPER,
            "namespaces by expression",
            to(
                json!({"namespaceSelector": {"matchExpressions": [{"key": name, "operator": "Exists"}]}}),
            ),
            GUARD,
        ),
        Row(
            DEVELOPER,
            "pods of every namespace",
            to(json!({"podSelector": {}, "namespaceSelector": {}})),
            GUARD,
        ),
        Row(ACCOUNT, "every address", to(addresses.clone()), GUARD),
        Row(
            ADMIN,
            "every address, elsewhere",
            create(
                "/apis/networking.k8s.io/v1/namespaces/team/networkpolicies",
                policy(&json!([{"to": [addresses]}])),
            ),
            None,
        ),
        Row(
            SUPER,
            "every address",
            to(json!({"ipBlock": {"cidr": "0.0.0.0/0"}})),
            None,
        ),
        Row(
            OPERATOR,
            "an open rule",
            create(&path, policy(&json!([{}]))),
            None,
        ),
    ]
}

/// Charts with open egress rules install, and what is stored opens nothing.
async fn open_egress(bench: &Bench) {
    let path = format!("/apis/networking.k8s.io/v1/namespaces/{MINE}/networkpolicies");
    let client: Client = bench.acting_as(DEVELOPER.user, DEVELOPER.groups);
    let good = json!({"to": [{"podSelector": {}}]});
    let charts = [
        (json!([{}]), json!([])),
        (
            json!([{"ports": [{"port": 53, "protocol": "UDP"}]}]),
            json!([]),
        ),
        (json!([{"to": []}, good]), json!([good])),
        (json!([good, {}]), json!([good])),
    ];
    for (brought, kept) in charts {
        match create(&path, policy(&brought)).send(&client).await {
            Answer::Yes(stored) => {
                let egress = stored.pointer("/spec/egress").cloned().unwrap_or(json!([]));
                assert_eq!(egress, kept, "{brought}");
            }
            no @ Answer::No { .. } => panic!("{brought}: {no:?}"),
        }
    }
    let operator = bench.acting_as(OPERATOR.user, OPERATOR.groups);
    match create(&path, policy(&json!([{}]))).send(&operator).await {
        Answer::Yes(stored) => assert_eq!(stored.pointer("/spec/egress"), Some(&json!([{}]))),
        no @ Answer::No { .. } => panic!("{no:?}"),
    }
}

fn workloads() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-workloads");
    let pod = |class: Value| json!({"containers": [{"name": "a", "image": "a"}], "priorityClassName": class, "restartPolicy": "Never"});
    let template = |class: Value| json!({"metadata": {"labels": {"a": "b"}}, "spec": merged(pod(class), &json!({"restartPolicy": null}))});
    let selector = json!({"matchLabels": {"a": "b"}});
    let pods = |namespace: &str, class: Value| {
        create(
            &format!("/api/v1/namespaces/{namespace}/pods"),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": pod(class)}),
        )
    };
    let deployment = |namespace: &str, class: Value| {
        create(
            &format!("/apis/apps/v1/namespaces/{namespace}/deployments"),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
                "spec": {"selector": selector, "template": template(class)}}),
        )
    };
    let job_spec = |class: Value| json!({"template": {"spec": pod(class)}});
    let job = |class: Value| {
        create(
            "/apis/batch/v1/namespaces/team/jobs",
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": job_spec(class)}),
        )
    };
    let cron = |class: Value| {
        create(
            "/apis/batch/v1/namespaces/team/cronjobs",
            json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c"},
            "spec": {"schedule": "1 * * * *", "jobTemplate": {"spec": job_spec(class)}}}),
        )
    };
    let stored_template = |class: Value| {
        create(
            "/api/v1/namespaces/team/podtemplates",
            json!({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "t"},
            "template": {"spec": merged(pod(class), &json!({"restartPolicy": null}))}}),
        )
    };
    let critical = json!("system-node-critical");
    let none = Value::Null;
    let mut exec = create(
        "/api/v1/namespaces/plugins/pods/p/exec?command=sh&stdout=true",
        json!({}),
    );
    exec.dry = false;
    vec![
        Row(DEVELOPER, "a pod", pods(MINE, none.clone()), None),
        Row(
            DEVELOPER,
            "a deployment",
            deployment(MINE, none.clone()),
            None,
        ),
        Row(ADMIN, "a job", job(none.clone()), None),
        Row(ADMIN, "a cron job", cron(none.clone()), None),
        Row(ADMIN, "a template", stored_template(none.clone()), None),
        Row(
            DEVELOPER,
            "a critical pod",
            pods(MINE, critical.clone()),
            GUARD,
        ),
        Row(
            ADMIN,
            "a critical deployment",
            deployment("team", json!("system-cluster-critical")),
            GUARD,
        ),
        Row(ADMIN, "a critical job", job(critical.clone()), GUARD),
        Row(ADMIN, "a critical cron job", cron(critical.clone()), GUARD),
        Row(
            ADMIN,
            "a critical template",
            stored_template(critical.clone()),
            GUARD,
        ),
        Row(
            ACCOUNT,
            "a critical deployment",
            deployment(MINE, critical.clone()),
            GUARD,
        ),
        Row(
            ADMIN,
            "a pod where privileged ones may run",
            pods("plugins", none.clone()),
            GUARD,
        ),
        Row(
            ADMIN,
            "a deployment there",
            deployment("plugins", none.clone()),
            GUARD,
        ),
        Row(ADMIN, "a shell there", exec, GUARD),
        Row(
            SUPER,
            "a deployment there",
            deployment("plugins", none.clone()),
            None,
        ),
        Row(
            OPERATOR,
            "a critical deployment",
            deployment("team", critical),
            None,
        ),
        Row(
            OPERATOR,
            "a deployment there",
            deployment("plugins", none),
            None,
        ),
    ]
}

fn tokens() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-tokens");
    let token = |namespace: &str, seconds: Value| {
        create(
            &format!("/api/v1/namespaces/{namespace}/serviceaccounts/robot/token"),
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                "spec": {"expirationSeconds": seconds}}),
        )
    };
    let secret = |namespace: &str, kind: &str| {
        create(
            &format!("/api/v1/namespaces/{namespace}/secrets"),
            json!({"apiVersion": "v1", "kind": "Secret", "type": kind,
                "metadata": {"name": "s", "annotations": {"kubernetes.io/service-account.name": "robot"}}}),
        )
    };
    let lasting = "kubernetes.io/service-account-token";
    vec![
        Row(
            ADMIN,
            "a day in its own namespace",
            token(MINE, json!(86400)),
            None,
        ),
        Row(
            ADMIN,
            "a lasting token of its own",
            secret(MINE, lasting),
            None,
        ),
        Row(ADMIN, "an hour elsewhere", token(THEIRS, json!(3600)), None),
        Row(
            ADMIN,
            "no duration elsewhere",
            token(THEIRS, Value::Null),
            None,
        ),
        Row(
            ADMIN,
            "a plain Secret elsewhere",
            secret(THEIRS, "Opaque"),
            None,
        ),
        Row(ADMIN, "a day elsewhere", token(THEIRS, json!(86400)), GUARD),
        Row(
            ADMIN,
            "a lasting token elsewhere",
            secret(THEIRS, lasting),
            GUARD,
        ),
        Row(
            ADMIN,
            "a lasting token in no tenant's namespace",
            secret("team", lasting),
            GUARD,
        ),
        Row(SUPER, "a day elsewhere", token(THEIRS, json!(86400)), None),
        Row(OPERATOR, "a lasting token", secret(THEIRS, lasting), None),
    ]
}

fn volume(name: &str, more: Value) -> Value {
    merged(
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                "csi": {"driver": "d.example.com", "volumeHandle": "v-1", "volumeAttributes": {"size": "1"}}}}),
        &json!({"spec": more}),
    )
}

fn volumes() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-volumes");
    let all = "/api/v1/persistentvolumes";
    let with = |more: Value| create(all, volume("v", more));
    let csi = |more: Value| with(json!({"csi": more}));
    let attribute = |key: &str, value: &str| csi(json!({"volumeAttributes": {key: value}}));
    let secret = json!({"name": "s", "namespace": "kube-system"});
    let claim = |namespace: &str| json!({"claimRef": {"namespace": namespace, "name": "c"}});
    let retain = json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}});
    let tenants = format!("{all}/claimed-by-tenant");
    let operators = format!("{all}/claimed-by-operator");
    vec![
        Row(ADMIN, "a driver's", with(json!({})), None),
        Row(
            ADMIN,
            "with options",
            with(json!({"mountOptions": ["noatime", "nfsvers=4.1"]})),
            None,
        ),
        Row(ADMIN, "for a tenant", with(claim(MINE)), None),
        Row(
            ADMIN,
            "a tenant's changed",
            merge(&tenants, retain.clone()),
            None,
        ),
        Row(ADMIN, "a tenant's deleted", delete(&tenants), None),
        Row(
            ADMIN,
            "a host path",
            with(json!({"csi": null, "hostPath": {"path": "/"}})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a local disk",
            with(
                json!({"csi": null, "local": {"path": "/"}, "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}}}),
            ),
            GUARD,
        ),
        Row(
            ADMIN,
            "a server",
            with(json!({"csi": null, "nfs": {"server": "s", "path": "/"}})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a Secret to publish",
            csi(json!({"nodePublishSecretRef": secret})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a Secret to stage",
            csi(json!({"nodeStageSecretRef": secret})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a Secret of the controller",
            csi(json!({"controllerPublishSecretRef": secret})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a Secret to grow",
            csi(json!({"controllerExpandSecretRef": secret})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a Secret to grow on the node",
            csi(json!({"nodeExpandSecretRef": secret})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a path as handle",
            csi(json!({"volumeHandle": "/etc"})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a way up as handle",
            csi(json!({"volumeHandle": "a/../../etc"})),
            GUARD,
        ),
        Row(
            ADMIN,
            "somebody's handle",
            csi(json!({"volumeHandle": "pvc-5d2a7c3e"})),
            GUARD,
        ),
        Row(ADMIN, "a path by key", attribute("subDir", "x"), GUARD),
        Row(ADMIN, "a path by value", attribute("where", "/etc"), GUARD),
        Row(
            ADMIN,
            "a way up by value",
            attribute("where", "a/../b"),
            GUARD,
        ),
        Row(
            ADMIN,
            "an option that is a file",
            with(json!({"mountOptions": ["credentials=/etc/shadow"]})),
            GUARD,
        ),
        Row(
            ADMIN,
            "an option added",
            merge(
                &tenants,
                json!({"spec": {"mountOptions": ["logdev=/dev/sda"]}}),
            ),
            GUARD,
        ),
        Row(ADMIN, "for the system", with(claim("kube-system")), GUARD),
        Row(
            ADMIN,
            "the operator's changed",
            merge(&operators, retain.clone()),
            GUARD,
        ),
        Row(
            ADMIN,
            "the operator's taken",
            merge(&operators, claim_patch(MINE)),
            GUARD,
        ),
        Row(
            ADMIN,
            "a tenant's given away",
            merge(&tenants, claim_patch("kube-system")),
            GUARD,
        ),
        Row(
            ADMIN,
            "the operator's freed",
            merge(&operators, json!({"spec": {"claimRef": null}})),
            GUARD,
        ),
        Row(ADMIN, "the operator's deleted", delete(&operators), GUARD),
        Row(
            ACCOUNT,
            "a host path",
            with(json!({"csi": null, "hostPath": {"path": "/"}})),
            GUARD,
        ),
        Row(
            SUPER,
            "a host path",
            with(json!({"csi": null, "hostPath": {"path": "/"}})),
            None,
        ),
        Row(
            OPERATOR,
            "a host path",
            with(json!({"csi": null, "hostPath": {"path": "/"}})),
            None,
        ),
    ]
}

fn claim_patch(namespace: &str) -> Value {
    json!({"spec": {"claimRef": {"namespace": namespace}}})
}

fn storage_classes() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-storage-classes");
    let class = |parameters: Value, options: Value| {
        create(
            "/apis/storage.k8s.io/v1/storageclasses",
            json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "c"},
                "provisioner": "rancher.io/local-path", "parameters": parameters, "mountOptions": options}),
        )
    };
    let with = |key: &str, value: &str| class(json!({key: value}), Value::Null);
    vec![
        Row(
            ADMIN,
            "nothing special",
            class(Value::Null, json!(["noatime"])),
            None,
        ),
        Row(ADMIN, "a disk type", with("type", "ssd"), None),
        Row(
            ADMIN,
            "a file system",
            with("csi.storage.k8s.io/fstype", "ext4"),
            None,
        ),
        Row(ADMIN, "a path pattern", with("pathPattern", "x"), GUARD),
        Row(ADMIN, "a node path", with("NodePath", "x"), GUARD),
        Row(ADMIN, "a folder", with("subDir", "x"), GUARD),
        Row(ADMIN, "a share", with("share", "x"), GUARD),
        Row(ADMIN, "a subvolume", with("subvolumeGroup", "x"), GUARD),
        Row(ADMIN, "an absolute value", with("where", "/etc"), GUARD),
        Row(ADMIN, "a way up", with("where", "a/../b"), GUARD),
        Row(
            ADMIN,
            "a Secret for staging",
            with("csi.storage.k8s.io/node-stage-secret-name", "s"),
            GUARD,
        ),
        Row(
            ADMIN,
            "a Secret for provisioning",
            with(
                "csi.storage.k8s.io/provisioner-secret-namespace",
                "kube-system",
            ),
            GUARD,
        ),
        Row(
            ADMIN,
            "a Secret of old",
            with("adminSecretName", "s"),
            GUARD,
        ),
        Row(
            ADMIN,
            "an option that is a file",
            class(Value::Null, json!(["credentials=/etc/shadow"])),
            GUARD,
        ),
        Row(ACCOUNT, "a path pattern", with("pathPattern", "x"), GUARD),
        Row(SUPER, "a path pattern", with("pathPattern", "x"), None),
        Row(OPERATOR, "a path pattern", with("pathPattern", "x"), None),
    ]
}

fn nodes() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-nodes");
    let (one, two) = ("/api/v1/nodes/n1", "/api/v1/nodes/n2");
    let label = |key: &str, value: Value| merge(one, json!({"metadata": {"labels": {key: value}}}));
    let ours = json!({"key": "k3s-daas.io/hold", "effect": "NoSchedule"});
    let foreign = json!({"key": "example.com/x", "effect": "NoSchedule"});
    let taints = |taints: Value| merge(one, json!({"spec": {"taints": taints}}));
    let status = |status: Value| merge(&format!("{one}/status"), json!({"status": status}));
    vec![
        Row(
            ADMIN,
            "cordoned",
            merge(one, json!({"spec": {"unschedulable": true}})),
            None,
        ),
        Row(ADMIN, "a label", label("disk", json!("ssd")), None),
        Row(
            ADMIN,
            "a label with a prefix",
            label("example.com/disk", json!("ssd")),
            None,
        ),
        Row(ADMIN, "a label gone", label("team", Value::Null), None),
        Row(
            ADMIN,
            "a taint more",
            taints(json!([ours, foreign, {"key": "team", "effect": "NoSchedule"}])),
            None,
        ),
        Row(ADMIN, "a taint gone", taints(json!([ours])), None),
        Row(
            ADMIN,
            "taints in another order",
            taints(json!([foreign, ours])),
            None,
        ),
        Row(
            ADMIN,
            "a role",
            label("node-role.kubernetes.io/control-plane", json!("true")),
            GUARD,
        ),
        Row(
            ADMIN,
            "a role gone",
            label("node-role.kubernetes.io/edge", Value::Null),
            GUARD,
        ),
        Row(
            ADMIN,
            "trust",
            label(
                "node-restriction.kubernetes.io/k3s-daas-trust",
                json!("operator"),
            ),
            GUARD,
        ),
        Row(
            ADMIN,
            "our label",
            label("k3s-daas.io/x", json!("y")),
            GUARD,
        ),
        Row(
            ADMIN,
            "a label of K3s",
            label("egress.k3s.io/cluster", json!("y")),
            GUARD,
        ),
        Row(
            ADMIN,
            "a label of Rancher",
            label("plan.upgrade.cattle.io/x", json!("y")),
            GUARD,
        ),
        Row(ADMIN, "our taint gone", taints(json!([foreign])), GUARD),
        Row(
            ADMIN,
            "our taint weaker",
            taints(json!([{"key": "k3s-daas.io/hold", "effect": "PreferNoSchedule"}, foreign])),
            GUARD,
        ),
        Row(
            ADMIN,
            "a taint of the system",
            taints(
                json!([ours, foreign, {"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]),
            ),
            GUARD,
        ),
        Row(
            ADMIN,
            "an annotation",
            merge(
                one,
                json!({"metadata": {"annotations": {"flannel.alpha.coreos.com/public-ip": "10.0.0.1"}}}),
            ),
            GUARD,
        ),
        Row(
            ADMIN,
            "an annotation gone",
            merge(one, json!({"metadata": {"annotations": null}})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a finalizer",
            merge(one, json!({"metadata": {"finalizers": ["example.com/x"]}})),
            GUARD,
        ),
        Row(
            ADMIN,
            "an owner",
            merge(
                one,
                json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n2", "uid": "1"}]}}),
            ),
            GUARD,
        ),
        Row(
            ADMIN,
            "a provider id",
            merge(one, json!({"spec": {"providerID": "k3s://x"}})),
            GUARD,
        ),
        Row(
            ADMIN,
            "an address",
            status(json!({"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a leaving one opened",
            merge(two, json!({"spec": {"unschedulable": null}})),
            GUARD,
        ),
        Row(
            ADMIN,
            "a leaving one labelled",
            merge(two, json!({"metadata": {"labels": {"team": "blue"}}})),
            None,
        ),
        Row(
            ACCOUNT,
            "a role",
            label("node-role.kubernetes.io/control-plane", json!("true")),
            GUARD,
        ),
        Row(
            SUPER,
            "a role",
            label("node-role.kubernetes.io/control-plane", json!("true")),
            None,
        ),
        Row(
            OPERATOR,
            "an annotation",
            merge(
                one,
                json!({"metadata": {"annotations": {"k3s-daas.io/draining": "1"}}}),
            ),
            None,
        ),
        Row(
            OPERATOR,
            "a leaving one opened",
            merge(two, json!({"spec": {"unschedulable": null}})),
            None,
        ),
    ]
}

const COLLECTOR: Who = Who {
    name: "the garbage collector",
    user: "system:serviceaccount:kube-system:generic-garbage-collector",
    groups: &[
        "system:serviceaccounts",
        "system:serviceaccounts:kube-system",
        "system:authenticated",
    ],
};
const SUPERVISOR: Who = Who {
    name: "K3s's supervisor",
    user: "system:k3s-supervisor",
    groups: &["system:masters", "system:authenticated"],
};

fn node_passwords() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-node-passwords");
    let all = "/api/v1/namespaces/kube-system/secrets";
    let one = format!("{all}/n1.node-password.k3s");
    let secret = |name: &str, kind: &str| {
        create(
            all,
            json!({"apiVersion": "v1", "kind": "Secret", "type": kind,
            "metadata": {"name": name}, "stringData": {"hash": "x"}}),
        )
    };
    let password = "k3s.cattle.io/node-password";
    let rehash = merge(&one, json!({"stringData": {"hash": "y"}}));
    let owned = merge(
        &one,
        json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "1"}]}}),
    );
    let mut every = delete(all);
    every
        .path
        .push_str("?fieldSelector=type%3Dk3s.cattle.io%2Fnode-password");
    vec![
        Row(
            SUPERVISOR,
            "makes one",
            secret("w.node-password.k3s", password),
            None,
        ),
        Row(SUPERVISOR, "gives it an owner", owned.clone(), None),
        Row(SUPERVISOR, "deletes one", delete(&one), None),
        Row(COLLECTOR, "deletes one", delete(&one), None),
        Row(COLLECTOR, "writes one", rehash.clone(), GUARD),
        Row(
            ADMIN,
            "makes one",
            secret("w.node-password.k3s", "Opaque"),
            GUARD,
        ),
        Row(ADMIN, "makes one of the type", secret("w", password), GUARD),
        Row(
            SUPER,
            "makes one",
            secret("w.node-password.k3s", password),
            GUARD,
        ),
        Row(
            OPERATOR,
            "makes one",
            secret("w.node-password.k3s", password),
            GUARD,
        ),
        Row(OPERATOR, "writes one", rehash, GUARD),
        Row(OPERATOR, "lets it go with another", owned, GUARD),
        Row(OPERATOR, "deletes one", delete(&one), GUARD),
        Row(OPERATOR, "deletes all", every, GUARD),
        Row(OPERATOR, "another Secret", secret("w", "Opaque"), None),
        Row(
            DEVELOPER,
            "the name in its own namespace",
            create(
                &format!("/api/v1/namespaces/{MINE}/secrets"),
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "w.node-password.k3s"}}),
            ),
            None,
        ),
    ]
}

fn crds() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-crds");
    let crd = |group: &str, more: Value| {
        let whole = merged(
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": format!("things.{group}"),
                    "annotations": {"api-approved.kubernetes.io": "unapproved"}},
                "spec": {"group": group, "scope": "Namespaced",
                    "names": {"plural": "things", "kind": "Thing"},
                    "versions": [{"name": "v1", "served": true, "storage": true,
                        "schema": {"openAPIV3Schema": {"type": "object"}}}]}}),
            &json!({"spec": more}),
        );
        create(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            whole,
        )
    };
    let plain = |group: &str| crd(group, json!({}));
    let hook = json!({"conversion": {"strategy": "Webhook", "webhook": {
        "conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://10.43.0.1/x"}}}});
    vec![
        Row(ADMIN, "of its own group", plain("example.com"), None),
        Row(ADMIN, "of a look-alike", plain("myk8s.io"), None),
        Row(
            ADMIN,
            "without conversion",
            crd("example.com", json!({"conversion": {"strategy": "None"}})),
            None,
        ),
        Row(
            ADMIN,
            "with a webhook",
            crd("example.com", hook.clone()),
            GUARD,
        ),
        Row(
            ADMIN,
            "of the helm controller",
            plain("helm.cattle.io"),
            GUARD,
        ),
        Row(ADMIN, "of K3s", plain("k3s.cattle.io"), GUARD),
        Row(
            ADMIN,
            "of the upgrade controller",
            plain("upgrade.cattle.io"),
            GUARD,
        ),
        Row(ADMIN, "of ours", plain("k3s-daas.io"), GUARD),
        Row(ADMIN, "below ours", plain("x.k3s-daas.io"), GUARD),
        Row(
            ADMIN,
            "of Kubernetes",
            plain("gateway.networking.k8s.io"),
            GUARD,
        ),
        Row(
            ADMIN,
            "of Kubernetes' other domain",
            plain("x.kubernetes.io"),
            GUARD,
        ),
        Row(
            ACCOUNT,
            "with a webhook",
            crd("example.com", hook.clone()),
            GUARD,
        ),
        Row(
            SUPER,
            "with a webhook",
            crd("example.com", hook.clone()),
            None,
        ),
        Row(
            OPERATOR,
            "of the helm controller",
            plain("x.helm.cattle.io"),
            None,
        ),
    ]
}

fn addons() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-addons");
    let chart = create(
        &format!("/apis/helm.cattle.io/v1/namespaces/{MINE}/helmcharts"),
        json!({"apiVersion": "helm.cattle.io/v1", "kind": "HelmChart", "metadata": {"name": "c"}}),
    );
    let config = create(
        &format!("/api/v1/namespaces/{MINE}/configmaps"),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}),
    );
    vec![
        Row(DEVELOPER, "a HelmChart", chart.clone(), GUARD),
        Row(ACCOUNT, "a HelmChart", chart.clone(), GUARD),
        Row(ACCOUNT, "a ConfigMap", config, None),
        Row(SUPER, "a HelmChart", chart.clone(), None),
        Row(OPERATOR, "a HelmChart", chart, None),
    ]
}

fn priority_classes() -> Vec<Row> {
    const GUARD: Option<&str> = Some("k3s-daas-priority-classes");
    let all = "/apis/scheduling.k8s.io/v1/priorityclasses";
    let class = |value: i64, default: bool| {
        create(
            all,
            json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": {"name": "c"}, "value": value, "globalDefault": default}),
        )
    };
    vec![
        Row(ADMIN, "a class", class(1000, false), None),
        Row(ADMIN, "a default for all", class(1000, true), GUARD),
        Row(SUPER, "a default for all", class(1000, true), None),
        Row(OPERATOR, "a default for all", class(1000, true), None),
    ]
}
