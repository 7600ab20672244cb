//! The watch on Namespaces and ClusterRoleBindings.
//!
//! Shape:  of each Namespace its name and owner are kept, of each binding the
//!         namespaces of its service accounts: some tens of bytes each.
//! Errors: a broken watch is begun again, with pauses from 0.1 s to 2 s; meanwhile the
//!         last state holds. What the watch has not told of is unknown, and so counts
//!         as somebody else's; before the first full list nobody below super gets
//!         anything in a namespace that is not protected by name.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use seal::Address;
use seal::access::{Bound, NamespaceView, Ownership};
use tokio::sync::watch;

use super::NamespaceOwners;
use super::marks::{bound_namespaces, ownership};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Short, since tenants wait for it while the control plane starts.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The namespaces' owners as a watch knows them.
#[derive(Debug)]
pub struct NamespaceWatch {
    state: RwLock<State>,
    ready: watch::Sender<bool>,
    /// Told of every change.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    owners: Listed<Ownership>,
    bindings: Listed<Vec<Box<str>>>,
    /// All namespaces of `bindings`.
    bound: HashSet<Box<str>>,
}

/// A set of objects by name, and the one that a running list is about to replace it with.
#[derive(Debug)]
struct Listed<T> {
    known: HashMap<Box<str>, T>,
    coming: Option<HashMap<Box<str>, T>>,
    complete: bool,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            coming: None,
            complete: false,
        }
    }
}

impl<T> Listed<T> {
    fn apply(&mut self, event: Event<(Box<str>, T)>) {
        match event {
            Event::Init => self.coming = Some(HashMap::new()),
            Event::InitApply((name, fact)) => {
                self.coming.get_or_insert_default().insert(name, fact);
            }
            Event::InitDone => {
                self.known = self.coming.take().unwrap_or_default();
                self.complete = true;
            }
            Event::Apply((name, fact)) => {
                self.known.insert(name, fact);
            }
            Event::Delete((name, _)) => {
                self.known.remove(&name);
            }
        }
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
            changed: watch::Sender::new(()),
        }
    }

    /// Follows the API server for ever; drop the future to stop.
    ///
    /// Needs get, list and watch of `namespaces` and of `clusterrolebindings`.
    pub async fn run(self: Arc<Self>, client: Client) {
        let config = watcher::Config::default;
        let namespaces = follow(
            "namespaces",
            || {
                watcher(
                    Api::<PartialObjectMeta<Namespace>>::all(client.clone()),
                    config(),
                )
            },
            |event| {
                self.apply_namespace(map(event, |namespace| {
                    let name = namespace.name_any();
                    let owner = ownership(&name, namespace.metadata.annotations.as_ref());
                    (name.into(), owner)
                }));
            },
        );
        let bindings = follow(
            "clusterrolebindings",
            || watcher(Api::<ClusterRoleBinding>::all(client.clone()), config()),
            |event| {
                self.apply_binding(map(event, |binding| {
                    (binding.name_any().into(), bound_namespaces(&binding))
                }));
            },
        );
        tokio::join!(namespaces, bindings);
    }

    /// True once both lists were read in full.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Waits until [`Self::is_ready`].
    pub async fn wait_ready(&self) {
        // The sender lives in `self`: it can't be gone.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Waits until the watch has told that this namespace is this owner's.
    ///
    /// Whoever makes a namespace waits here before saying so: until then its owner
    /// would be refused there. Ends only by the watch: give it a deadline.
    pub async fn wait_owned(&self, name: &str, owner: &Address) {
        let mut changed = self.changed.subscribe();
        while self.view(name).ownership != Ownership::Owned(*owner) {
            // The sender lives in `self`: it can't be gone.
            let _ = changed.changed().await;
        }
    }

    fn apply_namespace(&self, event: Event<(Box<str>, Ownership)>) {
        self.change(|state| state.owners.apply(event));
    }

    fn apply_binding(&self, event: Event<(Box<str>, Vec<Box<str>>)>) {
        self.change(|state| {
            let begins = matches!(event, Event::Init | Event::InitApply(_));
            state.bindings.apply(event);
            // Bindings are few and change seldom: gathering them anew keeps no counts.
            if !begins {
                state.bound = state.bindings.known.values().flatten().cloned().collect();
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let complete = state.owners.complete && state.bindings.complete;
        drop(state);
        self.changed.send_replace(());
        self.ready
            .send_if_modified(|ready| complete && !std::mem::replace(ready, true));
    }
}

impl NamespaceOwners for NamespaceWatch {
    fn view(&self, name: &str) -> NamespaceView {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let bound = if !state.bindings.complete {
            Bound::Unknown
        } else if state.bound.contains(name) {
            Bound::Yes
        } else {
            Bound::No
        };
        NamespaceView {
            ownership: state
                .owners
                .known
                .get(name)
                .copied()
                .unwrap_or(Ownership::Unknown),
            bound,
        }
    }
}

/// Keeps one watch going: an error pauses it, its end begins it anew.
async fn follow<K, S>(
    kind: &'static str,
    mut begin: impl FnMut() -> S,
    mut apply: impl FnMut(Event<K>),
) where
    S: Stream<Item = Result<Event<K>, watcher::Error>>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        let mut events = Box::pin(begin());
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    // Each try begins with `Init`, whether or not its list comes.
                    if !matches!(event, Event::Init) {
                        pause = FIRST_PAUSE;
                    }
                    apply(event);
                }
                Err(error) => {
                    tracing::warn!(kind, error = %chain(&error), "watch interrupted");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        tokio::time::sleep(pause).await;
    }
}

fn map<K, T>(event: Event<K>, read: impl Fn(K) -> T) -> Event<T> {
    match event {
        Event::Apply(object) => Event::Apply(read(object)),
        Event::Delete(object) => Event::Delete(read(object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(read(object)),
        Event::InitDone => Event::InitDone,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests;
