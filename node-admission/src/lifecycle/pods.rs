//! The pods of a node that has to go: moved while it is drained, deleted when it is cut.
//!
//! Shape:  one pass over the pods that are bound to the node; whoever asks comes again until none
//!         is left. What is deleted is the very pod that was seen, by its uid.
//!         A drain asks for evictions, which honour disruption budgets, and leaves alone what can't
//!         be moved: DaemonSets' pods, static pods, pods that are done.
//!         A cut deletes them all without waiting for a kubelet's word, which would never come.
//! Errors: one pod's failure is counted and does not hold up the others.
//! Source: kubectl's `drain`; Kubernetes API-initiated eviction (429: a budget does not allow it
//!         now).

use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DeleteParams, EvictParams, ListParams, Preconditions};
use tokio::sync::Semaphore;

use super::metrics::{Eviction, LifeMetrics, Thing};
use crate::join::JoinError;
use crate::within::within;

/// Calls at once for one node.
const AT_ONCE: usize = 8;
/// A pass of evictions may take this long: whatever happens to the seal meanwhile waits for it.
const PASS: Duration = Duration::from_secs(5);
/// On static pods' mirrors.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Bounds over all nodes together: whoever is drained leaves room for whoever is cut.
#[derive(Debug)]
pub(super) struct Places {
    evicting: Semaphore,
    forcing: Semaphore,
}

impl Places {
    pub(super) const fn new() -> Self {
        Self {
            evicting: Semaphore::const_new(16),
            forcing: Semaphore::const_new(64),
        }
    }
}

/// One node's pods.
#[derive(Clone, Copy)]
pub(super) struct Pods<'a> {
    pub(super) client: &'a kube::Client,
    pub(super) node: &'a str,
    pub(super) places: &'a Places,
    pub(super) metrics: &'a LifeMetrics,
}

