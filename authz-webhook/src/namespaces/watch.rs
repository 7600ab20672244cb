//! The watch on Namespaces, ClusterRoleBindings and RoleBindings.
//!
//! Shape:  of each Namespace its name, its owner and its tier are kept, of each binding the
//!         namespaces of its service accounts: some tens of bytes each.
//! Errors: what the watch has not told of is unknown, and so counts as somebody else's;
//!         before the first full list nobody below super gets anything in a namespace that
//!         is not protected by name. While a watch is broken the last state holds, for
//!         [`MAX_AGE`] and no longer: then everything is unknown again. So a namespace that
//!         was given away or became protected meanwhile is not open for ever to whom it was
//!         open before, and what it costs (tenants wait while the server can't reach an API
//!         server that can reach it) ends with the outage.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use seal::access::{Bound, NamespaceView, Ownership, ProtectedNamespaces};
use seal::identity::HomeName;
use seal::{Address, Tier};
use tokio::sync::watch;
use tokio::time::Instant;

use super::NamespaceOwners;
use super::follow::{LONGEST_SILENCE, Told, follow};
use super::marks::{Marks, Reach, bound_namespaces, reach};

/// What is known counts for this long after the API server was last heard of, on each of
/// the three watches: longer than a watch that is well is ever silent, and no longer than an
/// operator who takes something away may be expected to wait.
const MAX_AGE: Duration = Duration::from_mins(1);
const _: () = assert!(LONGEST_SILENCE.as_secs() < MAX_AGE.as_secs());

/// The namespaces' owners as a watch knows them.
#[derive(Debug)]
pub struct NamespaceWatch {
    state: RwLock<State>,
    ready: watch::Sender<bool>,
    /// Told when a namespace gets an owner.
    owned: watch::Sender<()>,
    /// What `heard` counts from.
    began: Instant,
    heard: Heard,
}

/// When each watch was last heard of, in milliseconds.
#[derive(Debug, Default)]
struct Heard {
    namespaces: AtomicU64,
    bindings: AtomicU64,
    reaches: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    namespaces: Option<HashMap<Box<str>, Marks>>,
    bindings: Option<HashMap<Box<str>, Vec<Box<str>>>>,
    /// RoleBindings of service accounts of other namespaces.
    reaches: Option<HashMap<Box<str>, Reach>>,
    /// What is protected whoever is bound.
    by_name: ProtectedNamespaces,
    /// The namespaces with an account that is bound everywhere or in a protected namespace.
    bound: HashSet<Box<str>>,
}

impl State {
    fn knows_bindings(&self) -> bool {
        self.bindings.is_some() && self.reaches.is_some()
    }

    /// Bindings are few and change seldom: gathering them anew keeps no counts.
    fn gather(&mut self) {
        let everywhere = self.bindings.iter().flat_map(HashMap::values).flatten();
        let mut bound: HashSet<Box<str>> = everywhere.cloned().collect();
        // Who reaches into a protected namespace can borrow the rights of whoever is bound there:
        // so it goes on until nothing is added.
        loop {
            let before = bound.len();
            for reach in self.reaches.iter().flat_map(HashMap::values) {
                if self.by_name.contains(&reach.place) || bound.contains(&reach.place) {
                    bound.extend(reach.namespaces.iter().cloned());
                }
            }
            if bound.len() == before {
                break;
            }
        }
        self.bound = bound;
    }
}

impl Default for NamespaceWatch {
    fn default() -> Self {
        Self::new()
    }
}

