//! Who is connected, from where, by which loopback address, and who was seen on it.
//!
//! Shape:  [`Table::admit`] gives a seat or refuses, [`Table::open`] gives the connection its
//!         source address, [`Table::attribute`] notes a user on it, [`Table::end`] closes. What is
//!         closed stays in the book for [`REMEMBERED`], since audit events come late.
//! Units:  times of day are ms since the epoch, for people and for the audit log; nothing is
//!         decided by them.
//! Errors: a source address that is not open is said to be gone or unknown.

mod book;
mod closing;
mod seats;
mod view;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use seal::UnixMillis;
use tokio::sync::oneshot;
use tokio::time::Instant;

use book::Book;
pub(crate) use closing::{Cause, Ended};
use seats::Seats;
pub(crate) use seats::{Refused, Seat};
pub use view::{ConnectionView, Disconnected, UserView};

use crate::metrics::GateMetrics;
use crate::settings::Limits;
use crate::who::Who;

/// For how long a closed connection's address names it, and nobody else.
pub(crate) const REMEMBERED: Duration = Duration::from_mins(10);
/// Users of one connection that are told apart. Only a proxy has more than one; one that serves
/// more than these is closed, since whose end would concern it could no longer be said.
const MOST_USERS: usize = 64;
/// The addresses from which K3s is dialled: 127.1.0.0 to 127.250.255.255.
const FIRST_SOURCE: u32 = 0x7f01_0000;
const SOURCES: u32 = 250 << 16;

/// The connections. Clones are the same table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    seats: Arc<Seats>,
    metrics: GateMetrics,
}

#[derive(Debug)]
struct Inner {
    open: HashMap<Ipv4Addr, Connection>,
    by_who: HashMap<Arc<Who>, HashSet<Ipv4Addr>>,
    by_peer: HashMap<IpAddr, HashSet<Ipv4Addr>>,
    book: Book,
    /// The next source address to try, counted from the first.
    next: u32,
}

/// An open connection.
#[derive(Debug)]
struct Connection {
    peer: SocketAddr,
    door: SocketAddr,
    opened: Instant,
    opened_at: UnixMillis,
    users: Vec<Arc<Who>>,
    /// None once it was told to end.
    end: Option<oneshot::Sender<Cause>>,
}

impl Connection {
    /// The kind of its users, for metrics.
    fn kind(&self) -> &'static str {
        let mut kinds = self.users.iter().map(|who| who.kind());
        match kinds.next() {
            None => "unknown",
            Some(first) if kinds.all(|kind| kind == first) => first,
            Some(_) => "mixed",
        }
    }
}

/// A connection's place in the table; dropping it says that it is closed.
#[derive(Debug)]
pub(crate) struct Opened {
    /// From where K3s is to be dialled.
    pub(crate) source: Ipv4Addr,
    /// Told once, when it is to end at once.
    pub(crate) ended: oneshot::Receiver<Cause>,
    table: Table,
    _seat: Seat,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.table.close(self.source);
    }
}

/// What noting a user came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attributed {
    /// It was not known to be on this connection.
    New,
    /// It was.
    Known,
    /// The connection is closed by now.
    Gone,
    /// No connection of this gate has or had that address.
    Unknown,
    /// The connection has had more users than can be told apart: it is closed.
    Crowded,
}

impl Table {
    pub(crate) fn new(metrics: GateMetrics) -> Self {
        Self {
            shared: Arc::new(Shared {
                inner: Mutex::new(Inner {
                    open: HashMap::new(),
                    by_who: HashMap::new(),
                    by_peer: HashMap::new(),
                    book: Book::default(),
                    // Late events of the process before this one are to name nobody.
                    next: rand::random_range(0..SOURCES),
                }),
                seats: Arc::default(),
                metrics,
            }),
        }
    }

    /// A seat for somebody who has just come, within the limits.
    pub(crate) fn admit(&self, peer: SocketAddr, limits: &Limits) -> Result<Seat, Refused> {
        self.shared.seats.take(peer.ip(), limits, Instant::now())
    }

    /// How many have a seat.
    pub(crate) fn seated(&self) -> usize {
        self.shared.seats.total()
    }

