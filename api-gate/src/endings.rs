//! Ends what has ended: as it is told, as late events show it, and by a look at all now and then.
//!
//! Shape:  [`run`] is one task. What the directory and the nodes' controller tell is acted on at
//!         once; what needs a question (does this seal stand? has that owner any other?) is asked
//!         beside it, at most [`AT_ONCE`] at a time.
//! Laws:   a loss is written down before connections are closed, and a user is noted on its
//!         connection before the losses are looked up: whichever comes first, the other finds it.
//! Errors: what can't be read ends nobody, unless an end of it is known; it is asked again
//!         with the next look at all.

mod losses;

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use seal::{Address, CredentialHash, NodeStanding, UnixMillis};
use sui_ledger::directory::Change;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::MissedTickBehavior;

pub(crate) use losses::Losses;

use crate::gate::Shared;
use crate::standings::{Hold, OwnerNow, SealNow};
use crate::table::{Cause, Disconnected, Ended};
use crate::who::Who;

/// How often all who are connected are looked at, whether anything was missed.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Questions under way.
const AT_ONCE: usize = 256;

/// A user that was seen on a connection.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) source: Ipv4Addr,
    pub(crate) who: Arc<Who>,
    /// When its request came to the API server.
    pub(crate) received: Option<UnixMillis>,
}

/// What a question came to.
enum Answer {
    Seal(CredentialHash, SealNow),
    Owner(Address, OwnerNow),
}

/// For ever.
pub(crate) async fn run(shared: &Arc<Shared>) {
    let taken = {
        let mut to_look_at = shared
            .to_look_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        to_look_at.take()
    };
    let Some(mut seen) = taken else {
        return;
    };
    let mut changes = shared.standings.changes();
    let mut cuts = shared.standings.cuts();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut endings = Endings {
        shared,
        holds: HashMap::new(),
        asked: HashSet::new(),
    };
    let mut questions = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            change = changes.recv() => match change {
                Ok(change) if change.is_loss() => questions.push(endings.lost(&change)),
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "changes of seals were missed: all are looked at");
                    questions.extend(endings.look_at_all());
                }
                Err(RecvError::Closed) => return,
            },
            cut = cuts.recv() => match cut {
                Ok(name) => endings.cut(&name),
                Err(RecvError::Lagged(_)) => questions.extend(endings.look_at_all()),
                Err(RecvError::Closed) => return,
            },
            Some(answer) = questions.next() => endings.answered(&answer),
            Some(one) = seen.recv(), if questions.len() < AT_ONCE => {
                questions.extend(endings.seen(&one));
            }
            _ = looks.tick() => questions.extend(endings.look_at_all()),
        }
    }
}

/// Closes the connections of the service accounts of an owner's namespaces.
pub(crate) fn end_accounts(shared: &Shared, owner: Address, cause: Cause) -> Disconnected {
    let users = shared.table.users();
    let namespaces: HashSet<Box<str>> = users
        .iter()
        .filter_map(|who| match &**who {
            Who::Account { namespace, .. } => Some(namespace),
            _ => None,
        })
        .filter(|namespace| shared.standings.owner_of(namespace) == Some(owner))
        .cloned()
        .collect();
    if namespaces.is_empty() {
        return Disconnected::default();
    }
    shared.table.end(&Ended::Accounts(namespaces), cause)
}

struct Endings<'a> {
    shared: &'a Arc<Shared>,
    /// The seals that were seen are kept in view, so that their ends are told.
    holds: HashMap<CredentialHash, Option<Hold>>,
    /// What is being asked.
    asked: HashSet<Question>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Question {
    Seal(CredentialHash),
    Owner(Address),
}

type Asking = futures::future::BoxFuture<'static, Answer>;

