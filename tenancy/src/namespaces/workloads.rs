//! Stops what runs in a namespace, and brings exactly that back.
//!
//! Shape:  what is scaled is scaled to 0 and its replicas are remembered in an annotation; what
//!         can be suspended is suspended and marked; the remaining pods are deleted, and the pod
//!         quota of 0 keeps them away. All of it can be repeated and broken off anywhere.
//! Errors: an object that changes meanwhile is left for the next pass. The annotations stand on
//!         objects that a tenant may write: bounded, and used for nothing but the object itself.

use futures::{StreamExt, stream};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use seal::UnixMillis;
use serde_json::{Value, json};

use super::FIELD_MANAGER;
use super::error::HomeError;
use super::metrics::{TenantMetrics, Thing};
use super::within::within;

/// Annotation: how many replicas there were.
const ANNOTATION_REPLICAS: &str = "k3s-daas.io/replicas";
/// Annotation: it was we who suspended it.
const ANNOTATION_SUSPENDED: &str = "k3s-daas.io/suspended";
/// Annotation: touched, so that its controller looks at it at once rather than after its backoff.
const ANNOTATION_WOKEN: &str = "k3s-daas.io/woken";
/// No quota lets more pods be.
const MOST_REPLICAS: i64 = 10_000;
/// Objects a page.
const PAGE: u32 = 200;
/// Objects changed at once in a namespace.
const AT_ONCE: usize = 4;

/// How a pass went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Pass {
    /// Objects changed.
    pub(super) changed: u64,
    /// Something is left for another pass.
    pub(super) again: bool,
}

/// What a kind of workload is changed by.
type Change = fn(&Value) -> Option<Value>;

/// Scales and suspends, then deletes the pods. Jobs' pods go by suspension: deleted, they would
/// count as failures; `late` no longer waits for that.
pub(super) async fn stop(
    client: &kube::Client,
    namespace: &str,
    late: bool,
    metrics: &TenantMetrics,
) -> Result<Pass, HomeError> {
    let mut pass = change_all(client, namespace, scale_down, suspend, metrics).await?;
    metrics.workloads("stopped", pass.changed);
    pass.again |= delete_pods(client, namespace, late, metrics).await?;
    Ok(pass)
}

/// Brings back what was stopped.
pub(super) async fn restore(
    client: &kube::Client,
    namespace: &str,
    now: UnixMillis,
    metrics: &TenantMetrics,
) -> Result<Pass, HomeError> {
    let mut pass = change_all(client, namespace, scale_up, resume, metrics).await?;
    metrics.workloads("restored", pass.changed);
    // Their pods were refused for so long that the next attempt may be many minutes away.
    let woken = now.0.to_string();
    let wake =
        |_: &Value| Some(json!({ "metadata": { "annotations": { ANNOTATION_WOKEN: woken } } }));
    let daemons = ApiResource::erase::<DaemonSet>(&());
    pass.again |= change(client, namespace, &daemons, wake, metrics)
        .await?
        .again;
    Ok(pass)
}

async fn change_all(
    client: &kube::Client,
    namespace: &str,
    scaled: Change,
    suspended: Change,
    metrics: &TenantMetrics,
) -> Result<Pass, HomeError> {
    let kinds = [
        (ApiResource::erase::<CronJob>(&()), suspended),
        (ApiResource::erase::<Job>(&()), suspended),
        (ApiResource::erase::<Deployment>(&()), scaled),
        (ApiResource::erase::<StatefulSet>(&()), scaled),
        (ApiResource::erase::<ReplicaSet>(&()), scaled),
        (ApiResource::erase::<ReplicationController>(&()), scaled),
    ];
    let mut all = Pass::default();
    for (kind, how) in kinds {
        let pass = change(client, namespace, &kind, how, metrics).await?;
        all.changed = all.changed.saturating_add(pass.changed);
        all.again |= pass.again;
    }
    Ok(all)
}

async fn change(
    client: &kube::Client,
    namespace: &str,
    kind: &ApiResource,
    how: impl Fn(&Value) -> Option<Value>,
    metrics: &TenantMetrics,
) -> Result<Pass, HomeError> {
    let objects: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, kind);
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let mut pass = Pass::default();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let found = within("list workloads", objects.list(&page)).await?;
        let mut writes = Vec::new();
        for object in found.items {
            let Some((name, patch)) = patch_of(&object, &how) else {
                continue;
            };
            let (objects, params) = (objects.clone(), params.clone());
            writes.push(async move {
                let patch = Patch::Merge(&patch);
                within("change a workload", objects.patch(&name, &params, &patch)).await
            });
        }
        let mut written = stream::iter(writes).buffer_unordered(AT_ONCE);
        while let Some(written) = written.next().await {
            match written {
                Ok(_) => {
                    metrics.wrote(Thing::Workload);
                    pass.changed = pass.changed.saturating_add(1);
                }
                Err(error) if error.is_conflict() => pass.again = true,
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
        }
        match found.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page.continue_token = Some(token),
            None => return Ok(pass),
        }
    }
}

