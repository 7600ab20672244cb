//! What is shown of connections.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use seal::UnixMillis;
use serde::{Deserialize, Serialize};

use super::Table;
use crate::who::Who;

/// An open connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionView {
    /// The loopback address by which the API server knows it.
    pub source: Ipv4Addr,
    /// The client.
    pub peer: SocketAddr,
    /// Where it came in.
    pub door: SocketAddr,
    /// When it was opened, ms since the epoch.
    pub opened_at_ms: u64,
    /// Who was seen on it: one of each kind, name and seal.
    pub users: Vec<UserView>,
}

/// A user of the API server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserView {
    /// Its name there.
    pub name: String,
    /// `seal`, `account`, `node` or `other`.
    pub kind: String,
    /// Of a seal: its credential hash, 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Of a pod's service account: the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

impl From<&Who> for UserView {
    fn from(who: &Who) -> Self {
        let (hash, node) = match who {
            Who::Seal { hash, .. } => (Some(hash.to_string()), None),
            Who::Account { node, .. } => (None, node.as_deref().map(str::to_owned)),
            Who::Node(_) | Who::Other(_) => (None, None),
        };
        Self {
            name: who.to_string(),
            kind: who.kind().to_owned(),
            hash,
            node,
        }
    }
}

/// What a disconnection came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disconnected {
    /// Connections that were closed.
    pub closed: usize,
    /// Addresses where it was seen.
    pub peers: usize,
}

impl std::ops::AddAssign for Disconnected {
    fn add_assign(&mut self, other: Self) {
        self.closed += other.closed;
        self.peers += other.peers;
    }
}

impl Table {
    /// All open connections but those that were told to end, the oldest first.
    pub(crate) fn connections(&self) -> Vec<ConnectionView> {
        let inner = self.lock();
        let mut all: Vec<_> = inner
            .open
            .iter()
            .filter(|(_, connection)| connection.end.is_some())
            .map(|(source, connection)| ConnectionView {
                source: *source,
                peer: connection.peer,
                door: connection.door,
                opened_at_ms: connection.opened_at.0,
                users: connection.users.iter().map(|who| (&**who).into()).collect(),
            })
            .collect();
        drop(inner);
        all.sort_unstable_by_key(|view| (view.opened_at_ms, view.source));
        all
    }

    /// Whose connection a source address named at a time: an open one since it was opened, a closed
    /// one for as long as it is remembered.
    pub(crate) fn peer_at(&self, source: IpAddr, at: UnixMillis) -> Option<SocketAddr> {
        let IpAddr::V4(source) = source.to_canonical() else {
            return None;
        };
        let inner = self.lock();
        match inner.open.get(&source) {
            Some(open) if open.opened_at <= at => Some(open.peer),
            _ => inner.book.peer_at(source, at),
        }
    }
}
