//! Workers' heartbeats: the newest is kept, and not every one is written.
//!
//! Units:  a node's heartbeat is written once in [`BETWEEN`]; workers send one every 30 s.
//! Errors: one that could not be written is forgotten, and the next one is written at once.

use std::time::Duration;

use kube::Api;
use kube::api::Patch;
use moka::sync::Cache;
use seal::NodeName;
use serde_json::json;
use tokio::sync::Semaphore;

use super::{HEARTBEAT_MANAGER, kept, params};
use crate::join::JoinError;
use crate::sealed_node::{Heartbeat, SealedNode};
use crate::within::within;

/// Between two writes for a node.
const BETWEEN: Duration = Duration::from_secs(10);
/// Nodes whose last write is remembered.
const MOST_NODES: u64 = 100_000;
/// Writes at once: heartbeats must not keep nodes from joining.
const AT_ONCE: usize = 8;
/// More than this wait for nothing.
const MOST_WAITING: usize = 512;

/// What became of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It was written.
    Written,
    /// Another one was written a moment ago.
    Skipped,
}

impl Kept {
    pub(crate) const ALL: [Self; 2] = [Self::Written, Self::Skipped];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Skipped => "skipped",
        }
    }
}

/// When which node's heartbeat was written.
#[derive(Debug)]
pub(crate) struct Heartbeats {
    written: Cache<NodeName, ()>,
    writing: Semaphore,
    waiting: Semaphore,
}

impl Heartbeats {
    pub(crate) fn new() -> Self {
        Self {
            written: Cache::builder()
                .max_capacity(MOST_NODES)
                .time_to_live(BETWEEN)
                .build(),
            writing: Semaphore::new(AT_ONCE),
            waiting: Semaphore::new(MOST_WAITING),
        }
    }

    pub(crate) async fn keep(
        &self,
        client: &kube::Client,
        name: &NodeName,
        heartbeat: Heartbeat,
    ) -> Result<Kept, JoinError> {
        let heartbeat = checked(&heartbeat)?;
        let first = self.written.entry_by_ref(name).or_insert(());
        if !first.is_fresh() {
            return Ok(Kept::Skipped);
        }
        let written = self.write(client, name, &heartbeat).await;
        if written.is_err() {
            self.written.invalidate(name);
        }
        written.map(|()| Kept::Written)
    }

    async fn write(
        &self,
        client: &kube::Client,
        name: &NodeName,
        heartbeat: &Heartbeat,
    ) -> Result<(), JoinError> {
        let Ok(_waits) = self.waiting.try_acquire() else {
            return Err(JoinError::Overloaded);
        };
        // Never closed.
        let _place = self.writing.acquire().await;
        let all: Api<SealedNode> = Api::all(client.clone());
        let patch = json!({ "status": { "heartbeat": replaced(heartbeat) } });
        let (params, patch) = (params(HEARTBEAT_MANAGER), Patch::Merge(&patch));
        let patched = all.patch_status(name.as_str(), &params, &patch);
        match within("keep a heartbeat", patched).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_missing() => Err(JoinError::Missing),
            Err(error) => Err(error),
        }
    }
}

/// As a merge: a figure that is absent takes the place of an older one.
fn replaced(heartbeat: &Heartbeat) -> serde_json::Value {
    let mut merged = json!({
        "cpuUsage": null, "memoryUsage": null, "podCount": null, "containerCount": null,
        "networkRx": null, "networkTx": null,
    });
    if let (Some(merged), Ok(serde_json::Value::Object(said))) =
        (merged.as_object_mut(), serde_json::to_value(heartbeat))
    {
        merged.extend(said);
    }
    merged
}

/// What can be kept as it is.
fn checked(heartbeat: &Heartbeat) -> Result<Heartbeat, JoinError> {
    for (what, part) in [
        ("cpu_usage", heartbeat.cpu_usage),
        ("memory_usage", heartbeat.memory_usage),
    ] {
        // Not a number is in no range.
        if part.is_some_and(|part| !(0.0..=100.0).contains(&part)) {
            return Err(JoinError::Invalid { what });
        }
    }
    Ok(Heartbeat {
        at_ms: kept(heartbeat.at_ms),
        sent_ms: kept(heartbeat.sent_ms),
        network_rx: heartbeat.network_rx.map(kept),
        network_tx: heartbeat.network_tx.map(kept),
        ..heartbeat.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat() -> Heartbeat {
        Heartbeat {
            at_ms: 2,
            sent_ms: 1,
            cpu_usage: Some(12.5),
            memory_usage: Some(100.0),
            pod_count: Some(3),
            container_count: Some(4),
            network_rx: Some(5),
            network_tx: Some(6),
        }
    }

    #[test]
    fn parts_are_parts() {
        assert_eq!(checked(&heartbeat()).unwrap(), heartbeat());
        for bad in [f64::NAN, f64::INFINITY, -0.1, 100.1] {
            let cpu = Heartbeat {
                cpu_usage: Some(bad),
                ..heartbeat()
            };
            let memory = Heartbeat {
                memory_usage: Some(bad),
                ..heartbeat()
            };
            for (field, bad) in [("cpu_usage", cpu), ("memory_usage", memory)] {
                let refused = checked(&bad).unwrap_err();
                assert!(matches!(refused, JoinError::Invalid { what } if what == field));
            }
        }
    }

    #[test]
    fn an_absent_figure_replaces_an_older_one() {
        let said = Heartbeat {
            cpu_usage: None,
            network_tx: None,
            ..heartbeat()
        };
        assert_eq!(
            replaced(&said),
            json!({
                "atMs": 2, "sentMs": 1, "cpuUsage": null, "memoryUsage": 100.0, "podCount": 3,
                "containerCount": 4, "networkRx": 5, "networkTx": null,
            })
        );
    }

    #[test]
    fn numbers_stay_within_what_kubernetes_keeps() {
        let large = Heartbeat {
            network_rx: Some(u64::MAX),
            sent_ms: u64::MAX,
            ..heartbeat()
        };
        let kept = checked(&large).unwrap();
        let most = i64::MAX.unsigned_abs();
        assert_eq!((kept.network_rx, kept.sent_ms), (Some(most), most));
    }
}