impl Pods<'_> {
    async fn list(&self) -> Result<Vec<Pod>, JoinError> {
        let all: Api<Pod> = Api::all(self.client.clone());
        let bound = ListParams::default().fields(&format!("spec.nodeName={}", self.node));
        let found = within("list a node's pods", all.list(&bound)).await?;
        Ok(found.items)
    }

    /// Asks for the eviction of what can be moved; how many are left to move.
    pub(super) async fn evict(&self) -> Result<usize, JoinError> {
        let mut pods = self.list().await?;
        pods.retain(is_to_move);
        let left = pods.len();
        pods.retain(|pod| !is_going(pod));
        let ask = stream::iter(pods).for_each_concurrent(AT_ONCE, async |pod| {
            self.evict_one(&pod.metadata).await;
        });
        // The rest is asked for in the next pass.
        let _ = tokio::time::timeout(PASS, ask).await;
        Ok(left)
    }

    async fn evict_one(&self, meta: &ObjectMeta) {
        let Ok(_place) = self.places.evicting.acquire().await else {
            return;
        };
        let (Some(name), Some(namespace)) = (&meta.name, &meta.namespace) else {
            return;
        };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let params = EvictParams {
            delete_options: Some(very(meta, None)),
            ..EvictParams::default()
        };
        let evicted = within("evict a pod", pods.evict(name, &params)).await;
        let outcome = match &evicted {
            Ok(_) => Eviction::Evicted,
            Err(error) if is_blocked(error) => Eviction::Blocked,
            // Gone, or another one of that name.
            Err(error) if error.is_missing() || error.is_conflict() => return,
            Err(error) => {
                tracing::info!(
                    node = self.node,
                    namespace,
                    pod = name,
                    error = error as &(dyn std::error::Error + 'static),
                    "a pod can't be moved now"
                );
                Eviction::Failed
            }
        };
        self.metrics.eviction(outcome);
    }

    /// Deletes all of them; how many are left.
    pub(super) async fn force(&self) -> Result<usize, JoinError> {
        let mut pods = self.list().await?;
        pods.retain(|pod| !is_kept(pod));
        let left = stream::iter(pods)
            .map(async |pod| self.force_one(&pod.metadata).await)
            .buffer_unordered(AT_ONCE)
            .filter(|gone| std::future::ready(!gone))
            .count()
            .await;
        Ok(left)
    }

    /// Whether it is gone.
    async fn force_one(&self, meta: &ObjectMeta) -> bool {
        let Ok(_place) = self.places.forcing.acquire().await else {
            return false;
        };
        let (Some(name), Some(namespace)) = (&meta.name, &meta.namespace) else {
            return true;
        };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let params = very(meta, Some(0));
        match within("delete a pod", pods.delete(name, &params)).await {
            Ok(_) => {
                self.metrics.wrote(Thing::Pod);
                true
            }
            Err(error) if error.is_missing() => true,
            // Another one of that name by now: the next pass sees whether it is bound here.
            Err(error) if error.is_conflict() => false,
            Err(error) => {
                tracing::warn!(
                    node = self.node,
                    namespace,
                    pod = name,
                    error = &error as &(dyn std::error::Error + 'static),
                    "a pod of a node that is cut off could not be deleted"
                );
                false
            }
        }
    }
}

/// The very pod that was seen.
fn very(meta: &ObjectMeta, grace_seconds: Option<u32>) -> DeleteParams {
    DeleteParams {
        grace_period_seconds: grace_seconds,
        preconditions: Some(Preconditions {
            uid: meta.uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    }
}

/// A disruption budget does not allow it now.
fn is_blocked(error: &JoinError) -> bool {
    match error {
        JoinError::Api { source, .. } => match source.as_ref() {
            kube::Error::Api(status) => status.code == 429,
            _ => false,
        },
        _ => false,
    }
}

fn is_going(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Deleted, and kept by somebody's finalizer: more can't be done.
///
/// Without a finalizer it is only half deleted: the API server first writes the grace period of 0 and
/// then removes the pod, and a caller that goes away between leaves it so for good.
fn is_kept(pod: &Pod) -> bool {
    let meta = &pod.metadata;
    let has_finalizers = meta.finalizers.as_ref().is_some_and(|all| !all.is_empty());
    meta.deletion_grace_period_seconds == Some(0) && has_finalizers
}

/// Whether it has to be gone before the node is drained.
fn is_to_move(pod: &Pod) -> bool {
    let meta = &pod.metadata;
    let is_static = meta
        .annotations
        .as_ref()
        .is_some_and(|all| all.contains_key(MIRROR));
    let owners = meta.owner_references.iter().flatten();
    let is_daemon = owners
        .filter(|owner| owner.controller == Some(true))
        .any(|owner| owner.kind == "DaemonSet");
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    let is_done = matches!(phase, Some("Succeeded" | "Failed"));
    !is_static && !is_daemon && !is_done
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(metadata: &serde_json::Value, phase: &str) -> Pod {
        let pod = json!({ "metadata": metadata, "status": { "phase": phase } });
        serde_json::from_value(pod).unwrap()
    }

    fn owned(kind: &str, controller: bool) -> serde_json::Value {
        json!({ "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": kind, "name": "x", "uid": "y", "controller": controller,
        }] })
    }

    #[test]
    fn what_would_come_back_here_or_is_done_is_not_moved() {
        assert!(is_to_move(&pod(&json!({}), "Running")));
        assert!(is_to_move(&pod(&owned("ReplicaSet", true), "Pending")));
        assert!(!is_to_move(&pod(&owned("DaemonSet", true), "Running")));
        assert!(is_to_move(&pod(&owned("DaemonSet", false), "Running")));
        let mirror = json!({ "annotations": { MIRROR: "x" } });
        assert!(!is_to_move(&pod(&mirror, "Running")));
        for phase in ["Succeeded", "Failed"] {
            assert!(!is_to_move(&pod(&owned("Job", true), phase)), "{phase}");
        }
    }

    #[test]
    fn what_a_finalizer_keeps_is_left_and_what_is_half_deleted_is_not() {
        let deleted = |grace: i64, finalizers: &[&str]| {
            let meta = json!({
                "deletionTimestamp": "2026-01-01T00:00:00Z",
                "deletionGracePeriodSeconds": grace, "finalizers": finalizers,
            });
            is_kept(&pod(&meta, "Running"))
        };
        assert!(deleted(0, &["example.org/kept"]));
        assert!(!deleted(0, &[]));
        assert!(!deleted(30, &["example.org/kept"]));
        assert!(!is_kept(&pod(&json!({}), "Running")));
    }

    #[test]
    fn what_is_on_its_way_out_is_waited_for() {
        let going = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" });
        let going = pod(&going, "Running");
        assert!(is_to_move(&going) && is_going(&going));
    }
}
