//! Keeps all tenants' namespaces: what is looked at when.
//!
//! Shape:  kube-rs' `Controller` over the metadata of Namespaces. A look is asked for by a change
//!         of the Namespace, of what is kept in it, of its owner's seals, of the closed addresses,
//!         of the settings, and by time. What a look does is in [`super::look`].
//! Errors: a look that failed is repeated after 1 s, 2 s, ... up to a minute, one namespace apart
//!         from the others.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use seal::{Tier, identity};
use sui_ledger::directory::Change;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::error::HomeError;
use super::look::{Look, Looked};
use super::marks::{self, State, Whose};
use super::metrics::Census;
use super::owned::{self, Owned, Touched};
use super::tenants::{TenantDirectory, Tenants};
use crate::pace;

/// Looks at once; each makes some calls at once.
const AT_ONCE: u16 = 16;
/// A look may take this long.
const PATIENCE: Duration = Duration::from_secs(90);
/// Pauses after failures double from here,
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// up to here.
const LAST_PAUSE: Duration = Duration::from_mins(1);
/// How often the namespaces are counted.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// Owners whose raised stake makes a namespace, at once; more wait for their next review.
const RAISED_AT_ONCE: usize = 64;
/// Names that were reported as nobody's.
const MOST_REPORTED: usize = 10_000;

type Meta = PartialObjectMeta<Namespace>;

struct Context<D> {
    tenants: Tenants<D>,
    client: kube::Client,
    identity: String,
    owned: Owned,
    failures: Mutex<HashMap<String, u32>>,
    reported: Mutex<HashSet<String>>,
}

/// Keeps them until it is dropped.
pub(super) async fn keep<D: TenantDirectory>(
    tenants: &Tenants<D>,
    client: &kube::Client,
    identity: &str,
) {
    let shared = &tenants.shared;
    // First of all: no change falls between a look and the subscription.
    let changes = shared.directory.changes();
    let raised = shared.directory.changes();
    let news = shared.news.subscribe();

    let (store, writer) = reflector::store::<Meta>();
    let namespaces = watcher(Api::<Meta>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .modify(|namespace| namespace.metadata.managed_fields = None)
        .reflect(writer)
        .applied_objects()
        .try_filter(|namespace| {
            let tenants = marks::whose(&namespace.metadata) != Whose::Nobodys;
            std::future::ready(tenants)
        });
    let (owned, owned_changes) = owned::follow(client);
    let context = Arc::new(Context {
        tenants: tenants.clone(),
        client: client.clone(),
        identity: identity.to_owned(),
        owned,
        failures: Mutex::default(),
        reported: Mutex::default(),
    });
    let config = kube::runtime::controller::Config::default().concurrency(AT_ONCE);
    let looks = Controller::for_stream(namespaces, store.clone())
        .with_config(config)
        .reconcile_on(owned_changes)
        .reconcile_on(of_owners(changes, store.clone()))
        .reconcile_all_on(told(news))
        .run(look, after_failure, context)
        // Failures are logged where they are known in full.
        .for_each(|_| std::future::ready(()));
    tokio::join!(
        looks,
        count(tenants, &store),
        make_raised(tenants, client, raised)
    );
}

/// One look at one namespace.
fn look<D: TenantDirectory>(
    namespace: Arc<Meta>,
    context: Arc<Context<D>>,
) -> std::pin::Pin<Box<dyn Future<Output = Result<Action, HomeError>> + Send>> {
    Box::pin(async move {
        let begun = Instant::now();
        let looked = tokio::time::timeout(PATIENCE, look_at(&namespace, &context)).await;
        let looked = looked.unwrap_or(Err(HomeError::Late {
            what: "look at a namespace",
        }));
        let metrics = &context.tenants.shared.metrics;
        let outcome = looked.as_ref().map_or_else(HomeError::label, |_| "ok");
        metrics.reconciled(outcome, begun.elapsed().as_secs_f64());
        let name = namespace.name_any();
        match looked {
            Ok(Looked::Again(after)) => {
                context.forget_failures(&name);
                Ok(Action::requeue(pace::spread(
                    &name,
                    after,
                    super::life::LOOK_AGAIN,
                )))
            }
            Ok(Looked::Foreign) => {
                context.report(&name);
                Ok(Action::await_change())
            }
            Ok(Looked::Gone) => {
                context.forget_failures(&name);
                Ok(Action::await_change())
            }
            Err(error) => Err(error),
        }
    })
}

async fn look_at<D: TenantDirectory>(
    namespace: &Meta,
    context: &Context<D>,
) -> Result<Looked, HomeError> {
    if !context.owned.ready().await {
        return Err(HomeError::Late {
            what: "follow what is kept",
        });
    }
    let look = Look {
        shared: &context.tenants.shared,
        client: &context.client,
        identity: &context.identity,
        owned: &context.owned,
    };
    look.at(&namespace.metadata).await
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "the controller passes them so"
)]
fn after_failure<D>(namespace: Arc<Meta>, error: &HomeError, context: Arc<Context<D>>) -> Action {
    let name = namespace.name_any();
    let failures = {
        let mut all = context
            .failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let failures = all.entry(name.clone()).or_default();
        *failures = failures.saturating_add(1);
        *failures
    };
    // Somebody else wrote it in between: nothing is wrong, the watch tells what it is now.
    if error.is_conflict() && failures < 5 {
        return Action::requeue(Duration::from_millis(200));
    }
    tracing::warn!(
        namespace = name,
        failures,
        error = error as &(dyn std::error::Error + 'static),
        "a tenant's namespace could not be kept"
    );
    Action::requeue(pause(failures))
}

fn pause(in_a_row: u32) -> Duration {
    pace::doubled(in_a_row, FIRST_PAUSE, LAST_PAUSE)
}

impl<D> Context<D> {
    fn forget_failures(&self, name: &str) {
        let mut all = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(name);
    }

    /// Once a name; the metric counts the same.
    fn report(&self, name: &str) {
        let mut all = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_REPORTED || !all.insert(name.to_owned()) {
            return;
        }
        self.tenants.shared.metrics.foreign();
        tracing::warn!(
            namespace = name,
            "a namespace has a tenant's name or an owner's annotation, and the two don't agree: \
             it is left alone"
        );
    }
}

/// The namespaces of owners to whose seals something happened.
fn of_owners(
    changes: broadcast::Receiver<Change>,
    store: Store<Meta>,
) -> BoxStream<'static, Touched> {
    let batches = stream::unfold((changes, store), |(mut changes, store)| async move {
        let owner = match changes.recv().await {
            Ok(change) => Some(change.record.owner),
            // Missed some: look at everybody.
            Err(RecvError::Lagged(_)) => None,
            Err(RecvError::Closed) => std::future::pending().await,
        };
        let home = owner.map(|owner| identity::home_namespace(&owner));
        let touched: Vec<Touched> = store
            .state()
            .iter()
            .map(|namespace| namespace.name_any())
            .filter(|name| home.as_ref().is_none_or(|home| name.starts_with(home)))
            .map(|name| Touched::new(&name))
            .collect();
        Some((stream::iter(touched), (changes, store)))
    });
    batches.flatten().boxed()
}

