//! Hearing of changes of the guards' objects.

use std::pin::Pin;

use futures::stream::{SelectAll, Stream, StreamExt};
use kube::Client;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};

use crate::guards::live;

/// See [`changes`].
pub(super) type Changes = SelectAll<Pin<Box<dyn Stream<Item = ()> + Send>>>;

/// An item whenever one of our objects changes or loses our label, or a watch begins anew and may
/// have missed that. For ever; what went wrong is told by the rounds.
pub(super) fn changes(client: &Client) -> Changes {
    let watches = live::KINDS.map(|kind| {
        let ours = watcher::Config::default().labels(&live::label());
        // Backs off from 0.8 s to 30 s while the API server does not answer or serve the kind.
        watcher(live::api(client, kind), ours)
            .default_backoff()
            .filter_map(|event| async move {
                match event {
                    Ok(Event::Apply(_) | Event::Delete(_) | Event::InitDone) => Some(()),
                    Ok(Event::Init | Event::InitApply(_)) | Err(_) => None,
                }
            })
            .boxed()
    });
    futures::stream::select_all(watches)
}
