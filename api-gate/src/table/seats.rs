//! Who may come in: so many in all, so many of one peer, so many new ones a second of one peer.
//!
//! Shape:  a peer is an IPv4 address or the /64 of an IPv6 address. New ones are counted by a
//!         bucket of a second's worth that fills evenly (GCRA: one instant a peer).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::metrics::SentAway;
use crate::settings::Limits;

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// All places are taken.
    Full,
    /// This peer has its share.
    Peer,
    /// This peer comes too often.
    Rate,
}

impl From<Refused> for SentAway {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full => Self::Full,
            Refused::Peer => Self::Peer,
            Refused::Rate => Self::Rate,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Seats {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    total: usize,
    peers: HashMap<IpAddr, Peer>,
    /// Peers without a connection are looked for when there are so many.
    sweep_at: usize,
}

#[derive(Debug)]
struct Peer {
    open: usize,
    /// When its bucket is full again.
    full_at: Instant,
}

/// With fewer peers there is nothing to sweep.
const FEW: usize = 1_024;
/// What the bucket holds, in time.
const BUCKET: Duration = Duration::from_secs(1);

/// A place; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    peer: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inner = self.seats.lock();
        inner.total = inner.total.saturating_sub(1);
        if let Some(peer) = inner.peers.get_mut(&self.peer) {
            peer.open = peer.open.saturating_sub(1);
        }
    }
}

impl Seats {
    pub(super) fn take(
        self: &Arc<Self>,
        peer: IpAddr,
        limits: &Limits,
        now: Instant,
    ) -> Result<Seat, Refused> {
        let key = share(peer);
        let mut inner = self.lock();
        if inner.total >= limits.max_connections {
            return Err(Refused::Full);
        }
        inner.sweep(now);
        let peer = inner.peers.entry(key).or_insert(Peer {
            open: 0,
            full_at: now,
        });
        if peer.open >= limits.max_per_peer {
            return Err(Refused::Peer);
        }
        let full_at = peer.full_at.max(now) + BUCKET / limits.new_per_second.max(1);
        if full_at.duration_since(now) > BUCKET {
            return Err(Refused::Rate);
        }
        peer.full_at = full_at;
        peer.open += 1;
        inner.total += 1;
        drop(inner);
        Ok(Seat {
            seats: Arc::clone(self),
            peer: key,
        })
    }

    pub(super) fn total(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Forgets peers that are gone and whose bucket is full. Each is looked at once for every time
    /// that their number doubles.
    fn sweep(&mut self, now: Instant) {
        if self.peers.len() < self.sweep_at.max(FEW) {
            return;
        }
        self.peers
            .retain(|_, peer| peer.open > 0 || peer.full_at > now);
        self.sweep_at = self.peers.len().saturating_mul(2);
    }
}

/// What counts as one peer: whoever has an IPv6 network has 2^64 addresses.
fn share(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(v6) => {
            std::net::Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max_connections: usize, max_per_peer: usize, new_per_second: u32) -> Limits {
        Limits {
            max_connections,
            max_per_peer,
            new_per_second,
            ..Limits::default()
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_peer_has_its_share_and_others_theirs() {
        let seats = Arc::new(Seats::default());
        let (limits, now) = (limits(3, 2, 100), Instant::now());
        let take = |peer| seats.take(ip(peer), &limits, now);
        let first = take("10.0.0.1").unwrap();
        let _second = take("10.0.0.1").unwrap();
        assert_eq!(take("10.0.0.1").unwrap_err(), Refused::Peer);
        let _other = take("10.0.0.2").unwrap();
        assert_eq!(take("10.0.0.3").unwrap_err(), Refused::Full);
        drop(first);
        let _again = take("10.0.0.1").unwrap();
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() {
        let seats = Arc::new(Seats::default());
        let (limits, now) = (limits(10, 1, 100), Instant::now());
        let _one = seats.take(ip("2001:db8:0:1::1"), &limits, now).unwrap();
        let refused = seats.take(ip("2001:db8:0:1:ffff::2"), &limits, now);
        assert_eq!(refused.unwrap_err(), Refused::Peer);
        assert!(seats.take(ip("2001:db8:0:2::1"), &limits, now).is_ok());
    }

    #[test]
    fn new_ones_come_at_their_rate_after_a_second_s_worth_at_once() {
        let seats = Arc::new(Seats::default());
        let (limits, now) = (limits(1_000, 1_000, 10), Instant::now());
        let mut kept = Vec::new();
        let mut come = |after_ms| {
            let now = now + Duration::from_millis(after_ms);
            let seat = seats.take(ip("10.0.0.1"), &limits, now);
            seat.map(|seat| kept.push(seat)).is_ok()
        };
        assert_eq!((0..20).filter(|_| come(0)).count(), 10);
        assert_eq!((0..20).filter(|_| come(300)).count(), 3);
        assert_eq!((0..20).filter(|_| come(5_000)).count(), 10);
    }

    #[test]
    fn peers_that_are_gone_take_no_memory() {
        let seats = Arc::new(Seats::default());
        let (limits, now) = (Limits::default(), Instant::now());
        for number in 0..100_000_u32 {
            let peer = IpAddr::V4(number.into());
            let now = now + Duration::from_millis(number.into());
            drop(seats.take(peer, &limits, now).unwrap());
        }
        assert!(seats.lock().peers.len() <= 2 * FEW);
    }
}