/// The settings were replaced, or other addresses are closed.
fn told(news: watch::Receiver<u64>) -> BoxStream<'static, ()> {
    let told = stream::unfold(news, |mut news| async move {
        match news.changed().await {
            Ok(()) => Some(((), news)),
            Err(_closed) => std::future::pending().await,
        }
    });
    told.boxed()
}

/// Counts the namespaces now and then.
async fn count<D>(tenants: &Tenants<D>, store: &Store<Meta>) {
    // The first list takes a moment.
    let mut pause = Duration::from_secs(1);
    loop {
        tokio::time::sleep(pause).await;
        pause = COUNT_EVERY;
        let mut census = Census::default();
        for namespace in store.state() {
            let meta = &namespace.metadata;
            let state = marks::read(meta).state;
            let count = match marks::whose(meta) {
                Whose::Nobodys => continue,
                Whose::Unclear => &mut census.foreign,
                Whose::Tenants(_) if meta.deletion_timestamp.is_some() => &mut census.terminating,
                Whose::Tenants(_) => match state {
                    None => &mut census.preparing,
                    Some(State::Active) => &mut census.active,
                    Some(State::Ended) => &mut census.ended,
                    Some(State::Stopped) => &mut census.stopped,
                },
            };
            *count = count.saturating_add(1);
        }
        tenants.shared.metrics.census(census);
    }
}

/// Makes the first namespace of a holder whose stake was raised while its token is in use: the API
/// server caches a token for some seconds, and without this the holder would wait as long.
async fn make_raised<D: TenantDirectory>(
    tenants: &Tenants<D>,
    client: &kube::Client,
    mut changes: broadcast::Receiver<Change>,
) {
    let places = Arc::new(Semaphore::new(RAISED_AT_ONCE));
    let mut making = JoinSet::new();
    loop {
        let change = match changes.recv().await {
            Ok(change) => change,
            // The authenticator makes up for what is missed here.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => std::future::pending().await,
        };
        while making.try_join_next().is_some() {}
        let Some(tier) = raised(&change) else {
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let (tenants, client) = (tenants.clone(), client.clone());
        making.spawn(async move {
            if let Err(error) =
                Box::pin(tenants.ensure_home(&client, &change.record.owner, tier)).await
            {
                tracing::warn!(
                    seal = %change.record.seal_id,
                    error = &error as &(dyn std::error::Error + 'static),
                    "a raised holder has no namespace yet"
                );
            }
            drop(place);
        });
    }
}

/// The new tier, where a seal in use rose to one that has a namespace.
fn raised(change: &Change) -> Option<Tier> {
    let after = change.after.ok()?;
    let before = change.before?;
    (before < Tier::Developer && after >= Tier::Developer).then_some(after)
}

#[cfg(test)]
mod tests;
