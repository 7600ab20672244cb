//! What the gate asks of seals, owners and nodes.

use std::any::Any;

use futures::future::BoxFuture;
use seal::{Address, CredentialHash, NodeStanding};
use sui_ledger::directory::Change;
use tokio::sync::broadcast;

/// How a seal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealNow {
    /// It gives a tier.
    Usable,
    /// It gives nothing, or is not on the chain.
    Ended,
    /// It can't be read, and no end of it is known.
    Unknown,
}

/// How the owner of a namespace stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerNow {
    /// It has a usable seal of developer or more: its namespaces live.
    Usable,
    /// All its seals were read, and it has none.
    Ended,
    /// Not all could be read.
    Unknown,
}

/// What holds a seal in view; dropping it lets go.
pub type Hold = Box<dyn Any + Send>;

/// What the gate asks.
pub trait Standings: Send + Sync + 'static {
    /// Everything that happens to seals from now on.
    fn changes(&self) -> broadcast::Receiver<Change>;

    /// The names of nodes that are cut from now on.
    fn cuts(&self) -> broadcast::Receiver<Box<str>>;

    /// Keeps a seal in view, so that all that happens to it is told, its expiry included.
    fn hold(&self, hash: CredentialHash) -> Option<Hold>;

    /// How a seal stands.
    fn seal(&self, hash: CredentialHash) -> BoxFuture<'_, SealNow>;

    /// Whose a namespace is; nothing where it is no tenant's.
    fn owner_of(&self, namespace: &str) -> Option<Address>;

    /// How an owner stands.
    fn owner(&self, owner: Address) -> BoxFuture<'_, OwnerNow>;

    /// How a node stands.
    fn node(&self, name: &str) -> NodeStanding;
}

/// Nothing ever ends: for tests of what lies below.
#[derive(Debug)]
pub struct Nobody {
    changes: broadcast::Sender<Change>,
    cuts: broadcast::Sender<Box<str>>,
}

impl Default for Nobody {
    fn default() -> Self {
        Self {
            changes: broadcast::Sender::new(1),
            cuts: broadcast::Sender::new(1),
        }
    }
}

impl Standings for Nobody {
    fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    fn cuts(&self) -> broadcast::Receiver<Box<str>> {
        self.cuts.subscribe()
    }

    fn hold(&self, _: CredentialHash) -> Option<Hold> {
        None
    }

    fn seal(&self, _: CredentialHash) -> BoxFuture<'_, SealNow> {
        Box::pin(std::future::ready(SealNow::Usable))
    }

    fn owner_of(&self, _: &str) -> Option<Address> {
        None
    }

    fn owner(&self, _: Address) -> BoxFuture<'_, OwnerNow> {
        Box::pin(std::future::ready(OwnerNow::Usable))
    }

    fn node(&self, _: &str) -> NodeStanding {
        NodeStanding::Unknown
    }
}
