//! Who claims which address: all Nodes as a watch tells them, and what was just granted.
//!
//! What a review grants is reserved until the watch must have told of it: two reviews at the same
//! time can't both be granted one address. A reservation is not ended early, since what the watch
//! tells may be older than the grant; what that costs is that an address which a Node has just given
//! up is free a minute later.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::claims::{Claims, MOST};

/// Longer than the API server takes from a review to the write (its requests end after a minute) and
/// than a watch lags.
pub(super) const RESERVED_FOR: Duration = Duration::from_secs(75);
/// What is reserved at most, of all Nodes: ten thousand machines that join within a minute.
const MOST_RESERVED: usize = 20_000;
/// A watch that has been broken for longer counts as unknown.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// `None` before the first full list.
    nodes: Option<HashMap<Box<str>, Box<[IpAddr]>>>,
    /// A list that is coming in.
    listing: HashMap<Box<str>, Box<[IpAddr]>>,
    holders: HashMap<IpAddr, Vec<Box<str>>>,
    reserved: HashMap<IpAddr, Reservation>,
    /// Where the API server says that it is.
    servers: BTreeSet<IpAddr>,
    broken_since: Option<Instant>,
}

#[derive(Debug)]
struct Reservation {
    node: Box<str>,
    until: Instant,
}

/// There is no room for another reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Book {
    /// A list begins.
    pub(super) fn begin(&mut self) {
        self.broken_since = None;
        self.listing.clear();
    }

    /// A Node of the list.
    pub(super) fn list(&mut self, name: &str, claims: &Claims) {
        self.listing.insert(name.into(), kept(claims));
    }

    /// The list is complete.
    pub(super) fn listed(&mut self) {
        self.broken_since = None;
        let nodes = std::mem::take(&mut self.listing);
        self.holders.clear();
        for (name, addresses) in &nodes {
            for address in addresses {
                self.holders.entry(*address).or_default().push(name.clone());
            }
        }
        self.nodes = Some(nodes);
    }

    /// A Node is as told.
    pub(super) fn is(&mut self, name: &str, claims: &Claims) {
        self.broken_since = None;
        self.forget(name);
        // Before the first list nothing counts.
        let Some(nodes) = &mut self.nodes else { return };
        let addresses = kept(claims);
        for address in &addresses {
            self.holders.entry(*address).or_default().push(name.into());
        }
        nodes.insert(name.into(), addresses);
    }

    /// A Node is gone, and what was granted to it is free.
    pub(super) fn gone(&mut self, name: &str) {
        self.broken_since = None;
        self.forget(name);
        self.reserved.retain(|_, one| *one.node != *name);
    }

    fn forget(&mut self, name: &str) {
        let Some(addresses) = self.nodes.as_mut().and_then(|nodes| nodes.remove(name)) else {
            return;
        };
        for address in addresses {
            if let Entry::Occupied(mut entry) = self.holders.entry(address) {
                entry.get_mut().retain(|holder| **holder != *name);
                if entry.get().is_empty() {
                    entry.remove();
                }
            }
        }
    }

    /// The watch broke.
    pub(super) fn broke(&mut self, now: Instant) {
        self.broken_since.get_or_insert(now);
    }

    /// The API server's own addresses.
    pub(super) fn serve(&mut self, servers: BTreeSet<IpAddr>) {
        self.servers = servers;
    }

    pub(super) fn is_server(&self, address: IpAddr) -> bool {
        self.servers.contains(&address)
    }

    /// True while all Nodes are known.
    pub(super) fn is_known(&self, now: Instant) -> bool {
        let broken = |since: Instant| now.saturating_duration_since(since) > PATIENCE;
        self.nodes.is_some() && !self.broken_since.is_some_and(broken)
    }

    /// True for the name of a Node.
    pub(super) fn is_node(&self, name: &str) -> bool {
        self.nodes
            .as_ref()
            .is_some_and(|nodes| nodes.contains_key(name))
    }

    /// Another Node that has this address, or was just granted it.
    pub(super) fn other_holder(&self, now: Instant, address: IpAddr, node: &str) -> Option<&str> {
        let holders = self.holders.get(&address).into_iter().flatten();
        let granted = self.reserved.get(&address).filter(|one| one.until > now);
        holders
            .chain(granted.map(|one| &one.node))
            .map(AsRef::as_ref)
            .find(|holder| *holder != node)
    }

    /// Grants these addresses to a Node.
    pub(super) fn reserve(
        &mut self,
        now: Instant,
        node: &str,
        addresses: &BTreeSet<IpAddr>,
    ) -> Result<(), Full> {
        // What it has needs no reservation, or every change would be remembered.
        let held = |address: &IpAddr| {
            let holders = self.holders.get(address);
            holders.is_some_and(|holders| holders.iter().any(|holder| **holder == *node))
        };
        let new: Vec<_> = addresses.iter().filter(|one| !held(one)).copied().collect();
        if new.is_empty() {
            return Ok(());
        }
        self.reserved.retain(|_, one| one.until > now);
        let of_this = self
            .reserved
            .iter()
            .filter(|(address, one)| *one.node == *node && !new.contains(address));
        // One machine can't claim what others are about to.
        if of_this.count() + new.len() > MOST || self.reserved.len() + new.len() > MOST_RESERVED {
            return Err(Full);
        }
        for address in new {
            let node = node.into();
            let until = now + RESERVED_FOR;
            self.reserved.insert(address, Reservation { node, until });
        }
        Ok(())
    }

    /// How many addresses are known, and how many of them are claimed by several Nodes.
    pub(super) fn counts(&self) -> (usize, usize) {
        let twice = self.holders.values().filter(|holders| holders.len() > 1);
        (self.holders.len(), twice.count())
    }
}

