//! Follows the addresses of nodes and of the API server, which tenants' pods may not reach.
//!
//! Shape:  two watches; what is new is told to everybody who makes network policies.
//! Errors: a watch that breaks keeps what it knew. Machines are strangers' and name their own
//!         addresses: each only a few, and the API server's own come first.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Node, NodeStatus};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};

use super::ranges;
use super::tenants::Shared;

/// Internal and external address of two families.
const MOST_OF_A_NODE: usize = 4;

/// Follows for ever.
pub(super) async fn follow<D>(shared: &Shared<D>, client: kube::Client) {
    let (nodes, node_writer) = reflector::store::<Node>();
    let (slices, slice_writer) = reflector::store::<EndpointSlice>();
    let node_changes = watcher(Api::<Node>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .modify(strip)
        .reflect(node_writer)
        .map(Result::err);
    let of_the_server = watcher::Config::default().labels("kubernetes.io/service-name=kubernetes");
    let slice_changes = watcher(
        Api::<EndpointSlice>::namespaced(client, "default"),
        of_the_server,
    )
    .default_backoff()
    .modify(|slice| slice.metadata.managed_fields = None)
    .reflect(slice_writer)
    .map(Result::err);
    let mut changes = stream::select(node_changes.boxed(), slice_changes.boxed());
    let (mut nodes_known, mut slices_known) = (false, false);
    while let Some(error) = changes.next().await {
        if let Some(error) = error {
            tracing::debug!(
                error = &error as &(dyn std::error::Error + 'static),
                "a watch of addresses broke"
            );
        }
        nodes_known = nodes_known || is_ready(&nodes);
        slices_known = slices_known || is_ready(&slices);
        if nodes_known && slices_known {
            publish(shared, found(&slices.state(), &nodes.state()));
        }
    }
}

/// Whether its first list is in.
fn is_ready<K: kube::Resource<DynamicType = ()> + Clone + 'static>(store: &Store<K>) -> bool {
    use futures::FutureExt;
    matches!(store.wait_until_ready().now_or_never(), Some(Ok(())))
}

/// Of a node only its addresses are kept.
fn strip(node: &mut Node) {
    node.metadata.managed_fields = None;
    node.metadata.annotations = None;
    node.spec = None;
    node.status = node.status.take().map(|status| NodeStatus {
        addresses: status.addresses,
        ..NodeStatus::default()
    });
}

fn publish<D>(shared: &Shared<D>, found: Vec<IpAddr>) {
    if **shared.found.load() == found {
        return;
    }
    let closed = ranges::closed(&shared.settings.load().closed_ranges, &found);
    if closed.left_out > 0 {
        tracing::warn!(
            left_out = closed.left_out,
            most = ranges::MAX_ADDRESSES,
            "too many addresses outside the closed ranges: tenants' pods may reach some of them; \
             add their ranges to closed_ranges"
        );
    }
    shared.found.store(Arc::new(found));
    shared.tell();
}

/// The API server's addresses, then those of nodes, each in order.
fn found(slices: &[Arc<EndpointSlice>], nodes: &[Arc<Node>]) -> Vec<IpAddr> {
    let endpoints = slices
        .iter()
        .flat_map(|slice| slice.endpoints.iter().flatten());
    let servers: BTreeSet<IpAddr> = endpoints
        .flat_map(|endpoint| endpoint.addresses.iter())
        .filter_map(|address| address.parse().ok())
        .collect();
    let of_a_node = |node: &Arc<Node>| -> Vec<IpAddr> {
        let addresses = node
            .status
            .as_ref()
            .and_then(|status| status.addresses.as_ref());
        let addresses = addresses.map(Vec::as_slice).unwrap_or_default().iter();
        addresses
            .filter(|address| matches!(address.type_.as_str(), "InternalIP" | "ExternalIP"))
            .filter_map(|address| address.address.parse().ok())
            .take(MOST_OF_A_NODE)
            .collect()
    };
    let others: BTreeSet<IpAddr> = nodes
        .iter()
        .flat_map(of_a_node)
        .filter(|address| !servers.contains(address))
        .collect();
    servers.into_iter().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::NodeAddress;
    use k8s_openapi::api::discovery::v1::Endpoint;

    use super::*;

    fn node(addresses: &[(&str, &str)]) -> Arc<Node> {
        let address = |(type_, address): &(&str, &str)| NodeAddress {
            type_: (*type_).to_owned(),
            address: (*address).to_owned(),
        };
        Arc::new(Node {
            status: Some(NodeStatus {
                addresses: Some(addresses.iter().map(address).collect()),
                ..NodeStatus::default()
            }),
            ..Node::default()
        })
    }

    #[test]
    fn the_servers_come_first_and_a_node_names_only_a_few() {
        let slice = EndpointSlice {
            endpoints: Some(vec![Endpoint {
                addresses: vec!["203.0.113.9".to_owned(), "no address".to_owned()],
                ..Endpoint::default()
            }]),
            ..EndpointSlice::default()
        };
        let many: Vec<(&str, &str)> = [
            "192.0.2.1",
            "192.0.2.2",
            "192.0.2.3",
            "192.0.2.4",
            "192.0.2.5",
            "192.0.2.6",
        ]
        .map(|address| ("ExternalIP", address))
        .to_vec();
        let one = node(&[("Hostname", "192.0.2.9"), ("InternalIP", "10.0.0.1")]);
        let found = found(&[Arc::new(slice)], &[node(&many), one]);
        let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "203.0.113.9",
                "10.0.0.1",
                "192.0.2.1",
                "192.0.2.2",
                "192.0.2.3",
                "192.0.2.4"
            ]
        );
    }
}