/// The change of an object, if its owner did not change it meanwhile.
fn patch_of(
    object: &DynamicObject,
    how: impl Fn(&Value) -> Option<Value>,
) -> Option<(String, Value)> {
    let name = object.metadata.name.clone()?;
    let version = object.metadata.resource_version.clone()?;
    let mut patch = how(&serde_json::to_value(object).ok()?)?;
    let meta = patch.get_mut("metadata")?.as_object_mut()?;
    meta.insert("resourceVersion".to_owned(), version.into());
    Some((name, patch))
}

/// Whether pods are left that nobody has deleted.
async fn delete_pods(
    client: &kube::Client,
    namespace: &str,
    late: bool,
    metrics: &TenantMetrics,
) -> Result<bool, HomeError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let all = ListParams::default();
    let others = ListParams::default().labels("!batch.kubernetes.io/job-name");
    let left = |params: ListParams| {
        let pods = pods.clone();
        async move {
            let mut page = params.limit(PAGE);
            loop {
                let found = within("list pods", pods.list_metadata(&page)).await?;
                let stays = |pod: &kube::core::PartialObjectMeta<Pod>| {
                    pod.metadata.deletion_timestamp.is_none()
                };
                if found.items.iter().any(stays) {
                    return Ok::<_, HomeError>(true);
                }
                match found.metadata.continue_.filter(|token| !token.is_empty()) {
                    Some(token) => page.continue_token = Some(token),
                    None => return Ok(false),
                }
            }
        }
    };
    let chosen = if late { &all } else { &others };
    if left(chosen.clone()).await? {
        let params = DeleteParams::default();
        within("delete pods", pods.delete_collection(&params, chosen)).await?;
        metrics.wrote(Thing::Workload);
    }
    left(all).await
}

fn pointer<'a>(object: &'a Value, path: &str) -> &'a Value {
    object.pointer(path).unwrap_or(&Value::Null)
}

fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    pointer(object, "/metadata/annotations").get(key)?.as_str()
}

fn is_deleted(object: &Value) -> bool {
    !pointer(object, "/metadata/deletionTimestamp").is_null()
}

/// Something else sets its replicas: a Deployment those of its ReplicaSets.
fn is_controlled(object: &Value) -> bool {
    let owners = pointer(object, "/metadata/ownerReferences").as_array();
    let controls = |owner: &Value| owner.get("controller") == Some(&Value::Bool(true));
    owners.is_some_and(|owners| owners.iter().any(controls))
}

/// Absent means one.
fn replicas(object: &Value) -> i64 {
    pointer(object, "/spec/replicas").as_i64().unwrap_or(1)
}

fn scale_down(object: &Value) -> Option<Value> {
    let replicas = replicas(object);
    if is_controlled(object) || is_deleted(object) || replicas == 0 {
        return None;
    }
    Some(json!({
        "metadata": { "annotations": { ANNOTATION_REPLICAS: replicas.to_string() } },
        "spec": { "replicas": 0 },
    }))
}

fn scale_up(object: &Value) -> Option<Value> {
    let remembered = annotation(object, ANNOTATION_REPLICAS)?;
    if is_deleted(object) {
        return None;
    }
    let mut patch = json!({ "metadata": { "annotations": { ANNOTATION_REPLICAS: null } } });
    let remembered = remembered.parse::<i64>().ok();
    let remembered = remembered.filter(|number| (1..=MOST_REPLICAS).contains(number));
    // Scaled meanwhile by somebody else: that counts.
    if let (Some(remembered), 0) = (remembered, replicas(object))
        && let Some(patch) = patch.as_object_mut()
    {
        patch.insert("spec".to_owned(), json!({ "replicas": remembered }));
    }
    Some(patch)
}

fn is_suspended(object: &Value) -> bool {
    pointer(object, "/spec/suspend").as_bool().unwrap_or(false)
}

/// A Job that is complete or has failed can't be suspended.
fn is_finished(object: &Value) -> bool {
    let conditions = pointer(object, "/status/conditions").as_array();
    let ends = |condition: &Value| {
        let text = |key: &str| condition.get(key).and_then(Value::as_str);
        matches!(text("type"), Some("Complete" | "Failed")) && text("status") == Some("True")
    };
    conditions.is_some_and(|conditions| conditions.iter().any(ends))
}

fn suspend(object: &Value) -> Option<Value> {
    if is_suspended(object) || is_deleted(object) || is_finished(object) {
        return None;
    }
    Some(json!({
        "metadata": { "annotations": { ANNOTATION_SUSPENDED: "true" } },
        "spec": { "suspend": true },
    }))
}

fn resume(object: &Value) -> Option<Value> {
    let marked = annotation(object, ANNOTATION_SUSPENDED)?;
    if is_deleted(object) {
        return None;
    }
    let mut patch = json!({ "metadata": { "annotations": { ANNOTATION_SUSPENDED: null } } });
    if marked == "true"
        && is_suspended(object)
        && let Some(patch) = patch.as_object_mut()
    {
        patch.insert("spec".to_owned(), json!({ "suspend": false }));
    }
    Some(patch)
}

#[cfg(test)]
mod tests;