    /// Gives a connection its source address.
    pub(crate) fn open(&self, seat: Seat, peer: SocketAddr, door: SocketAddr) -> Opened {
        let (end, ended) = oneshot::channel();
        let now = Instant::now();
        let mut inner = self.lock();
        inner.book.forget(now);
        let source = inner.free_source();
        let connection = Connection {
            peer,
            door,
            opened: now,
            opened_at: time_of_day(),
            users: Vec::new(),
            end: Some(end),
        };
        self.shared.metrics.kind(connection.kind(), 1);
        inner.open.insert(source, connection);
        inner.by_peer.entry(peer.ip()).or_default().insert(source);
        drop(inner);
        Opened {
            source,
            ended,
            table: self.clone(),
            _seat: seat,
        }
    }

    /// Notes a user on the connection that has this source address.
    pub(crate) fn attribute(&self, source: Ipv4Addr, who: &Arc<Who>) -> Attributed {
        let now = Instant::now();
        let mut guard = self.lock();
        let inner = &mut *guard;
        let Some(connection) = inner.open.get_mut(&source) else {
            return inner.book.attribute(source, who, now);
        };
        if connection.users.contains(who) {
            return Attributed::Known;
        }
        if connection.users.len() >= MOST_USERS {
            let peer = connection.peer;
            inner.end_one(source, Cause::Crowded, &self.shared.metrics);
            tracing::warn!(%peer, users = MOST_USERS, "a connection of too many users is closed");
            return Attributed::Crowded;
        }
        self.shared.metrics.kind(connection.kind(), -1);
        connection.users.push(Arc::clone(who));
        self.shared.metrics.kind(connection.kind(), 1);
        let sources = inner.by_who.entry(Arc::clone(who)).or_default();
        sources.insert(source);
        Attributed::New
    }

    /// Closes all that concerns who has ended: what it was seen on, and then what nobody was seen
    /// on at the addresses where it was seen.
    pub(crate) fn end(&self, ended: &Ended, cause: Cause) -> Disconnected {
        self.lock().end(ended, cause, &self.shared.metrics)
    }

    /// Closes what nobody was seen on at the addresses of who has ended, of what was open by then;
    /// says how many. For events that come late.
    pub(crate) fn end_nobodys(&self, ended: &Ended, before: Instant) -> usize {
        let mut inner = self.lock();
        inner.end_nobodys(ended, before, &self.shared.metrics)
    }

    /// Closes this one, if it is open.
    pub(crate) fn end_one(&self, source: Ipv4Addr, cause: Cause) -> bool {
        self.lock().end_one(source, cause, &self.shared.metrics)
    }

    /// Closes all; says how many.
    pub(crate) fn end_all(&self, cause: Cause) -> usize {
        let mut inner = self.lock();
        let all: Vec<Ipv4Addr> = inner.open.keys().copied().collect();
        all.into_iter()
            .filter(|source| inner.end_one(*source, cause, &self.shared.metrics))
            .count()
    }

    /// Everybody who was seen on an open connection.
    pub(crate) fn users(&self) -> Vec<Arc<Who>> {
        self.lock().by_who.keys().cloned().collect()
    }

    fn close(&self, source: Ipv4Addr) {
        let mut inner = self.lock();
        let Some(connection) = inner.remove(source) else {
            return;
        };
        self.shared.metrics.kind(connection.kind(), -1);
        inner.book.write(source, &connection, Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change is whole before anything in it can panic.
        self.shared
            .inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The next source address that is neither open nor remembered.
    fn free_source(&mut self) -> Ipv4Addr {
        loop {
            let source = Ipv4Addr::from_bits(FIRST_SOURCE + self.next);
            self.next = (self.next + 1) % SOURCES;
            // Sixteen million, of which some hundred thousand at most are taken.
            if !self.open.contains_key(&source) && !self.book.holds(source) {
                return source;
            }
        }
    }

    /// Takes a connection out of the indices.
    fn remove(&mut self, source: Ipv4Addr) -> Option<Connection> {
        let connection = self.open.remove(&source)?;
        forget(&mut self.by_peer, &connection.peer.ip(), source);
        for who in &connection.users {
            forget(&mut self.by_who, who, source);
        }
        Some(connection)
    }
}

fn forget<K: std::hash::Hash + Eq>(
    index: &mut HashMap<K, HashSet<Ipv4Addr>>,
    key: &K,
    source: Ipv4Addr,
) {
    if let Some(sources) = index.get_mut(key) {
        sources.remove(&source);
        if sources.is_empty() {
            index.remove(key);
        }
    }
}

/// By this machine's clock.
pub(crate) fn time_of_day() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixMillis(since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }))
}

#[cfg(test)]
mod tests;
