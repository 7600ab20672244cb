//! Follows the SealedNodes, and proves again and again that it does.
//!
//! Shape:  a list, then watches of [`WATCH`] seconds each. What the API server says, an end or a
//!         bookmark included, shows that the view is current; a watch that is silent for longer is
//!         given up. `kube::runtime::watcher` tells changes alone, which on a quiet cluster can't be
//!         told from a connection that died.
//! Errors: pauses from 0.2 s to 5 s; where the API server has forgotten the place, everything is
//!         listed anew; where it does not know the kind, its definition is applied anew.
//! Source: Kubernetes API concepts, "Efficient detection of changes".

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Store, Told, crd};
use crate::join::JoinError;
use crate::metrics::NodeMetrics;
use crate::sealed_node::SealedNode;
use crate::within::within;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Objects a page.
const PAGE: u32 = 500;
/// A watch is opened by then.
const ANSWER: Duration = Duration::from_secs(10);
/// The API server ends a watch after so many seconds.
const WATCH: u32 = 20;
/// Without a word after `WATCH` and this, nobody is there.
const MARGIN: Duration = Duration::from_secs(5);
/// How often the age of the view is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// For ever.
pub(crate) async fn follow(store: &Store, metrics: &NodeMetrics, client: kube::Client) {
    let measure = async {
        loop {
            metrics.view_age(store.age());
            tokio::time::sleep(MEASURE_EVERY).await;
        }
    };
    tokio::join!(hear(store, &client), measure);
}

async fn hear(store: &Store, client: &kube::Client) {
    let all: Api<SealedNode> = Api::all(client.clone());
    let mut pause = FIRST_PAUSE;
    let mut defined = false;
    let mut place = None;
    let mut told = None;
    loop {
        let step = step(store, client, &all, &mut defined, &mut place).await;
        let Err(error) = step else {
            pause = FIRST_PAUSE;
            told = None;
            continue;
        };
        // The place is only worth keeping where the line was at fault.
        if error.is_answer() {
            place = None;
        }
        defined &= !error.is_missing();
        // An API server that is away for a night is told of once.
        let text = format!("{error:?}");
        if told.as_ref() != Some(&text) {
            tracing::warn!(
                error = &error as &(dyn std::error::Error + 'static),
                "sealed nodes can't be followed; it is tried again"
            );
            told = Some(text);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The next thing to do: define, list, or watch until the watch ends.
async fn step(
    store: &Store,
    client: &kube::Client,
    all: &Api<SealedNode>,
    defined: &mut bool,
    place: &mut Option<String>,
) -> Result<(), JoinError> {
    if !*defined {
        crd::ensure(client).await?;
        *defined = true;
    }
    match place {
        None => *place = Some(list(store, all).await?),
        Some(version) => watch(store, all, version).await?,
    }
    Ok(())
}

/// Everything there is; the place to watch from.
async fn list(store: &Store, all: &Api<SealedNode>) -> Result<String, JoinError> {
    let began = Instant::now();
    let mut found = Vec::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let answer = within("list sealed nodes", all.list(&page)).await?;
        found.extend(answer.items);
        let more = answer.metadata.continue_;
        page.continue_token = more.filter(|token| !token.is_empty());
        if page.continue_token.is_none() {
            store.hear(began, Told::All(found));
            return Ok(answer.metadata.resource_version.unwrap_or_default());
        }
    }
}

/// Changes since `version`, which moves on with them, until the API server ends the watch.
async fn watch(
    store: &Store,
    all: &Api<SealedNode>,
    version: &mut String,
) -> Result<(), JoinError> {
    const WHAT: &str = "watch sealed nodes";
    let params = WatchParams::default().timeout(WATCH);
    let began = Instant::now();
    let until = began + Duration::from_secs(u64::from(WATCH)) + MARGIN;
    let late = |_elapsed| JoinError::Late { what: WHAT };
    let failed = |source| JoinError::Api {
        what: WHAT,
        source: std::sync::Arc::new(source),
    };
    let events = timeout(ANSWER, all.watch(&params, version)).await;
    let mut events = pin!(events.map_err(late)?.map_err(failed)?);
    store.hear(began, Told::Nothing);
    loop {
        let event = timeout_at(until, events.next()).await.map_err(late)?;
        let (object, gone) = match event {
            // In good order: a connection that breaks is an error.
            None => {
                store.hear(Instant::now(), Told::Nothing);
                // One that ends at once was not worth opening: the next one waits.
                tokio::time::sleep_until(began + FIRST_PAUSE).await;
                return Ok(());
            }
            Some(Err(error)) => return Err(failed(error)),
            Some(Ok(WatchEvent::Error(status))) => return Err(failed(kube::Error::Api(status))),
            Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                *version = bookmark.metadata.resource_version;
                store.hear(Instant::now(), Told::Nothing);
                continue;
            }
            Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => (object, false),
            Some(Ok(WatchEvent::Deleted(object))) => (object, true),
        };
        if let Some(newer) = object.resource_version() {
            *version = newer;
        }
        let told = if gone {
            Told::Gone(object.name_any().into())
        } else {
            Told::Is(Box::new(object))
        };
        store.hear(Instant::now(), told);
    }
}

#[cfg(test)]
mod tests;
