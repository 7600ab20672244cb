//! I/O: what the directory and the namespace watch know of who asks.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use seal::access::{GuardState, NamespaceView, Ownership};
use seal::{
    Address, CredentialHash, NodeClaim, NodeName, NodeStanding, SealRecord, Thresholds, UnixMillis,
};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::app::App;
use crate::caller::{Caller, SharedIdentity};
use crate::claimed::ClaimedSeal;
use crate::namespaces::NamespaceOwners;
use crate::review::SubjectAccessReviewSpec;
use crate::verdict::{Cause, Refusal};
use sui_ledger::directory::{End, SealDirectory, Unavailable};

/// A record as read now: there, not there, or unreadable.
pub(crate) type Read<T> = Result<Option<T>, Cause>;

/// All that a decision needs besides the request and the settings.
#[derive(Debug)]
pub(crate) enum Facts {
    /// A seal's user whose claim has the right form.
    Seal(SealFacts),
    /// A caller that is refused by its form alone.
    Malformed(Refusal),
    /// A service account of a tenant's namespace.
    Account(AccountFacts),
    /// A node that is not of the control plane.
    Node(NodeFacts),
    /// A node of the control plane.
    ControlPlane,
    /// An identity that all machines share.
    Shared(SharedIdentity),
    /// Anybody else.
    Other,
}

#[derive(Debug)]
pub(crate) struct SealFacts {
    pub(crate) claimed: ClaimedSeal,
    pub(crate) record: Read<Arc<SealRecord>>,
    /// Of the namespace that the request is about, if any.
    pub(crate) namespace: Option<NamespaceView>,
    pub(crate) clock: Clock,
}

#[derive(Debug)]
pub(crate) struct AccountFacts {
    pub(crate) ownership: Ownership,
    /// The owner's records; empty where there is no owner.
    pub(crate) seals: Vec<Read<Arc<SealRecord>>>,
    pub(crate) clock: Clock,
}

#[derive(Debug)]
pub(crate) struct NodeFacts {
    pub(crate) name: NodeName,
    pub(crate) claim: Read<NodeClaim>,
    /// `None` where there is no claim to follow.
    pub(crate) record: Option<Read<Arc<SealRecord>>>,
    /// How the seal that the name was last seen with is known to have ended.
    pub(crate) end: Option<End>,
    /// How the node stands in the cluster.
    pub(crate) standing: NodeStanding,
    /// Whose seal it joined with, where the cluster remembers one.
    pub(crate) joined_by: Option<Address>,
    pub(crate) clock: Clock,
}

/// What a record is measured by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) now: UnixMillis,
    pub(crate) thresholds: Thresholds,
    /// Whether the guards inside the API server are in place.
    pub(crate) guarded: bool,
}

/// Reads what there is to know of who asks; never longer than the deadline.
pub(crate) async fn gather<D, N>(
    app: &App<D, N>,
    spec: &SubjectAccessReviewSpec,
    about: Option<&str>,
) -> Facts
where
    D: SealDirectory,
    N: NamespaceOwners,
{
    let reads = Reads {
        directory: &*app.directory,
        guards: &app.guards,
        until: deadline(app.settings.load().deadline),
    };
    match Caller::of(spec) {
        Caller::Seal => match ClaimedSeal::read(spec) {
            Ok(claimed) => {
                let namespace = about.map(|name| app.namespaces.view(name));
                let record = reads.seal_of_stranger(&app.waiting, claimed.hash).await;
                Facts::Seal(SealFacts {
                    claimed,
                    record,
                    namespace,
                    clock: reads.clock(),
                })
            }
            Err(refusal) => Facts::Malformed(refusal),
        },
        Caller::SealGroupOnly => Facts::Malformed(Refusal::GroupWithoutSeal),
        Caller::TenantAccount { namespace: None } => Facts::Malformed(Refusal::AccountAmbiguous),
        Caller::TenantAccount {
            namespace: Some(namespace),
        } => {
            let ownership = app.namespaces.view(namespace).ownership;
            let seals = match ownership {
                Ownership::Owned(owner) => reads.owner_seals(owner).await,
                Ownership::Unowned | Ownership::Unknown => Vec::new(),
            };
            Facts::Account(AccountFacts {
                ownership,
                seals,
                clock: reads.clock(),
            })
        }
        Caller::Node(name) if is_control_plane(app, name) => Facts::ControlPlane,
        Caller::Node(name) => match name.parse() {
            Ok(name) => Facts::Node(node(app, &reads, name).await),
            Err(_) => Facts::Malformed(Refusal::NodeName),
        },
        Caller::Shared(identity) => Facts::Shared(identity),
        Caller::Other => Facts::Other,
    }
}

