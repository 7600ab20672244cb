//! All nodes that joined by stake, as one process sees them.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use seal::{CredentialHash, NodeName, NodeStanding, SealRecord};
use sui_ledger::directory::{Change, Directory, SealDirectory, Unavailable, Watch};
use tokio::sync::{broadcast, watch};

use crate::join::{self, JoinError, Joins};
use crate::metrics::NodeMetrics;
use crate::records::{self, Heartbeats};
use crate::sealed_node::{Heartbeat, Registration, SealedNode};
use crate::settings::NodeSettings;
use crate::store::{self, Store};

/// A seal directory that tells of changes and keeps what it is asked to keep.
pub trait NodeDirectory: SealDirectory {
    /// A hold on a seal; dropping it lets go.
    type Hold: Send + Sync + 'static;

    /// Everything that happens to seals from now on.
    fn changes(&self) -> broadcast::Receiver<Change>;

    /// Keeps a seal in view: all that happens to it is told, its expiry included, also when it
    /// has left the cache or the stream was broken for a while.
    fn hold(&self, hash: CredentialHash) -> Result<Self::Hold, Unavailable>;
}

impl NodeDirectory for Directory {
    type Hold = Watch;

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.subscribe()
    }

    fn hold(&self, hash: CredentialHash) -> Result<Watch, Unavailable> {
        self.watch(hash)
    }
}

/// Lets nodes join and keeps what is known of them. Clones are handles of the same one.
#[derive(Debug)]
pub struct Nodes<D> {
    pub(crate) shared: Arc<Shared<D>>,
}

impl<D> Clone for Nodes<D> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

/// What the parts of [`Nodes`] share.
#[derive(Debug)]
pub(crate) struct Shared<D> {
    pub(crate) directory: Arc<D>,
    pub(crate) settings: ArcSwap<NodeSettings>,
    /// Told when the settings are replaced.
    pub(crate) news: watch::Sender<u64>,
    pub(crate) metrics: NodeMetrics,
    /// The SealedNodes, as [`Nodes::follow`] sees them.
    pub(crate) store: Store,
    pub(crate) joins: Joins,
    heartbeats: Heartbeats,
}

impl<D: NodeDirectory> Nodes<D> {
    /// Starts nothing.
    #[must_use]
    pub fn new(directory: Arc<D>, settings: NodeSettings, metrics: NodeMetrics) -> Self {
        Self {
            shared: Arc::new(Shared {
                directory,
                settings: ArcSwap::from_pointee(settings),
                news: watch::Sender::new(0),
                metrics,
                store: Store::default(),
                joins: Joins::new(),
                heartbeats: Heartbeats::new(),
            }),
        }
    }

    /// Makes sure that a node which may join has a Node, on any replica, while its agent waits.
    ///
    /// For a record that is usable, names this node and holds the claim of its name: that is the
    /// caller's to have seen. However many callers ask for a node at once, it is one attempt,
    /// which outlives a caller that gives up.
    pub async fn admit(
        &self,
        client: &kube::Client,
        name: &NodeName,
        hash: CredentialHash,
        record: &SealRecord,
    ) -> Result<(), JoinError> {
        let admitted = join::admit(&self.shared, client, name, hash, record).await;
        let outcome = admitted.as_ref().map_or_else(JoinError::label, |()| "ok");
        self.shared.metrics.joined(outcome);
        admitted
    }

    /// Keeps the SealedNodes' definition applied and follows them, for ever, on every replica.
    pub async fn follow(&self, client: kube::Client) {
        store::follow(&self.shared.store, &self.shared.metrics, client).await;
    }

    /// How a node stands, by what [`Nodes::follow`] last saw. Cheap.
    ///
    /// A node that has not asked to join yet is unknown.
    #[must_use]
    pub fn standing(&self, name: &str) -> NodeStanding {
        self.shared
            .store
            .get(name)
            .map_or(NodeStanding::Unknown, |found| records::standing(&found))
    }

    /// The names of the nodes that are cut from now on, as [`Nodes::follow`] sees it.
    #[must_use]
    pub fn cuts(&self) -> broadcast::Receiver<Box<str>> {
        self.shared.store.cuts()
    }

    /// All that are known, by name.
    #[must_use]
    pub fn sealed_nodes(&self) -> Vec<Arc<SealedNode>> {
        self.shared.store.all()
    }

    /// What is known of one.
    #[must_use]
    pub fn sealed_node(&self, name: &str) -> Option<Arc<SealedNode>> {
        self.shared.store.get(name)
    }

    /// How old what [`Nodes::follow`] knows may be; `None` before the first list is in.
    #[must_use]
    pub fn view_age(&self) -> Option<Duration> {
        self.shared.store.age()
    }

    /// Keeps what an operator says of a machine, before or after its agent joins.
    ///
    /// As with [`Nodes::admit`], whose record it is and that it names the node is the caller's to
    /// have seen.
    pub async fn register(
        &self,
        client: &kube::Client,
        name: &NodeName,
        hash: CredentialHash,
        record: &SealRecord,
        registration: Registration,
    ) -> Result<(), JoinError> {
        let settings = self.shared.settings.load_full();
        let registered =
            records::register(client, &settings, name, hash, record, registration).await;
        let outcome = registered.as_ref().map_or_else(JoinError::label, |()| "ok");
        self.shared.metrics.registered(outcome);
        registered
    }

    /// Keeps a worker's newest heartbeat. More than one in ten seconds is not written.
    pub async fn heartbeat(
        &self,
        client: &kube::Client,
        name: &NodeName,
        heartbeat: Heartbeat,
    ) -> Result<(), JoinError> {
        let kept = self.shared.heartbeats.keep(client, name, heartbeat).await;
        let outcome = match &kept {
            Ok(written) => written.label(),
            Err(error) => error.label(),
        };
        self.shared.metrics.heartbeat(outcome);
        kept.map(drop)
    }

    /// Replaces the settings; all nodes are looked at again.
    pub fn replace_settings(&self, settings: NodeSettings) {
        self.shared.settings.store(Arc::new(settings));
        self.shared
            .news
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}
