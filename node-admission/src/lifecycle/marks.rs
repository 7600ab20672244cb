//! What has to be written on a Node so that it says what it should.
//!
//! Shape:  a JSON merge patch of the differences alone; none where there are none. It names the
//!         version that was looked at: a list of taints is written as a whole, and K3s's cloud
//!         controller and the node controllers write it too.
//!         What we cordoned is marked as such, and only that is opened again.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use seal::identity::{ANNOTATION_TIER, TAINT_CUT, TAINT_DRAINING};
use serde_json::{Map, Value, json};

use super::warning::{ANNOTATION_WARNED, Warned};
use crate::sealed_node::AgentTaint;

/// On a Node: it was us who closed it to the scheduler.
pub(super) const ANNOTATION_CORDONED: &str = "k3s-daas.io/cordoned";

/// How a Node should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// Pods may come.
    Open,
    /// None may come.
    Draining,
    /// None may be there.
    Cut,
}

impl Door {
    /// The taint of ours that goes with it.
    const fn taint(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Open => None,
            Self::Draining => Some((TAINT_DRAINING, "NoSchedule")),
            Self::Cut => Some((TAINT_CUT, "NoExecute")),
        }
    }
}

/// What a Node should say.
#[derive(Debug, Clone)]
pub(super) struct Says<'a> {
    pub(super) door: Door,
    /// What is said of the seal; none: what it says now.
    pub(super) seal: Option<BTreeMap<String, String>>,
    /// Taints of the agent's configuration that are to be put on.
    pub(super) carried: &'a [AgentTaint],
    pub(super) warned: Option<Warned>,
}

/// An annotation.
pub(super) fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    let all = meta.annotations.as_ref()?;
    all.get(key).map(String::as_str)
}

/// What has to be written, if anything.
pub(super) fn patch(node: &Node, says: &Says<'_>) -> Option<Value> {
    let meta = &node.metadata;
    let mut annotations = Map::new();
    let mut annotate = |key: &str, value: Option<&str>| {
        if annotation(meta, key) != value {
            annotations.insert(key.to_owned(), value.into());
        }
    };
    if let Some(seal) = &says.seal {
        for (key, value) in seal {
            annotate(key, Some(value));
        }
        if !seal.contains_key(ANNOTATION_TIER) {
            annotate(ANNOTATION_TIER, None);
        }
    }
    if let Some(warned) = says.warned {
        annotate(ANNOTATION_WARNED, Some(&warned.text()));
    }
    let mut spec = Map::new();
    let is_closed = node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
    match says.door {
        Door::Open if annotation(meta, ANNOTATION_CORDONED).is_some() => {
            annotate(ANNOTATION_CORDONED, None);
            if is_closed {
                spec.insert("unschedulable".to_owned(), Value::Null);
            }
        }
        Door::Draining | Door::Cut if !is_closed => {
            annotate(ANNOTATION_CORDONED, Some("true"));
            spec.insert("unschedulable".to_owned(), true.into());
        }
        // Where somebody else closed it, it stays closed.
        Door::Open | Door::Draining | Door::Cut => {}
    }
    let is = taints(node);
    let should = wanted_taints(&is, says);
    if should != is {
        spec.insert("taints".to_owned(), json!(should));
    }
    if annotations.is_empty() && spec.is_empty() {
        return None;
    }
    Some(json!({
        "metadata": { "resourceVersion": meta.resource_version, "annotations": annotations },
        "spec": spec,
    }))
}

fn taints(node: &Node) -> Vec<Taint> {
    let spec = node.spec.as_ref();
    spec.and_then(|spec| spec.taints.clone())
        .unwrap_or_default()
}

fn wanted_taints(is: &[Taint], says: &Says<'_>) -> Vec<Taint> {
    let ours = says.door.taint();
    let is_kept = |taint: &&Taint| match taint.key.as_str() {
        TAINT_DRAINING | TAINT_CUT => ours == Some((taint.key.as_str(), taint.effect.as_str())),
        _ => true,
    };
    let mut all: Vec<Taint> = is.iter().filter(is_kept).cloned().collect();
    let mut put = |key: &str, value: Option<&String>, effect: &str| {
        if all
            .iter()
            .any(|there| there.key == key && there.effect == effect)
        {
            return;
        }
        all.push(Taint {
            key: key.to_owned(),
            value: value.cloned(),
            effect: effect.to_owned(),
            time_added: None,
        });
    };
    if let Some((key, effect)) = ours {
        put(key, None, effect);
    }
    for taint in says.carried {
        put(&taint.key, taint.value.as_ref(), &taint.effect);
    }
    all
}

#[cfg(test)]
mod tests;
