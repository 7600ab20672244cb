//! Follows all Nodes, and the endpoints of the API server.

use std::collections::BTreeSet;
use std::time::Instant;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Api, Client, ResourceExt};

use super::claims::Claims;
use super::{Admit, ip};

/// Watches end and begin anew this often, seconds: one that is silent because it is broken is found
/// out.
const WATCH_SECONDS: u32 = 60;

impl Admit {
    /// Follows the API server for ever; drop the future to stop.
    ///
    /// Needs list and watch of `nodes`, and of `endpointslices` in the namespace `default`.
    pub async fn run(&self, client: Client) {
        tokio::join!(
            self.follow_nodes(client.clone()),
            self.follow_servers(client)
        );
    }

    async fn follow_nodes(&self, client: Client) {
        let config = Config::default().timeout(WATCH_SECONDS);
        let events = watcher(Api::<Node>::all(client), config).default_backoff();
        let mut events = std::pin::pin!(events);
        let mut complained = false;
        while let Some(event) = events.next().await {
            let error = event.as_ref().err().map(ToString::to_string);
            let counts = self.with_book(|book| {
                match event {
                    Ok(Event::Init) => book.begin(),
                    Ok(Event::InitApply(node)) => book.list(&node.name_any(), &Claims::of(&node)),
                    Ok(Event::InitDone) => book.listed(),
                    Ok(Event::Apply(node)) => book.is(&node.name_any(), &Claims::of(&node)),
                    Ok(Event::Delete(node)) => book.gone(&node.name_any()),
                    Err(_) => book.broke(Instant::now()),
                }
                book.counts()
            });
            self.metrics.knows(counts);
            if let Some(error) = &error
                && !complained
            {
                tracing::warn!(error, "the watch of Nodes broke; it is tried again");
            }
            complained = error.is_some();
        }
    }

    /// What it does not learn is known by the settings, or not at all: nothing waits for it.
    async fn follow_servers(&self, client: Client) {
        let (slices, writer) = reflector::store::<EndpointSlice>();
        let config = Config::default()
            .labels("kubernetes.io/service-name=kubernetes")
            .timeout(WATCH_SECONDS);
        let events = watcher(Api::<EndpointSlice>::namespaced(client, "default"), config)
            .default_backoff()
            .reflect(writer);
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            if event.is_ok() {
                let servers: BTreeSet<_> = slices
                    .state()
                    .iter()
                    .flat_map(|slice| slice.endpoints.iter().flatten())
                    .flat_map(|endpoint| &endpoint.addresses)
                    .filter_map(|address| ip::parse(address))
                    .collect();
                self.with_book(|book| book.serve(servers));
            }
        }
    }
}
