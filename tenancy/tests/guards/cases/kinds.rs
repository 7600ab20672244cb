//! Definitions, add-ons and priority classes.

use serde_json::{Value, json};

use super::{MINE, Row, merged};
use crate::requests::{ACCOUNT, ADMIN, DEVELOPER, OPERATOR, SUPER, create};

pub(crate) fn crds() -> Vec<Row> {
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

pub(crate) fn addons() -> Vec<Row> {
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

pub(crate) fn priority_classes() -> Vec<Row> {
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
