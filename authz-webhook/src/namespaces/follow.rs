//! Follows all objects of one kind, and proves again and again that it does.
//!
//! `kube::runtime::watcher` tells changes alone: from outside a watch on a quiet cluster
//! can't be told from one whose connection died, and an answer that never comes is waited
//! for without end. Here every call has a deadline, a watch lasts [`WATCH`] at most, and
//! whatever the API server says (a bookmark, the end of a watch) is told as
//! [`Told::Nothing`], so that the age of what is known is known.
//!
//! Errors: a broken watch goes on where it was, with pauses from 0.1 s to 2 s; where the
//!         API server has forgotten that place, everything is listed anew.
//! Source: Kubernetes API concepts, "Efficient detection of changes".

use std::collections::HashMap;
use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::Status;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout, timeout_at};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Short, since tenants wait for it while the control plane starts.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Objects a page: what the API server reads from its store at once.
const PAGE: u32 = 500;
/// A page, or the opening of a watch, comes by then.
const ANSWER: Duration = Duration::from_secs(10);
/// The API server ends a watch after so many seconds; opening it again costs it nothing
/// much, and shows both sides that the other is there.
const WATCH: u32 = 20;
/// Without a word after `WATCH` and this, nobody is there.
const MARGIN: Duration = Duration::from_secs(5);
/// A watch that ends sooner than this was not worth opening: the next one waits.
const SHORT: Duration = Duration::from_secs(1);

/// The longest time between two words of an API server that can be reached: the end of a
/// watch, and the opening of the next.
pub(super) const LONGEST_SILENCE: Duration =
    Duration::from_secs(WATCH as u64 + MARGIN.as_secs() + ANSWER.as_secs());

/// What the API server told, by the objects' names.
#[derive(Debug)]
pub(super) enum Told<T> {
    /// All there is: what is not among it is gone.
    All(HashMap<Box<str>, T>),
    /// This object is there, and so.
    Is(Box<str>, T),
    /// It is gone.
    Gone(Box<str>),
    /// Nothing has changed.
    Nothing,
}

/// Why following stopped for a moment.
#[derive(Debug, thiserror::Error)]
enum Interruption {
    #[error("no answer in time")]
    Late,
    #[error("the API server refused: {}", .0.message)]
    Refused(Box<Status>),
    #[error("the API server could not be asked")]
    Api(#[source] kube::Error),
}

/// What was logged last: an API server that is away for a night is told of once.
#[derive(Debug, Default)]
struct Trouble(Option<String>);

impl Trouble {
    fn is_new(&mut self, error: &str) -> bool {
        let is_new = self.0.as_deref() != Some(error);
        if is_new {
            self.0 = Some(error.to_owned());
        }
        is_new
    }
}

/// Tells for ever what `read` makes of the objects. `tell` is given the instant that
/// what is told was true at, or later.
pub(super) async fn follow<K, T>(
    kind: &'static str,
    api: Api<K>,
    read: impl Fn(&K) -> T,
    tell: impl Fn(Instant, Told<T>),
) where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let mut pause = FIRST_PAUSE;
    let mut place = None;
    let mut trouble = Trouble::default();
    loop {
        let began = Instant::now();
        let ended = match &mut place {
            None => list(&api, &read).await.map(|(all, version)| {
                tell(began, Told::All(all));
                place = Some(version);
                true
            }),
            Some(version) => watch(&api, version, &read, &tell)
                .await
                .map(|()| began.elapsed() >= SHORT),
        };
        match ended {
            Ok(true) => {
                pause = FIRST_PAUSE;
                trouble = Trouble::default();
                continue;
            }
            Ok(false) => {}
            Err(interruption) => {
                // The place is only worth keeping where the line was at fault.
                if matches!(interruption, Interruption::Refused(_)) {
                    place = None;
                }
                let error = chain(&interruption);
                if trouble.is_new(&error) {
                    tracing::warn!(kind, error, "watch interrupted; it is tried again");
                } else {
                    tracing::debug!(kind, error, "watch interrupted");
                }
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Everything there is, with the place to watch from.
async fn list<K, T>(
    api: &Api<K>,
    read: &impl Fn(&K) -> T,
) -> Result<(HashMap<Box<str>, T>, String), Interruption>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let mut all = HashMap::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = timeout(ANSWER, api.list(&params))
            .await
            .map_err(|_elapsed| Interruption::Late)?
            .map_err(failed)?;
        let objects = page.items.iter();
        all.extend(objects.map(|object| (key(object), read(object))));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok((all, page.metadata.resource_version.unwrap_or_default())),
        }
    }
}

/// Changes since `version`, which moves on with them, until the API server ends the watch.
async fn watch<K, T>(
    api: &Api<K>,
    version: &mut String,
    read: &impl Fn(&K) -> T,
    tell: &impl Fn(Instant, Told<T>),
) -> Result<(), Interruption>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let params = WatchParams::default().timeout(WATCH);
    let until = Instant::now() + Duration::from_secs(u64::from(WATCH)) + MARGIN;
    let events = timeout(ANSWER, api.watch(&params, version))
        .await
        .map_err(|_elapsed| Interruption::Late)?
        .map_err(failed)?;
    let mut events = pin!(events);
    tell(Instant::now(), Told::Nothing);
    loop {
        let event = timeout_at(until, events.next())
            .await
            .map_err(|_elapsed| Interruption::Late)?;
        let (object, gone) = match event {
            // In good order: a connection that breaks is an error.
            None => {
                tell(Instant::now(), Told::Nothing);
                return Ok(());
            }
            Some(Err(error)) => return Err(failed(error)),
            Some(Ok(WatchEvent::Error(status))) => return Err(Interruption::Refused(status)),
            Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                *version = bookmark.metadata.resource_version;
                tell(Instant::now(), Told::Nothing);
                continue;
            }
            Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => (object, false),
            Some(Ok(WatchEvent::Deleted(object))) => (object, true),
        };
        let name = key(&object);
        let told = if gone {
            Told::Gone(name)
        } else {
            Told::Is(name, read(&object))
        };
        tell(Instant::now(), told);
        if let Some(newer) = object.resource_version() {
            *version = newer;
        }
    }
}

/// The object's name; where it is in a namespace, after that and a slash.
fn key<K: Resource>(object: &K) -> Box<str> {
    let name = object.name_any();
    match object.namespace() {
        Some(namespace) => format!("{namespace}/{name}").into(),
        None => name.into(),
    }
}

/// An answer of the API server or none at all.
fn failed(error: kube::Error) -> Interruption {
    match error {
        kube::Error::Api(status) => Interruption::Refused(status),
        error => Interruption::Api(error),
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
