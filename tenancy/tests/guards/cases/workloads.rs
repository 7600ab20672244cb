//! What runs, and the tokens it runs with.

use serde_json::{Value, json};

use super::{MINE, Row, THEIRS, merged};
use crate::requests::{ACCOUNT, ADMIN, DEVELOPER, OPERATOR, SUPER, create};

pub(crate) fn workloads() -> Vec<Row> {
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

pub(crate) fn tokens() -> Vec<Row> {
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