fn is_control_plane<D, N>(app: &App<D, N>, name: &str) -> bool {
    app.settings.load().control_plane_nodes.contains(name)
}

async fn node<D: SealDirectory, N>(
    app: &App<D, N>,
    reads: &Reads<'_, D>,
    name: NodeName,
) -> NodeFacts {
    let claim = reads.within(app.directory.claim(&name)).await;
    let hash = match &claim {
        Ok(Some(claim)) => {
            app.nodes.remember(&name, claim.hash);
            Some(claim.hash)
        }
        Ok(None) => None,
        Err(_) => app.nodes.hash(&name),
    };
    let record = match &claim {
        Ok(Some(claim)) => Some(reads.seal(claim.hash).await),
        Ok(None) | Err(_) => None,
    };
    NodeFacts {
        standing: app.standings.standing(name.as_str()),
        joined_by: app.standings.owner(name.as_str()),
        name,
        claim,
        record,
        end: hash.and_then(|hash| app.directory.last_known_end(&hash)),
        clock: reads.clock(),
    }
}

/// The directory under one deadline for all that a review reads.
struct Reads<'a, D> {
    directory: &'a D,
    guards: &'a GuardState,
    until: Instant,
}

impl<D: SealDirectory> Reads<'_, D> {
    async fn within<T>(
        &self,
        read: impl Future<Output = Result<T, Unavailable>> + Send,
    ) -> Result<T, Cause> {
        match timeout_at(self.until, read).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(unavailable)) => Err(Cause::Directory(unavailable)),
            Err(_) => Err(Cause::Deadline),
        }
    }

    async fn seal(&self, hash: CredentialHash) -> Read<Arc<SealRecord>> {
        self.within(self.directory.seal(hash)).await
    }

    /// As [`Self::seal`], for a hash that anybody may have made up: at once, or with one of
    /// the places for those that wait.
    async fn seal_of_stranger(
        &self,
        waiting: &Semaphore,
        hash: CredentialHash,
    ) -> Read<Arc<SealRecord>> {
        let mut asking = pin!(self.seal(hash));
        if let Poll::Ready(answer) = futures::poll!(asking.as_mut()) {
            return answer;
        }
        let Ok(_place) = waiting.try_acquire() else {
            return Err(Cause::Directory(Unavailable::Overloaded));
        };
        asking.await
    }

    /// All records of an owner at once: at most 16, so that the contract bounds it.
    async fn owner_seals(&self, owner: Address) -> Vec<Read<Arc<SealRecord>>> {
        match self.within(self.directory.owner_seals(owner)).await {
            Err(cause) => vec![Err(cause)],
            Ok(hashes) => {
                hashes
                    .iter()
                    .map(|hash| self.seal(*hash))
                    .collect::<FuturesUnordered<_>>()
                    .collect()
                    .await
            }
        }
    }

    /// After the reads: what they brought may have moved the clock.
    fn clock(&self) -> Clock {
        Clock {
            now: self.directory.now(),
            thresholds: self.directory.thresholds(),
            guarded: self.guards.in_place(),
        }
    }
}

fn deadline(after: Duration) -> Instant {
    Instant::now() + after
}
