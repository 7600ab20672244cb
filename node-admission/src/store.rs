//! The SealedNodes as the API server told of them last, and how long ago that was.
//!
//! Shape:  one map by name behind a lock that is held for a look-up alone.
//! Errors: what can't be heard of stays as it was. A cut node stays cut, a node that is drained
//!         has its end written on it, and of an active one the chain is asked with every request:
//!         so what is old here lets nobody in, and [`Store::age`] tells how old it is.

mod crd;
mod follow;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use follow::follow;

use crate::sealed_node::SealedNode;

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Store {
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    nodes: BTreeMap<Box<str>, Arc<SealedNode>>,
    /// What is known was true then, or later. None before the first list.
    as_of: Option<Instant>,
}

/// What the API server told.
#[derive(Debug)]
pub(crate) enum Told {
    /// All there is.
    All(Vec<SealedNode>),
    /// This one is there, and so.
    Is(Box<SealedNode>),
    /// It is gone.
    Gone(Box<str>),
    /// Nothing has changed.
    Nothing,
}

impl Store {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<SealedNode>> {
        self.known().nodes.get(name).cloned()
    }

    /// By name.
    pub(crate) fn all(&self) -> Vec<Arc<SealedNode>> {
        self.known().nodes.values().cloned().collect()
    }

    pub(crate) fn age(&self) -> Option<Duration> {
        self.known().as_of.map(|as_of| as_of.elapsed())
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what was told; it was true at `at`, or later.
    pub(crate) fn hear(&self, at: Instant, told: Told) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match told {
            Told::All(all) => known.nodes = all.into_iter().filter_map(entry).collect(),
            Told::Is(one) => known.nodes.extend(entry(*one)),
            Told::Gone(name) => drop(known.nodes.remove(&name)),
            Told::Nothing => {}
        }
        known.as_of = Some(at);
    }
}

fn entry(mut sealed: SealedNode) -> Option<(Box<str>, Arc<SealedNode>)> {
    sealed.metadata.managed_fields = None;
    let name = sealed.metadata.name.as_deref()?.into();
    Some((name, Arc::new(sealed)))
}