impl NamespaceWatch {
    /// A watch that knows nothing yet; [`Self::run`] teaches it.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: RwLock::default(),
            ready: watch::Sender::new(false),
            owned: watch::Sender::new(()),
            began: Instant::now(),
            heard: Heard::default(),
        }
    }

    /// Follows the API server for ever; drop the future to stop.
    ///
    /// Needs get, list and watch of `namespaces`, `clusterrolebindings` and `rolebindings`.
    pub async fn run(self: Arc<Self>, client: Client) {
        let namespaces = follow(
            "namespaces",
            Api::<PartialObjectMeta<Namespace>>::all(client.clone()),
            |namespace| Marks::of(&namespace.metadata),
            |at, told| self.told_of_namespaces(at, told),
        );
        let bindings = follow(
            "clusterrolebindings",
            Api::<ClusterRoleBinding>::all(client.clone()),
            bound_namespaces,
            |at, told| self.told_of_bindings(at, told),
        );
        let reaches = follow(
            "rolebindings",
            Api::<RoleBinding>::all(client),
            reach,
            |at, told| self.told_of_reaches(at, told),
        );
        tokio::join!(namespaces, bindings, reaches);
    }

    /// These namespaces are protected by name, besides those that always are: whom a
    /// RoleBinding lets into one of them has a protected namespace too.
    pub fn protect(&self, by_name: ProtectedNamespaces) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.by_name = by_name;
        state.gather();
    }

    /// True while all lists are known in full and of late.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow() && self.is_fresh(Instant::now())
    }

    /// Waits until all lists were read in full.
    pub async fn wait_ready(&self) {
        // The sender lives in `self`: it can't be gone.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Waits until the watch has told that this namespace is this owner's, and guarded.
    ///
    /// Whoever makes a namespace waits here before saying so: until then its owner
    /// would be refused there. Ends only by the watch: give it a deadline.
    pub async fn wait_owned(&self, name: &str, owner: &Address) {
        let mut changes = self.owned.subscribe();
        while self.view(name).ownership != Ownership::Owned(*owner) {
            // The sender lives in `self`: it can't be gone.
            let _ = changes.changed().await;
        }
    }

    /// Whether the owner's first namespace is there, in use, and with a quota for this tier
    /// or a higher one. At once, without I/O.
    ///
    /// What is too old for an answer about rights is good enough here: at worst a
    /// namespace is made a moment later.
    #[must_use]
    pub fn has_home(&self, owner: &Address, tier: Tier) -> bool {
        let home = HomeName::of(owner);
        self.read()
            .namespaces
            .as_ref()
            .and_then(|known| known.get(home.as_str()))
            .is_some_and(|marks| {
                marks.ownership == Ownership::Owned(*owner)
                    && marks.active.is_some_and(|quota| quota >= tier)
            })
    }

    fn told_of_namespaces(&self, at: Instant, told: Told<Marks>) {
        self.hear(&self.heard.namespaces, at);
        let gains = match &told {
            Told::All(_) => true,
            Told::Is(_, marks) => matches!(marks.ownership, Ownership::Owned(_)),
            Told::Gone(_) | Told::Nothing => false,
        };
        self.change(told, |state, told| apply(&mut state.namespaces, told));
        if gains {
            self.owned.send_replace(());
        }
    }

    fn told_of_bindings(&self, at: Instant, told: Told<Vec<Box<str>>>) {
        self.hear(&self.heard.bindings, at);
        self.change(told, |state, told| {
            apply(&mut state.bindings, told);
            state.gather();
        });
    }

    fn told_of_reaches(&self, at: Instant, told: Told<Reach>) {
        self.hear(&self.heard.reaches, at);
        // Most RoleBindings bind accounts of their own namespace: nothing to remember.
        let told = match told {
            Told::All(mut all) => {
                all.retain(|_, reach| !reach.namespaces.is_empty());
                Told::All(all)
            }
            Told::Is(name, reach) if reach.namespaces.is_empty() => Told::Gone(name),
            told => told,
        };
        self.change(told, |state, told| {
            apply(&mut state.reaches, told);
            state.gather();
        });
    }

    fn change<T>(&self, told: Told<T>, change: impl FnOnce(&mut State, Told<T>)) {
        if matches!(told, Told::Nothing) {
            return;
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut state, told);
        let complete = state.namespaces.is_some() && state.knows_bindings();
        drop(state);
        self.ready
            .send_if_modified(|ready| complete && !std::mem::replace(ready, true));
    }

    fn hear(&self, heard: &AtomicU64, at: Instant) {
        heard.fetch_max(self.millis(at), Ordering::Relaxed);
    }

    fn is_fresh(&self, now: Instant) -> bool {
        let namespaces = self.heard.namespaces.load(Ordering::Relaxed);
        let bindings = self.heard.bindings.load(Ordering::Relaxed);
        let reaches = self.heard.reaches.load(Ordering::Relaxed);
        let oldest = namespaces.min(bindings).min(reaches);
        let age = self.millis(now).saturating_sub(oldest);
        Duration::from_millis(age) <= MAX_AGE
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.began);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn view_at(&self, now: Instant, name: &str) -> NamespaceView {
        // What is not complete is unknown below, however fresh.
        if !self.is_fresh(now) {
            return NamespaceView::UNKNOWN;
        }
        let state = self.read();
        let bound = if !state.knows_bindings() {
            Bound::Unknown
        } else if state.bound.contains(name) {
            Bound::Yes
        } else {
            Bound::No
        };
        let marks = state.namespaces.as_ref().and_then(|known| known.get(name));
        NamespaceView {
            ownership: marks.map_or(Ownership::Unknown, |marks| marks.ownership),
            bound,
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NamespaceOwners for NamespaceWatch {
    fn view(&self, name: &str) -> NamespaceView {
        self.view_at(Instant::now(), name)
    }
}

/// Changes count only after the first full list: before it nothing is known for certain.
fn apply<T>(known: &mut Option<HashMap<Box<str>, T>>, told: Told<T>) {
    match (told, known) {
        (Told::All(all), known) => *known = Some(all),
        (Told::Is(name, fact), Some(known)) => {
            known.insert(name, fact);
        }
        (Told::Gone(name), Some(known)) => {
            known.remove(&name);
        }
        (Told::Is(..) | Told::Gone(_), None) | (Told::Nothing, _) => {}
    }
}

#[cfg(test)]
mod tests;
