//! The address book: whose connection a loopback address was, for as long as events may name it,
//! and where everybody was seen.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use seal::UnixMillis;
use tokio::time::Instant;

use super::{Attributed, Connection, Ended, REMEMBERED, time_of_day};
use crate::who::Who;

/// So many closed connections are remembered; the oldest are forgotten first.
const MOST_CLOSED: usize = 200_000;
/// Of so many users it is remembered where they were seen.
const MOST_HAUNTS: usize = 100_000;
/// Addresses of one user that are remembered; the newest.
const MOST_ADDRESSES: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Book {
    closed: HashMap<Ipv4Addr, Closed>,
    /// The same in the order of their ends.
    order: VecDeque<(Instant, Ipv4Addr)>,
    haunts: HashMap<Arc<Who>, Haunts>,
    /// The same in the order in which they were seen; an entry counts if the time is still right.
    seen: VecDeque<(Instant, Arc<Who>)>,
}

/// A closed connection.
#[derive(Debug)]
struct Closed {
    peer: SocketAddr,
    from: UnixMillis,
    to: UnixMillis,
}

/// Where somebody was seen.
#[derive(Debug)]
struct Haunts {
    addresses: VecDeque<IpAddr>,
    last: Instant,
}

impl Book {
    /// Writes down a connection that has just been closed.
    pub(super) fn write(&mut self, source: Ipv4Addr, connection: &Connection, now: Instant) {
        for who in &connection.users {
            self.note(who, connection.peer.ip(), now);
        }
        if self.order.len() >= MOST_CLOSED {
            self.forget_oldest();
        }
        self.order.push_back((now, source));
        let closed = Closed {
            peer: connection.peer,
            from: connection.opened_at,
            to: time_of_day(),
        };
        self.closed.insert(source, closed);
    }

    /// Whether the address still names somebody.
    pub(super) fn holds(&self, source: Ipv4Addr) -> bool {
        self.closed.contains_key(&source)
    }

    /// A user on a connection that is not open: where it was seen is worth knowing all the same.
    pub(super) fn attribute(
        &mut self,
        source: Ipv4Addr,
        who: &Arc<Who>,
        now: Instant,
    ) -> Attributed {
        let Some(closed) = self.closed.get(&source) else {
            return Attributed::Unknown;
        };
        let peer = closed.peer.ip();
        self.note(who, peer, now);
        Attributed::Gone
    }

    /// Whose connection it was at that time.
    pub(super) fn peer_at(&self, source: Ipv4Addr, at: UnixMillis) -> Option<SocketAddr> {
        let closed = self.closed.get(&source)?;
        (closed.from <= at && at <= closed.to).then_some(closed.peer)
    }

    /// Remembers where somebody was seen.
    pub(super) fn note(&mut self, who: &Arc<Who>, address: IpAddr, now: Instant) {
        let haunts = self
            .haunts
            .entry(Arc::clone(who))
            .or_insert_with(|| Haunts {
                addresses: VecDeque::new(),
                last: now,
            });
        haunts.last = now;
        if !haunts.addresses.contains(&address) {
            if haunts.addresses.len() >= MOST_ADDRESSES {
                haunts.addresses.pop_front();
            }
            haunts.addresses.push_back(address);
        }
        self.seen.push_back((now, Arc::clone(who)));
        if self.seen.len() > MOST_HAUNTS {
            self.forget_haunt();
        }
    }

    /// Where those were seen whom an end concerns, on connections that are closed.
    pub(super) fn haunts(&self, ended: &Ended) -> impl Iterator<Item = IpAddr> {
        let concerned = self.haunts.iter().filter(|(who, _)| ended.concerns(who));
        concerned.flat_map(|(_, haunts)| haunts.addresses.iter().copied())
    }

    /// Forgets what is too old to be named.
    pub(super) fn forget(&mut self, now: Instant) {
        let old = |at: &Instant| now.duration_since(*at) > REMEMBERED;
        while self.order.front().is_some_and(|(at, _)| old(at)) {
            self.forget_oldest();
        }
        while self.seen.front().is_some_and(|(at, _)| old(at)) {
            self.forget_haunt();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, source)) = self.order.pop_front() {
            self.closed.remove(&source);
        }
    }

    fn forget_haunt(&mut self) {
        let Some((at, who)) = self.seen.pop_front() else {
            return;
        };
        // Seen again since: a later entry stands for it.
        if self
            .haunts
            .get(&who)
            .is_some_and(|haunts| haunts.last <= at)
        {
            self.haunts.remove(&who);
        }
    }
}