impl Endings<'_> {
    /// A seal has ended or gives less.
    fn lost(&mut self, change: &Change) -> Asking {
        self.shared.losses.seal(change.hash);
        let done = self.end(&Ended::Seal(change.hash));
        if done.closed > 0 {
            tracing::info!(
                owner = %change.record.owner,
                why = change.why.label(),
                closed = done.closed,
                "connections of a seal are closed"
            );
        }
        // Anew, whatever is under way: that may have been asked before.
        self.question(Question::Owner(change.record.owner))
    }

    /// A node is cut.
    fn cut(&mut self, name: &str) {
        self.shared.losses.node(name);
        let done = self.end(&Ended::Node(name.into()));
        // It is told again whenever something about a cut node changes.
        if done.closed > 0 {
            tracing::info!(
                node = name,
                closed = done.closed,
                "connections of a node are closed"
            );
        }
    }

    /// Somebody was seen on a connection.
    fn seen(&mut self, seen: &Seen) -> Option<Asking> {
        let losses = &self.shared.losses;
        match &*seen.who {
            Who::Seal { hash, .. } => {
                if let Some(at) = losses.since_seal(hash, seen.received) {
                    self.late(seen, &Ended::Seal(*hash), at);
                }
                let standings = &self.shared.standings;
                self.holds
                    .entry(*hash)
                    .or_insert_with(|| standings.hold(*hash));
                self.ask(Question::Seal(*hash))
            }
            Who::Node(name) => {
                self.look_at_node(name);
                if let Some(at) = losses.since_node(name, seen.received) {
                    self.late(seen, &Ended::Node(name.clone()), at);
                }
                None
            }
            Who::Account {
                namespace, node, ..
            } => {
                if let Some(node) = node {
                    self.look_at_node(node);
                    if let Some(at) = losses.since_node(node, seen.received) {
                        self.late(seen, &Ended::Node(node.clone()), at);
                    }
                }
                let owner = self.shared.standings.owner_of(namespace)?;
                if let Some(at) = losses.since_owner(&owner, seen.received) {
                    let ended = Ended::Accounts([namespace.clone()].into());
                    self.late(seen, &ended, at);
                }
                self.ask(Question::Owner(owner))
            }
            Who::Other(_) => None,
        }
    }

    /// An event tells of a request from before the loss: its connection is closed, and what nobody
    /// was seen on at its address and was open by then.
    fn late(&self, seen: &Seen, ended: &Ended, at: tokio::time::Instant) {
        let one = self.shared.table.end_one(seen.source, Cause::Revoked);
        let others = self.shared.table.end_nobodys(ended, at);
        tracing::info!(
            user = %seen.who,
            closed = usize::from(one) + others,
            "an event came after the end of its user: connections are closed"
        );
    }

    fn look_at_node(&self, name: &str) {
        if self.shared.standings.node(name) == NodeStanding::Cut {
            self.shared.losses.node(name);
            self.end(&Ended::Node(name.into()));
        }
    }

    /// Everybody who is connected is asked about.
    fn look_at_all(&mut self) -> Vec<Asking> {
        let users = self.shared.table.users();
        let mut seals = HashSet::new();
        let mut owners = HashSet::new();
        let mut nodes = HashSet::new();
        for who in &users {
            match &**who {
                Who::Seal { hash, .. } => {
                    seals.insert(*hash);
                }
                Who::Account {
                    namespace, node, ..
                } => {
                    owners.extend(self.shared.standings.owner_of(namespace));
                    nodes.extend(node.as_deref());
                }
                Who::Node(name) => {
                    nodes.insert(name);
                }
                Who::Other(_) => {}
            }
        }
        for name in nodes {
            self.look_at_node(name);
        }
        self.holds.retain(|hash, _| seals.contains(hash));
        let seals = seals.into_iter().map(Question::Seal);
        let all = seals.chain(owners.into_iter().map(Question::Owner));
        all.filter_map(|question| self.ask(question)).collect()
    }

    /// Asks, unless that is being asked.
    fn ask(&mut self, question: Question) -> Option<Asking> {
        (!self.asked.contains(&question)).then(|| self.question(question))
    }

    fn question(&mut self, question: Question) -> Asking {
        self.asked.insert(question);
        let standings = Arc::clone(&self.shared.standings);
        Box::pin(async move {
            match question {
                Question::Seal(hash) => Answer::Seal(hash, standings.seal(hash).await),
                Question::Owner(owner) => Answer::Owner(owner, standings.owner(owner).await),
            }
        })
    }

    fn answered(&mut self, answer: &Answer) {
        match *answer {
            Answer::Seal(hash, now) => {
                self.asked.remove(&Question::Seal(hash));
                if now == SealNow::Ended {
                    self.shared.losses.seal(hash);
                    self.end(&Ended::Seal(hash));
                }
            }
            Answer::Owner(owner, now) => {
                self.asked.remove(&Question::Owner(owner));
                if now == OwnerNow::Ended {
                    self.shared.losses.owner(owner);
                    let done = end_accounts(self.shared, owner, Cause::Revoked);
                    if done.closed > 0 {
                        tracing::info!(%owner, closed = done.closed, "connections of an owner's pods are closed");
                    }
                }
            }
        }
    }

    fn end(&self, ended: &Ended) -> Disconnected {
        self.shared.table.end(ended, Cause::Revoked)
    }
}

#[cfg(test)]
mod tests;
