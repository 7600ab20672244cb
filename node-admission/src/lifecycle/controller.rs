//! Keeps all nodes' lives: what is looked at when.
//!
//! Shape:  kube-rs' `Controller` over the SealedNodes. A look is asked for by a change of the
//!         SealedNode (heartbeats aside), of its Node, of its seal, of the settings, and by time.
//!         What a look does is in [`super::look`]. Looks are as many at once as there are nodes:
//!         most of them write nothing, and one that waits for an eviction must not hold up one
//!         that cuts. What they write at once is bounded there.
//! Errors: a look that failed is repeated after 0.5 s, 1 s, ... up to 30 s, one node apart from the
//!         others.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Node;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use seal::CredentialHash;
use sui_ledger::directory::Change;
use tenancy::pace;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, OnceCell, broadcast, watch};
use tokio::time::Instant;

use super::life::LOOK_AGAIN;
use super::look::{Look, Looked};
use super::metrics::Census;
use super::nodes::{self, Changes};
use super::pods::Places;
use super::{orphans, trust};
use crate::join::JoinError;
use crate::nodes::{NodeDirectory, Nodes};
use crate::sealed_node::SealedNode;

/// A look may take this long.
const PATIENCE: Duration = Duration::from_mins(1);
/// Pauses after failures, and between passes of a drain, double from here
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// up to here,
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// or here, while pods are moved: a budget may allow the next one any time.
const LAST_DRAIN_PAUSE: Duration = Duration::from_secs(4);
/// How often the nodes are counted, and orphans looked for.
const COUNT_EVERY: Duration = Duration::from_secs(10);

struct Context<D: NodeDirectory> {
    all: Nodes<D>,
    client: kube::Client,
    identity: String,
    nodes: Store<Node>,
    /// A store wakes only the last one that waits for it, so only one may wait at a time.
    ready: OnceCell<bool>,
    places: Places,
    holds: Holds<D>,
    /// Looks in a row that failed, or that left pods to move.
    in_a_row: Mutex<HashMap<String, u32>>,
    /// News of a seal that no look has answered yet.
    news: Arc<Mutex<HashMap<String, Instant>>>,
}

/// Seals that are kept in view, by node.
pub(super) struct Holds<D: NodeDirectory> {
    all: Mutex<HashMap<String, (CredentialHash, D::Hold)>>,
}

impl<D: NodeDirectory> Holds<D> {
    fn new() -> Self {
        Self {
            all: Mutex::default(),
        }
    }

    /// Keeps the seal that holds a node's name in view, and no other for it.
    pub(super) fn pin(&self, directory: &D, name: &str, hash: CredentialHash) {
        if lock(&self.all).get(name).is_some_and(|held| held.0 == hash) {
            return;
        }
        // Where there is no room, a look finds by time what nobody tells.
        let Ok(hold) = directory.hold(hash) else {
            return;
        };
        let before = lock(&self.all).insert(name.to_owned(), (hash, hold));
        drop(before);
    }

