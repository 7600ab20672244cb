//! Follows the cluster's Nodes, and tells of changes that matter.
//!
//! Shape:  a store of all Nodes, of their status the addresses alone, and the names of those of which something
//!         else than the status or the version changed. A thousand kubelets report all the time;
//!         that is nothing to us.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Node, NodeStatus};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};
use serde::Serialize;
use tokio::sync::Notify;

use crate::sealed_node::SealedNode;

/// Begins to follow. The stream has to be polled for the store to fill; `news` is told with it.
pub(super) fn follow(
    client: &kube::Client,
    news: Arc<Notify>,
) -> (Store<Node>, BoxStream<'static, ObjectRef<SealedNode>>) {
    let (store, writer) = reflector::store::<Node>();
    let mut changes = Changes::default();
    let touched = watcher(Api::<Node>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .modify(|node| {
            node.metadata.managed_fields = None;
            // Of a Node that is made again, nothing may be said that is another's by now.
            node.status = node.status.take().map(|status| NodeStatus {
                addresses: status.addresses,
                ..NodeStatus::default()
            });
        })
        .reflect(writer)
        .flat_map(move |event| {
            let touched = changes.of(event);
            if !touched.is_empty() {
                news.notify_one();
            }
            stream::iter(touched)
        })
        .map(|name| ObjectRef::new(&name))
        .boxed();
    (store, touched)
}

/// What was seen of each object, but for its version.
#[derive(Debug, Default)]
pub(super) struct Changes {
    seen: HashMap<String, u64>,
}

impl Changes {
    /// The names of the objects to look at.
    fn of(&mut self, event: Result<Event<Node>, watcher::Error>) -> Vec<String> {
        match event {
            Ok(Event::Apply(node) | Event::InitApply(node)) => {
                let changed = self.is_news(&node);
                node.metadata.name.filter(|_| changed).into_iter().collect()
            }
            Ok(Event::Delete(node)) => {
                let name = node.metadata.name;
                if let Some(name) = &name {
                    self.seen.remove(name);
                }
                name.into_iter().collect()
            }
            // What was deleted while the watch was broken is not told: look at all.
            Ok(Event::InitDone) => self.seen.keys().cloned().collect(),
            Ok(Event::Init) | Err(_) => Vec::new(),
        }
    }

    /// Whether it is new, or something else than its version is.
    pub(super) fn is_news<K: Resource + Clone + Serialize>(&mut self, object: &K) -> bool {
        let Some(name) = object.meta().name.clone() else {
            return false;
        };
        let mut object = object.clone();
        object.meta_mut().resource_version = None;
        object.meta_mut().managed_fields = None;
        let mut hasher = DefaultHasher::new();
        let bytes = serde_json::to_vec(&object).unwrap_or_default();
        bytes.hash(&mut hasher);
        let digest = hasher.finish();
        self.seen.insert(name, digest) != Some(digest)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(version: &str, closed: bool) -> Node {
        let node = json!({
            "metadata": { "name": "a", "resourceVersion": version, "uid": "u" },
            "spec": { "unschedulable": closed },
        });
        serde_json::from_value(node).unwrap()
    }

    #[test]
    fn only_what_matters_is_news() {
        let mut changes = Changes::default();
        let mut looks = |event| changes.of(Ok(event)).len();
        assert_eq!(looks(Event::InitApply(node("1", false))), 1);
        assert_eq!(looks(Event::Apply(node("2", false))), 0, "a heartbeat");
        assert_eq!(looks(Event::Apply(node("3", true))), 1);
        assert_eq!(looks(Event::InitDone), 1);
        assert_eq!(looks(Event::Delete(node("4", true))), 1);
        assert_eq!(looks(Event::Apply(node("5", true))), 1, "it is back");
        assert_eq!(looks(Event::Init), 0);
    }
}
