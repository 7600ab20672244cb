//! Which connections end with whom.
//!
//! Laws:   a connection on which the ended was seen ends, whoever else is on it. One on which nobody
//!         was seen ends with whoever was seen at its address, since supervisor calls and tunnels
//!         are never audited and events can be lost; but where a machine was seen, it may be the
//!         machine's own tunnel, over which other tenants' logs and sessions go: it ends with the
//!         machine alone. One on which only others were seen stays.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use seal::{Address, CredentialHash};
use tokio::time::Instant;

use super::{Disconnected, Inner};
use crate::metrics::GateMetrics;
use crate::who::Who;

/// Why a connection is closed from this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Who was seen on it, or at its address, has ended or sunk to a lower tier.
    Revoked,
    /// An operator said so.
    ByHand,
    /// The gate closes.
    Shutdown,
    /// It had more users than can be told apart.
    Crowded,
}

impl Cause {
    /// All, for metrics that start at zero.
    pub(crate) const ALL: [Self; 4] = [Self::Revoked, Self::ByHand, Self::Shutdown, Self::Crowded];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::ByHand => "by_hand",
            Self::Shutdown => "shutdown",
            Self::Crowded => "crowded",
        }
    }
}

/// Who has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// A seal.
    Seal(CredentialHash),
    /// Seals of an owner, whichever.
    Owner(Address),
    /// The service accounts of these namespaces.
    Accounts(HashSet<Box<str>>),
    /// A machine, with the pods on it.
    Node(Box<str>),
}

impl Ended {
    /// Whether it is this user's end.
    pub(super) fn concerns(&self, who: &Who) -> bool {
        match (self, who) {
            (Self::Seal(ended), Who::Seal { hash, .. }) => ended == hash,
            (Self::Owner(ended), Who::Seal { owner, .. }) => ended == owner,
            (Self::Accounts(ended), Who::Account { namespace, .. }) => ended.contains(namespace),
            (Self::Node(ended), Who::Node(name)) => ended == name,
            (Self::Node(ended), Who::Account { node, .. }) => node.as_ref() == Some(ended),
            _ => false,
        }
    }
}

impl Inner {
    pub(super) fn end(
        &mut self,
        ended: &Ended,
        cause: Cause,
        metrics: &GateMetrics,
    ) -> Disconnected {
        let mine = self.concerned(ended);
        let peers = self.addresses(ended, &mine);
        let neighbours = self.neighbours(ended, &peers, None);
        let all = mine.into_iter().chain(neighbours);
        let closed = all.filter(|source| self.end_one(*source, cause, metrics));
        Disconnected {
            closed: closed.count(),
            peers: peers.len(),
        }
    }

    pub(super) fn end_nobodys(
        &mut self,
        ended: &Ended,
        before: Instant,
        metrics: &GateMetrics,
    ) -> usize {
        let peers = self.addresses(ended, &self.concerned(ended));
        self.neighbours(ended, &peers, Some(before))
            .into_iter()
            .filter(|source| self.end_one(*source, Cause::Revoked, metrics))
            .count()
    }

    /// The connections on which they were seen.
    fn concerned(&self, ended: &Ended) -> HashSet<Ipv4Addr> {
        let users = self.by_who.iter().filter(|(who, _)| ended.concerns(who));
        users
            .flat_map(|(_, sources)| sources.iter().copied())
            .collect()
    }

    /// The addresses at which they were seen.
    fn addresses(&self, ended: &Ended, mine: &HashSet<Ipv4Addr>) -> HashSet<IpAddr> {
        let open = mine.iter().filter_map(|source| self.open.get(source));
        let open = open.map(|connection| connection.peer.ip());
        open.chain(self.book.haunts(ended)).collect()
    }

    /// What else ends at these addresses.
    fn neighbours(
        &self,
        ended: &Ended,
        peers: &HashSet<IpAddr>,
        before: Option<Instant>,
    ) -> Vec<Ipv4Addr> {
        peers
            .iter()
            .filter(|peer| matches!(ended, Ended::Node(_)) || !self.is_machine(**peer))
            .flat_map(|peer| self.nobodys(*peer, before))
            .collect()
    }

    /// Tells it to end; says whether it had not been told before.
    pub(super) fn end_one(
        &mut self,
        source: Ipv4Addr,
        cause: Cause,
        metrics: &GateMetrics,
    ) -> bool {
        let connection = self.open.get_mut(&source);
        let Some(end) = connection.and_then(|connection| connection.end.take()) else {
            return false;
        };
        // Whoever does not listen any more has ended by itself.
        let told = end.send(cause).is_ok();
        if told {
            metrics.closed(cause);
        }
        told
    }

    /// Whether a machine was seen there on an open connection.
    fn is_machine(&self, peer: IpAddr) -> bool {
        let is_node = |who: &Arc<Who>| matches!(**who, Who::Node(_));
        self.at(peer)
            .any(|(_, connection)| connection.users.iter().any(is_node))
    }

    /// The connections from there on which nobody was seen.
    fn nobodys(&self, peer: IpAddr, before: Option<Instant>) -> Vec<Ipv4Addr> {
        self.at(peer)
            .filter(|(_, connection)| connection.users.is_empty())
            .filter(|(_, connection)| before.is_none_or(|before| connection.opened <= before))
            .map(|(source, _)| source)
            .collect()
    }

    fn at(&self, peer: IpAddr) -> impl Iterator<Item = (Ipv4Addr, &super::Connection)> {
        let sources = self.by_peer.get(&peer);
        let sources = sources.into_iter().flatten();
        sources.filter_map(|source| Some((*source, self.open.get(source)?)))
    }
}