    fn retain(&self, is_there: impl Fn(&str) -> bool) {
        let mut gone = Vec::new();
        let mut all = lock(&self.all);
        let names: Vec<String> = all.keys().filter(|name| !is_there(name)).cloned().collect();
        gone.extend(names.iter().filter_map(|name| all.remove(name)));
        drop(all);
        drop(gone);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps them until it is dropped.
pub(super) async fn keep<D: NodeDirectory>(all: &Nodes<D>, client: &kube::Client, identity: &str) {
    let shared = &all.shared;
    // First of all: no change falls between a look and the subscription.
    let changes = shared.directory.changes();
    let settings = shared.news.subscribe();

    let (store, writer) = reflector::store::<SealedNode>();
    let mut seen = Changes::default();
    let sealed = watcher(
        Api::<SealedNode>::all(client.clone()),
        watcher::Config::default(),
    )
    .default_backoff()
    .modify(|sealed| sealed.metadata.managed_fields = None)
    .reflect(writer)
    .applied_objects()
    .try_filter(move |sealed| std::future::ready(seen.is_news(&of_interest(sealed))));
    let touched = Arc::new(Notify::new());
    let (nodes, node_changes) = nodes::follow(client, Arc::clone(&touched));
    let news = Arc::new(Mutex::default());
    let context = Arc::new(Context {
        all: all.clone(),
        client: client.clone(),
        identity: identity.to_owned(),
        nodes: nodes.clone(),
        ready: OnceCell::new(),
        places: Places::new(),
        holds: Holds::new(),
        in_a_row: Mutex::default(),
        news: Arc::clone(&news),
    });
    let looks = Controller::for_stream(sealed, store.clone())
        .reconcile_on(node_changes)
        .reconcile_on(of_seals(changes, store.clone(), news))
        .reconcile_all_on(told(settings))
        .run(look, after_failure, Arc::clone(&context))
        // Failures are logged where they are known in full.
        .for_each(|_| std::future::ready(()));
    tokio::join!(
        looks,
        count(&context, &store),
        trust::keep(shared, client, &nodes, touched),
    );
}

/// Without what changes all the time and decides nothing.
fn of_interest(sealed: &SealedNode) -> SealedNode {
    let mut sealed = sealed.clone();
    if let Some(status) = &mut sealed.status {
        status.heartbeat = None;
        status.registration = None;
    }
    sealed
}

/// One look at one node.
fn look<D: NodeDirectory>(
    sealed: Arc<SealedNode>,
    context: Arc<Context<D>>,
) -> std::pin::Pin<Box<dyn Future<Output = Result<Action, JoinError>> + Send>> {
    Box::pin(async move {
        let begun = Instant::now();
        let name = sealed.name_any();
        let news = lock(&context.news).remove(&name);
        let looked = tokio::time::timeout(PATIENCE, look_at(&sealed, &context)).await;
        let looked = looked.unwrap_or(Err(JoinError::Late {
            what: "look at a node",
        }));
        let metrics = &context.all.shared.metrics.life;
        let outcome = looked.as_ref().map_or_else(JoinError::label, |_| "ok");
        metrics.reconciled(outcome, begun.elapsed());
        if let (Some(news), Ok(_)) = (news, &looked) {
            metrics.reacted(news.elapsed());
        }
        match looked? {
            Looked::Again(after) => {
                lock(&context.in_a_row).remove(&name);
                Ok(Action::requeue(pace::spread(&name, after, LOOK_AGAIN)))
            }
            Looked::Draining(end) => {
                let pause = pause(context.again(&name)).min(LAST_DRAIN_PAUSE);
                Ok(Action::requeue(pause.min(end)))
            }
            Looked::Nothing => {
                lock(&context.in_a_row).remove(&name);
                Ok(Action::await_change())
            }
        }
    })
}

async fn look_at<D: NodeDirectory>(
    sealed: &SealedNode,
    context: &Context<D>,
) -> Result<Looked, JoinError> {
    if !context.is_ready().await {
        return Err(JoinError::Late {
            what: "follow the nodes",
        });
    }
    let look = Look {
        shared: &context.all.shared,
        client: &context.client,
        identity: &context.identity,
        nodes: &context.nodes,
        places: &context.places,
        holds: &context.holds,
    };
    look.at(sealed).await
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "the controller passes them so"
)]
fn after_failure<D: NodeDirectory>(
    sealed: Arc<SealedNode>,
    error: &JoinError,
    context: Arc<Context<D>>,
) -> Action {
    let name = sealed.name_any();
    let failures = context.again(&name);
    tracing::warn!(
        node = name,
        failures,
        error = error as &(dyn std::error::Error + 'static),
        "a node's life could not be kept; it is tried again"
    );
    Action::requeue(pause(failures))
}

fn pause(in_a_row: u32) -> Duration {
    pace::doubled(in_a_row, FIRST_PAUSE, LAST_PAUSE)
}

impl<D: NodeDirectory> Context<D> {
    /// How often in a row by now.
    fn again(&self, name: &str) -> u32 {
        let mut all = lock(&self.in_a_row);
        let times = all.entry(name.to_owned()).or_default();
        *times = times.saturating_add(1);
        *times
    }

    /// Waits for the first list of Nodes; false if the watch is gone.
    async fn is_ready(&self) -> bool {
        let ready = async || self.nodes.wait_until_ready().await.is_ok();
        *self.ready.get_or_init(ready).await
    }
}

/// The nodes to whose seals something happened.
fn of_seals(
    changes: broadcast::Receiver<Change>,
    store: Store<SealedNode>,
    news: Arc<Mutex<HashMap<String, Instant>>>,
) -> BoxStream<'static, ObjectRef<SealedNode>> {
    let batches = stream::unfold(
        (changes, store, news),
        |(mut changes, store, news)| async move {
            let touched = match changes.recv().await {
                Ok(change) => concerned(&change, &store),
                // Missed some: look at everybody.
                Err(RecvError::Lagged(_)) => {
                    let all = store.state();
                    all.iter().map(|sealed| sealed.name_any()).collect()
                }
                Err(RecvError::Closed) => std::future::pending().await,
            };
            let now = Instant::now();
            let mut unanswered = lock(&news);
            for name in &touched {
                unanswered.entry(name.clone()).or_insert(now);
            }
            drop(unanswered);
            let touched: Vec<_> = touched.iter().map(|name| ObjectRef::new(name)).collect();
            Some((stream::iter(touched), (changes, store, news)))
        },
    );
    batches.flatten().boxed()
}

/// By the name that the record bears, or by the hash that a SealedNode does.
fn concerned(change: &Change, store: &Store<SealedNode>) -> Vec<String> {
    if let Some(name) = &change.record.node_id {
        let known = store.get(&ObjectRef::new(name.as_str()));
        return known.map(|sealed| sealed.name_any()).into_iter().collect();
    }
    let hash = change.hash.to_string();
    let all = store.state();
    let bears = all
        .iter()
        .filter(|sealed| sealed.spec.credential_hash == hash);
    bears.map(|sealed| sealed.name_any()).collect()
}

/// The settings were replaced.
fn told(news: watch::Receiver<u64>) -> BoxStream<'static, ()> {
    let told = stream::unfold(news, |mut news| async move {
        match news.changed().await {
            Ok(()) => Some(((), news)),
            Err(_closed) => std::future::pending().await,
        }
    });
    told.boxed()
}

/// Counts the nodes now and then, and finds what no watch tells of.
async fn count<D: NodeDirectory>(context: &Context<D>, store: &Store<SealedNode>) {
    // The first lists take a moment.
    let mut pause = Duration::from_secs(1);
    loop {
        tokio::time::sleep(pause).await;
        pause = COUNT_EVERY;
        let mut census = Census::default();
        for sealed in store.state() {
            let state = sealed.status.as_ref().map(|status| status.state);
            census.add(state.unwrap_or_default());
        }
        let shared = &context.all.shared;
        shared.metrics.life.census(census);
        let is_there = |name: &str| store.get(&ObjectRef::new(name)).is_some();
        context.holds.retain(is_there);
        lock(&context.in_a_row).retain(|name, _| is_there(name));
        lock(&context.news).retain(|name, _| is_there(name));
        // Before both lists are in, everything looks like an orphan.
        if context.ready.initialized() {
            orphans::find(shared, &context.client, &context.nodes, store).await;
        }
    }
}

#[cfg(test)]
mod tests;
