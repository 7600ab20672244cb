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

use seal::NodeStanding;
use tokio::sync::broadcast;
use tokio::time::Instant;

pub(crate) use follow::follow;

use crate::records;
use crate::sealed_node::SealedNode;

/// Cuts that a listener may be behind. One that is further behind looks at all nodes.
const CUTS: usize = 1_024;

/// All of them.
#[derive(Debug)]
pub(crate) struct Store {
    known: RwLock<Known>,
    cuts: broadcast::Sender<Box<str>>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            known: RwLock::default(),
            cuts: broadcast::Sender::new(CUTS),
        }
    }
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

    /// The names of the nodes that are cut from now on. Who is cut when all are listed anew is told
    /// again.
    pub(crate) fn cuts(&self) -> broadcast::Receiver<Box<str>> {
        self.cuts.subscribe()
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what was told; it was true at `at`, or later.
    pub(crate) fn hear(&self, at: Instant, told: Told) {
        let cut = match &told {
            Told::All(all) => all.iter().filter_map(cut).collect(),
            Told::Is(one) => cut(one).into_iter().collect(),
            Told::Gone(_) | Told::Nothing => Vec::new(),
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match told {
            Told::All(all) => known.nodes = all.into_iter().filter_map(entry).collect(),
            Told::Is(one) => known.nodes.extend(entry(*one)),
            Told::Gone(name) => drop(known.nodes.remove(&name)),
            Told::Nothing => {}
        }
        known.as_of = Some(at);
        drop(known);
        // After it is known: who hears of it and asks is to find it so.
        for name in cut {
            // Nobody listening is fine.
            let _ = self.cuts.send(name);
        }
    }
}

/// Its name, if it is cut.
fn cut(sealed: &SealedNode) -> Option<Box<str>> {
    let name = sealed.metadata.name.as_deref()?;
    (records::standing(sealed) == NodeStanding::Cut).then(|| name.into())
}

fn entry(mut sealed: SealedNode) -> Option<(Box<str>, Arc<SealedNode>)> {
    sealed.metadata.managed_fields = None;
    let name = sealed.metadata.name.as_deref()?.into();
    Some((name, Arc::new(sealed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed_node::{NodeState, SealedNodeSpec, SealedNodeStatus};

    fn sealed(name: &str, owner: &str) -> SealedNode {
        let spec = SealedNodeSpec {
            owner: owner.to_owned(),
            seal_id: String::new(),
            credential_hash: String::new(),
        };
        SealedNode::new(name, spec)
    }

    fn names(store: &Store) -> Vec<String> {
        let all = store.all();
        let name = |sealed: &Arc<SealedNode>| sealed.metadata.name.clone().unwrap();
        all.iter().map(name).collect()
    }

    #[test]
    fn knows_what_it_was_told_last_by_name() {
        let store = Store::default();
        let at = Instant::now();
        assert_eq!(store.age(), None, "nothing is known at first");
        store.hear(at, Told::All(vec![sealed("b", "1"), sealed("a", "1")]));
        assert_eq!(names(&store), ["a", "b"]);
        store.hear(at, Told::Is(Box::new(sealed("a", "2"))));
        store.hear(at, Told::Gone("b".into()));
        assert_eq!(names(&store), ["a"]);
        assert_eq!(store.get("a").unwrap().spec.owner, "2");
        assert!(store.get("b").is_none());
        store.hear(at, Told::All(vec![sealed("c", "1")]));
        assert_eq!(names(&store), ["c"], "a list is all there is");
    }

    #[test]
    fn tells_of_each_node_that_is_cut() {
        let store = Store::default();
        let mut cuts = store.cuts();
        let at = Instant::now();
        let is = |name, state| {
            let mut one = sealed(name, "1");
            one.status = Some(SealedNodeStatus {
                state,
                ..SealedNodeStatus::default()
            });
            one
        };
        store.hear(at, Told::Is(Box::new(is("a", NodeState::Active))));
        store.hear(at, Told::Is(Box::new(is("b", NodeState::Cut))));
        store.hear(at, Told::Gone("b".into()));
        let all = vec![is("a", NodeState::Active), is("c", NodeState::Cut)];
        store.hear(at, Told::All(all));
        assert_eq!(&*cuts.try_recv().unwrap(), "b");
        assert_eq!(&*cuts.try_recv().unwrap(), "c");
        assert!(cuts.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn grows_old_until_it_hears_that_nothing_changed() {
        let store = Store::default();
        store.hear(Instant::now(), Told::All(Vec::new()));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(store.age(), Some(Duration::from_secs(9)));
        store.hear(Instant::now(), Told::Nothing);
        assert_eq!(store.age(), Some(Duration::ZERO));
    }
}
