//! Objects that K3s's own controllers turn into anything, as cluster admin.

use seal::access::DenyReason::AddonGroup;
use serde_json::json;

use super::{BELOW_SUPER, Tried};
use crate::attempt::Attempt;
use crate::stopper::denied;

ways! {
    "a HelmChart in one's own namespace", BELOW_SUPER => helm_chart;
    "a HelmChartConfig over a packaged chart", BELOW_SUPER => helm_chart_config;
    "reading the values of others' charts", BELOW_SUPER => chart_values;
    "an Addon of K3s", BELOW_SUPER => addon;
    "an upgrade Plan, which runs as root on nodes", BELOW_SUPER => plan;
    "an etcd snapshot object", BELOW_SUPER => snapshot;
}

async fn helm_chart(t: &Attempt<'_>) -> Tried {
    let charts = format!("/apis/helm.cattle.io/v1/namespaces/{}/helmcharts", t.home());
    let chart = json!({
        "apiVersion": "helm.cattle.io/v1", "kind": "HelmChart",
        "spec": {"chartContent": "", "targetNamespace": "kube-system"},
    });
    t.create(&charts, chart, denied(AddonGroup)).await?;
    let binding = format!("helm-{}-{}", t.home(), t.name());
    t.absent(&format!(
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{binding}"
    ))
    .await
}

async fn helm_chart_config(t: &Attempt<'_>) -> Tried {
    let configs = "/apis/helm.cattle.io/v1/namespaces/kube-system/helmchartconfigs";
    let config = json!({
        "apiVersion": "helm.cattle.io/v1", "kind": "HelmChartConfig",
        "spec": {"valuesContent": "hostNetwork: true"},
    });
    t.create(configs, config, denied(AddonGroup)).await
}

async fn chart_values(t: &Attempt<'_>) -> Tried {
    for path in [
        "/apis/helm.cattle.io/v1/helmcharts",
        "/apis/helm.cattle.io/v1/namespaces/kube-system/helmcharts?watch=1",
    ] {
        t.get(path, denied(AddonGroup)).await?;
    }
    t.cannot(
        t.client(),
        "kube-system",
        &["list helmcharts.helm.cattle.io"],
    )
    .await
}

async fn addon(t: &Attempt<'_>) -> Tried {
    let addons = format!("/apis/k3s.cattle.io/v1/namespaces/{}/addons", t.home());
    let addon = json!({
        "apiVersion": "k3s.cattle.io/v1", "kind": "Addon",
        "spec": {"source": "/var/lib/rancher/k3s/server/manifests/x.yaml"},
    });
    t.create(&addons, addon, denied(AddonGroup)).await
}

async fn plan(t: &Attempt<'_>) -> Tried {
    let plans = format!("/apis/upgrade.cattle.io/v1/namespaces/{}/plans", t.home());
    let plan = json!({
        "apiVersion": "upgrade.cattle.io/v1", "kind": "Plan",
        "spec": {"upgrade": {"image": "x"}, "serviceAccountName": "system-upgrade"},
    });
    t.create(&plans, plan, denied(AddonGroup)).await
}

async fn snapshot(t: &Attempt<'_>) -> Tried {
    let snapshot = json!({
        "apiVersion": "k3s.cattle.io/v1", "kind": "ETCDSnapshotFile",
        "spec": {"location": "file:///etc/shadow", "nodeName": "x", "snapshotName": "x"},
    });
    t.create(
        "/apis/k3s.cattle.io/v1/etcdsnapshotfiles",
        snapshot,
        denied(AddonGroup),
    )
    .await
}
