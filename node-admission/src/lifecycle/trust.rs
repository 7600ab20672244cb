//! The label of the Nodes that pods of protected namespaces may run on.
//!
//! Shape:  it is on the Nodes that the operator lists and on no others. The list may name Nodes
//!         that did not join with a seal; this label, and nothing else, is kept on those too: no
//!         one but the server may set it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::reflector::Store;
use seal::identity::{LABEL_TRUST, TRUST_OPERATOR};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::metrics::Thing;
use crate::nodes::{NodeDirectory, Shared};
use crate::records::LIFE_MANAGER;
use crate::within::within;

/// What failed is tried again then.
const AGAIN: Duration = Duration::from_secs(15);
const AT_ONCE: usize = 8;

/// For ever.
pub(super) async fn keep<D: NodeDirectory>(
    shared: &Shared<D>,
    client: &kube::Client,
    nodes: &Store<Node>,
    changed: Arc<Notify>,
) {
    let mut news = shared.news.subscribe();
    let all: Api<Node> = Api::all(client.clone());
    loop {
        let settings = shared.settings.load_full();
        let wrong: Vec<(String, Value)> = nodes
            .state()
            .iter()
            .filter_map(|node| {
                let patch = patch(&node.metadata, &settings.trusted_nodes)?;
                Some((node.metadata.name.clone()?, patch))
            })
            .collect();
        stream::iter(&wrong)
            .for_each_concurrent(AT_ONCE, |(name, patch)| write(shared, &all, name, patch))
            .await;
        tokio::select! {
            () = changed.notified() => {}
            _ = news.changed() => {}
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

async fn write<D>(shared: &Shared<D>, all: &Api<Node>, name: &str, patch: &Value) {
    let params = PatchParams {
        field_manager: Some(LIFE_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(patch);
    match within("label a node", all.patch_metadata(name, &params, &patch)).await {
        Ok(_) => shared.metrics.life.wrote(Thing::Node),
        // Another one, or none by now: its change is news.
        Err(error) if error.is_missing() || error.is_conflict() => {}
        Err(error) => tracing::warn!(
            node = name,
            error = &error as &(dyn std::error::Error + 'static),
            "a node's label of trust could not be kept; it is tried again"
        ),
    }
}

/// What has to be written, if anything.
fn patch(meta: &ObjectMeta, trusted: &BTreeSet<String>) -> Option<Value> {
    let name = meta.name.as_deref()?;
    let label = meta.labels.as_ref().and_then(|all| all.get(LABEL_TRUST));
    let should = trusted.contains(name).then_some(TRUST_OPERATOR);
    (label.map(String::as_str) != should)
        .then(|| json!({ "metadata": { "uid": meta.uid, "labels": { LABEL_TRUST: should } } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_is_on_listed_nodes_alone() {
        let trusted = BTreeSet::from(["good".to_owned()]);
        let meta = |name: &str, label: Option<&str>| ObjectMeta {
            name: Some(name.to_owned()),
            labels: label.map(|value| [(LABEL_TRUST.to_owned(), value.to_owned())].into()),
            ..ObjectMeta::default()
        };
        let said = |name, label| {
            let patch = patch(&meta(name, label), &trusted)?;
            Some(patch["metadata"]["labels"][LABEL_TRUST].clone())
        };
        assert_eq!(said("good", Some(TRUST_OPERATOR)), None);
        assert_eq!(said("bad", None), None);
        assert_eq!(said("good", None), Some(TRUST_OPERATOR.into()));
        assert_eq!(said("good", Some("x")), Some(TRUST_OPERATOR.into()));
        assert_eq!(said("bad", Some(TRUST_OPERATOR)), Some(Value::Null));
    }
}