/// What is remembered of a Node. Trusted writers are not bounded, our memory is.
fn kept(claims: &Claims) -> Box<[IpAddr]> {
    claims.addresses.iter().take(4 * MOST).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn claims(addresses: &[&str]) -> Claims {
        Claims {
            addresses: addresses.iter().map(|text| ip(text)).collect(),
            ..Claims::default()
        }
    }

    fn known(nodes: &[(&str, &[&str])]) -> Book {
        let mut book = Book::default();
        book.begin();
        for (name, addresses) in nodes {
            book.list(name, &claims(addresses));
        }
        book.listed();
        book
    }

    #[test]
    fn nothing_is_known_before_the_whole_list_and_after_a_long_silence() {
        let now = Instant::now();
        let mut book = Book::default();
        assert!(!book.is_known(now));
        book.begin();
        book.list("a", &claims(&["10.0.0.1"]));
        book.is("b", &claims(&["10.0.0.2"]));
        assert!(!book.is_known(now) && !book.is_node("b"));
        book.listed();
        assert!(book.is_known(now) && book.is_node("a"));
        book.broke(now);
        book.broke(now + PATIENCE);
        assert!(book.is_known(now + PATIENCE));
        assert!(!book.is_known(now + PATIENCE + Duration::from_secs(1)));
        book.is("a", &claims(&[]));
        assert!(book.is_known(now + PATIENCE * 2));
    }

    #[test]
    fn an_address_is_held_by_who_has_it_now() {
        let now = Instant::now();
        let mut book = known(&[("a", &["10.0.0.1"]), ("b", &["10.0.0.2", "10.0.0.1"])]);
        let one = ip("10.0.0.1");
        assert_eq!(book.counts(), (2, 1));
        assert_eq!(book.other_holder(now, one, "a"), Some("b"));
        book.is("b", &claims(&["10.0.0.3"]));
        assert_eq!(book.other_holder(now, one, "a"), None);
        assert_eq!(book.other_holder(now, one, "c"), Some("a"));
        assert_eq!(book.other_holder(now, ip("10.0.0.2"), "c"), None);
        book.gone("a");
        assert_eq!(book.other_holder(now, one, "c"), None);
        // A list made anew forgets who is gone.
        book.begin();
        book.listed();
        assert_eq!(book.counts(), (0, 0));
    }

    #[test]
    fn what_was_granted_is_taken_until_the_watch_must_have_told() {
        let now = Instant::now();
        let mut book = known(&[("a", &[]), ("b", &[])]);
        let one = ip("10.0.0.1");
        book.reserve(now, "a", &[one].into()).unwrap();
        assert_eq!(book.other_holder(now, one, "a"), None);
        assert_eq!(book.other_holder(now, one, "b"), Some("a"));
        assert_eq!(book.other_holder(now + RESERVED_FOR, one, "b"), None);
        book.gone("a");
        assert_eq!(book.other_holder(now, one, "b"), None);
    }

    #[test]
    fn one_machine_reserves_a_few_and_frees_room_with_time() {
        let now = Instant::now();
        let mut book = known(&[("a", &["10.9.9.9"])]);
        for n in 0..u8::try_from(MOST).unwrap() {
            let one = ip(&format!("10.0.0.{n}"));
            assert_eq!(book.reserve(now, "a", &[one].into()), Ok(()));
        }
        let more = [ip("10.0.1.1")].into();
        assert_eq!(book.reserve(now, "a", &more), Err(Full));
        // What it has, and was granted, it may say again.
        assert_eq!(book.reserve(now, "a", &[ip("10.9.9.9")].into()), Ok(()));
        assert_eq!(book.reserve(now, "a", &[ip("10.0.0.1")].into()), Ok(()));
        assert_eq!(book.reserve(now, "b", &more), Ok(()));
        let later = now + RESERVED_FOR;
        assert_eq!(book.reserve(later, "a", &[ip("10.0.2.1")].into()), Ok(()));
    }

    #[test]
    fn all_machines_together_reserve_within_bounds() {
        let now = Instant::now();
        let mut book = known(&[]);
        let full = (0..u32::MAX).find(|n| {
            let address = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            book.reserve(now, &format!("n{n}"), &[address].into())
                .is_err()
        });
        assert_eq!(full, u32::try_from(MOST_RESERVED).ok());
    }
}
