//! What the webhook runs on.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use seal::access::{GuardState, Policy};
use seal::{Address, CredentialHash, NodeName, NodeStanding};
use tokio::sync::Semaphore;

use crate::metrics::AuthzMetrics;

/// How long the directory may take before a review is answered without it: shorter
/// than the API server's `timeout: 3s`, so that our refusal arrives instead of its timeout.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(2);

/// How long a node may be drained when nobody says.
pub const DEFAULT_DRAIN_GRACE: Duration = Duration::from_mins(5);

/// Reviews of seals that may wait for the chain at once: half of the in-flight budget of
/// reviews. Whoever may ask for access reviews in its own namespace may have any hash
/// looked up, and must not keep those waiting that are answered from memory.
pub(crate) const MAX_WAITING: usize = 1_024;

/// How much the identities that all machines share may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// What RBAC gives them: flannel, kube-proxy and K3s's network policy controller work.
    Open,
    /// Nothing but what a stock agent can't start without.
    #[default]
    Strict,
}

impl Isolation {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Open, Self::Strict];

    /// The name in the configuration.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Strict => "strict",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// The operator's choices.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the tiers may do.
    pub policy: Policy,
    /// Nodes of the control plane: they hold no seal. Exact names, dots and all.
    pub control_plane_nodes: BTreeSet<String>,
    /// How much shared identities may do.
    pub isolation: Isolation,
    /// How long the directory may take.
    pub deadline: Duration,
    /// How long a node whose seal ended without fault may go on, to be drained.
    pub drain_grace: Duration,
}

impl Settings {
    /// The strictest settings with this policy.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            control_plane_nodes: BTreeSet::new(),
            isolation: Isolation::default(),
            deadline: DEFAULT_DEADLINE,
            drain_grace: DEFAULT_DRAIN_GRACE,
        }
    }
}

/// What the cluster remembers of nodes that joined with a seal. Implemented where there is a client
/// of the API server.
pub trait NodeStandings: Send + Sync + 'static {
    /// How a node stands, by what is known without I/O. Asked with every review of a node.
    fn standing(&self, name: &str) -> NodeStanding;

    /// Whose seal the node joined with, by what is known without I/O. Certificates for its name were
    /// signed for that owner and live for a year: a name that another owner holds is not theirs.
    fn owner(&self, name: &str) -> Option<Address>;
}

/// Remembers no node: those whose seal has ended are not drained, and a node that was cut off goes
/// on while nothing is known of its seal.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoNodes;

impl NodeStandings for NoNodes {
    fn standing(&self, _name: &str) -> NodeStanding {
        NodeStanding::Unknown
    }

    fn owner(&self, _name: &str) -> Option<Address> {
        None
    }
}

/// The webhook's state: the directory, the namespaces' owners, the settings, and whether
/// the guards inside the API server are in place.
pub struct App<D, N> {
    pub(crate) directory: Arc<D>,
    pub(crate) namespaces: Arc<N>,
    pub(crate) standings: Arc<dyn NodeStandings>,
    /// Swapped as a whole, so that a review never waits for a change.
    pub(crate) settings: ArcSwap<Settings>,
    pub(crate) guards: GuardState,
    pub(crate) metrics: AuthzMetrics,
    pub(crate) nodes: NodeMemory,
    /// Places of reviews of seals that wait for the chain.
    pub(crate) waiting: Semaphore,
}

impl<D, N> App<D, N> {
    /// Puts it together. No I/O.
    #[must_use]
    pub fn new(
        directory: Arc<D>,
        namespaces: Arc<N>,
        standings: Arc<dyn NodeStandings>,
        settings: Settings,
        guards: GuardState,
        metrics: AuthzMetrics,
    ) -> Self {
        Self {
            directory,
            namespaces,
            standings,
            settings: ArcSwap::from_pointee(settings),
            guards,
            metrics,
            nodes: NodeMemory::default(),
            waiting: Semaphore::new(MAX_WAITING),
        }
    }

    /// Answers by these settings from the next decision on.
    pub fn replace_settings(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }
}

impl<D, N> fmt::Debug for App<D, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("settings", &self.settings.load())
            .field("guards", &self.guards)
            .finish_non_exhaustive()
    }
}

/// Which seal each node's name was last seen with: ends are remembered by credential
/// hash, and an unreachable chain can't say which hash a name has.
#[derive(Debug, Default)]
pub(crate) struct NodeMemory(RwLock<HashMap<NodeName, CredentialHash>>);

/// Far above the 1,000 nodes that one control plane is made for; about 1.5 MB.
const MAX_REMEMBERED_NODES: usize = 10_000;

impl NodeMemory {
    pub(crate) fn hash(&self, name: &NodeName) -> Option<CredentialHash> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).copied()
    }

    pub(crate) fn remember(&self, name: &NodeName, hash: CredentialHash) {
        if self.hash(name) == Some(hash) {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // A full memory keeps what it has: names are claimed for good, so they are few.
        if known.len() < MAX_REMEMBERED_NODES || known.contains_key(name) {
            known.insert(name.clone(), hash);
        }
    }
}
