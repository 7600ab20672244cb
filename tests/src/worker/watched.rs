//! Everything that happens to Nodes and pods, from one moment on: what must never happen shows
//! even where it lasts for a moment.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use tokio_util::task::AbortOnDropHandle;

use super::LOOK;
use crate::e2e::Cluster;

/// Something that was seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// A Node that is there.
    Node {
        /// Its name.
        name: String,
        /// Its object.
        uid: String,
    },
    /// A Node that bears one of our taints, or is closed to the scheduler.
    Closed {
        /// Its name.
        name: String,
    },
    /// A Node that went.
    NodeGone {
        /// Its name.
        name: String,
    },
    /// A pod that went, or is going.
    PodEnds {
        /// Its name.
        name: String,
        /// The node that it was on.
        node: String,
    },
}

/// A watch of all Nodes and pods.
pub struct Watched {
    seen: Arc<Mutex<Vec<(Instant, Seen)>>>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Watched {
    /// Watches from now on.
    pub fn start(cluster: &Cluster) -> Self {
        let seen = Arc::<Mutex<Vec<(Instant, Seen)>>>::default();
        let client = cluster.operator_client();
        let nodes = follow(Api::<Node>::all(client.clone()), Arc::clone(&seen), of_node);
        let pods = follow(Api::<Pod>::all(client), Arc::clone(&seen), of_pod);
        Self {
            seen,
            _tasks: [nodes, pods],
        }
    }

    /// Everything so far.
    pub fn all(&self) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().map(|(_, seen)| seen.clone()).collect()
    }

    /// When something was first seen.
    pub fn first(&self, wanted: &Seen) -> Option<Instant> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter()
            .find_map(|(at, seen)| (seen == wanted).then_some(*at))
    }

    /// Everything that happened to one node.
    pub fn of(&self, node: &str) -> Vec<Seen> {
        let mut all = self.all();
        all.retain(|seen| match seen {
            Seen::Node { name, .. } | Seen::Closed { name } | Seen::NodeGone { name } => {
                name == node
            }
            Seen::PodEnds { node: on, .. } => on == node,
        });
        all
    }

    /// What of that takes something away.
    pub fn harm_of(&self, node: &str) -> Vec<Seen> {
        let mut harm = self.of(node);
        harm.retain(|seen| !matches!(seen, Seen::Node { .. }));
        harm
    }

    /// Waits until something was seen.
    pub async fn until(&self, within: Duration, wanted: &Seen) -> anyhow::Result<Instant> {
        let began = Instant::now();
        loop {
            if let Some(at) = self.first(wanted) {
                return Ok(at);
            }
            anyhow::ensure!(began.elapsed() < within, "never seen: {wanted:?}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn follow<K>(
    api: Api<K>,
    seen: Arc<Mutex<Vec<(Instant, Seen)>>>,
    of: fn(&K, bool) -> Vec<Seen>,
) -> AbortOnDropHandle<()>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    AbortOnDropHandle::new(tokio::spawn(async move {
        let watcher = watcher::watcher(api, watcher::Config::default()).default_backoff();
        let mut events = std::pin::pin!(watcher);
        while let Some(event) = events.next().await {
            let found = match &event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => of(object, false),
                Ok(Event::Delete(object)) => of(object, true),
                Ok(Event::Init | Event::InitDone) | Err(_) => Vec::new(),
            };
            let now = Instant::now();
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            for one in found {
                if !seen.iter().any(|(_, known)| *known == one) {
                    seen.push((now, one));
                }
            }
        }
    }))
}

fn of_node(node: &Node, deleted: bool) -> Vec<Seen> {
    let name = node.metadata.name.clone().unwrap_or_default();
    if deleted {
        return vec![Seen::NodeGone { name }];
    }
    let spec = node.spec.clone().unwrap_or_default();
    let ours = |key: &str| key.starts_with(seal::identity::OUR_PREFIX);
    let closed = spec.unschedulable == Some(true)
        || spec.taints.iter().flatten().any(|taint| ours(&taint.key));
    let uid = node.metadata.uid.clone().unwrap_or_default();
    let mut seen = vec![Seen::Node {
        name: name.clone(),
        uid,
    }];
    if closed {
        seen.push(Seen::Closed { name });
    }
    seen
}

fn of_pod(pod: &Pod, deleted: bool) -> Vec<Seen> {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let Some(node) = node.filter(|_| deleted || pod.metadata.deletion_timestamp.is_some()) else {
        return Vec::new();
    };
    let name = pod.metadata.name.clone().unwrap_or_default();
    vec![Seen::PodEnds { name, node }]
}
