//! What is known of the machine's own seal.
//!
//! Shape:  a [`Standing`] is the newest record that the chain gave for the seal's hash. A
//!         [`Follower`] asks every few seconds and keeps the answer on disk; [`Standings`] is where
//!         others look it up.
//! Errors: a chain that can't be asked changes nothing: the last known standing counts, after a
//!         restart too. Nothing that is known is forgotten because a lagging node does not know it.
//! Units:  times in ms since the epoch, stake in MIST.

mod chain;
mod follow;
mod metrics;
mod store;

use std::fmt;
use std::sync::Arc;

use seal::{CredentialHash, SealRecord, Thresholds, Tier, UnixMillis, Unusable};
use tokio::sync::watch;

pub use chain::ChainReader;
pub use follow::{Follower, FollowerSettings, SealReader};
pub use metrics::StandingMetrics;
pub use store::Store;

/// What the chain says of a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The record; none where there is none.
    pub record: Option<SealRecord>,
    /// What stake is worth.
    pub thresholds: Thresholds,
}

/// What is known of a seal.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Standing {
    /// The hash of the seal's credential.
    pub hash: CredentialHash,
    /// Its record; none where the chain has none.
    pub record: Option<SealRecord>,
    /// What stake was worth then.
    pub thresholds: Thresholds,
    /// When the chain said so.
    pub seen_at: UnixMillis,
    /// When it was first seen to have ended other than by its time; none while it has not.
    pub ended_at: Option<UnixMillis>,
}

/// Why a seal can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The chain has no such seal.
    NoSeal,
    /// It has one that can't be used.
    Unusable(Unusable),
}

impl Why {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let unusable = Unusable::ALL.into_iter().map(Self::Unusable);
        unusable.chain([Self::NoSeal])
    }

    /// The name in messages and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoSeal => "no_seal",
            Self::Unusable(why) => why.label(),
        }
    }

    /// Whether nobody is to blame for it: then what runs may go on for a grace.
    pub const fn is_without_fault(self) -> bool {
        match self {
            Self::NoSeal => true,
            Self::Unusable(why) => why.is_without_fault(),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSeal => "is not on chain",
            Self::Unusable(Unusable::Unbonding) => "is unbonding: its owner asked for the stake",
            Self::Unusable(Unusable::Slashed) => "was slashed",
            Self::Unusable(Unusable::Revoked) => "was revoked by the operator",
            Self::Unusable(Unusable::Retired) => "was replaced or withdrawn",
            Self::Unusable(Unusable::Expired) => "has expired",
            Self::Unusable(Unusable::StakeTooLow) => "has too little stake",
        })
    }
}

/// The end of a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub why: Why,
    /// Since when, as far as is known here.
    pub since: UnixMillis,
}

impl Standing {
    /// The tier, or why there is none.
    pub fn usable(&self, now: UnixMillis) -> Result<Tier, Why> {
        let record = self.record.as_ref().ok_or(Why::NoSeal)?;
        record.usable(now, &self.thresholds).map_err(Why::Unusable)
    }

    /// The seal's end, if it has ended.
    pub fn end(&self, now: UnixMillis) -> Option<End> {
        let why = self.usable(now).err()?;
        // A seal's time is never prolonged: that it is over is known without the chain.
        let expired = match (&self.record, why) {
            (Some(record), Why::Unusable(Unusable::Expired)) => Some(record.expires_at),
            _ => None,
        };
        let since = expired.or(self.ended_at).unwrap_or(self.seen_at);
        Some(End { why, since })
    }

    /// What is known once the chain has said this of the hash.
    pub fn next(before: Option<&Self>, hash: CredentialHash, seen: Seen, now: UnixMillis) -> Self {
        let before = before.filter(|before| before.hash == hash);
        if let Some(before) = before
            && is_older(&seen, before)
        {
            return before.clone();
        }
        let mut standing = Self {
            hash,
            record: seen.record,
            thresholds: seen.thresholds,
            seen_at: now,
            ended_at: None,
        };
        if standing.usable(now).is_err() {
            standing.ended_at = before.and_then(|before| before.ended_at).or(Some(now));
        }
        standing
    }
}

/// Whether a node that lags behind said it.
fn is_older(seen: &Seen, before: &Standing) -> bool {
    let seq = |record: &Option<SealRecord>| record.as_ref().map(|record| record.seq);
    seq(&seen.record) < seq(&before.record)
}

/// Where the newest standing is looked up; clones are the same one.
#[derive(Debug, Clone)]
pub struct Standings(watch::Receiver<Option<Arc<Standing>>>);

impl Standings {
    /// Always this one, for tests and for machines whose seal is not followed.
    pub fn fixed(standing: Option<Standing>) -> Self {
        let (_, receiver) = watch::channel(standing.map(Arc::new));
        Self(receiver)
    }

    /// The newest; none while nothing was ever known.
    pub fn latest(&self) -> Option<Arc<Standing>> {
        self.0.borrow().clone()
    }
}

/// Now, by this machine's clock.
pub fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixMillis(since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }))
}

#[cfg(test)]
mod tests {
    use seal::SealStatus;
    use seal::testing::active_record;

    use super::*;

    const HASH: CredentialHash = CredentialHash::from_bytes([7; 32]);

    fn seen(record: Option<SealRecord>) -> Seen {
        Seen {
            record,
            thresholds: Thresholds::default(),
        }
    }

    fn with(seq: u64, status: SealStatus) -> SealRecord {
        SealRecord {
            seq,
            status,
            ..active_record()
        }
    }

    #[test]
    fn an_end_is_dated_from_when_it_was_first_seen() {
        let now = UnixMillis;
        let first = Standing::next(None, HASH, seen(Some(with(1, SealStatus::Active))), now(10));
        assert_eq!((first.end(now(10)), first.ended_at), (None, None));
        let slashed = seen(Some(with(2, SealStatus::Slashed)));
        let second = Standing::next(Some(&first), HASH, slashed.clone(), now(20));
        let third = Standing::next(Some(&second), HASH, slashed, now(30));
        let end = third.end(now(40)).unwrap();
        assert_eq!(end.why.label(), "slashed");
        assert_eq!(end.since, now(20));
        let again = seen(Some(with(3, SealStatus::Active)));
        let fourth = Standing::next(Some(&third), HASH, again, now(50));
        assert_eq!(fourth.end(now(50)), None);
    }

    #[test]
    fn time_ends_a_seal_without_the_chain() {
        let now = UnixMillis;
        let standing = Standing::next(None, HASH, seen(Some(active_record())), now(10));
        let expires = active_record().expires_at;
        assert_eq!(standing.end(UnixMillis(expires.0 - 1)), None);
        let end = standing.end(UnixMillis(expires.0 + 5)).unwrap();
        assert_eq!((end.why.label(), end.since), ("expired", expires));
    }

    #[test]
    fn a_lagging_node_takes_nothing_back() {
        let now = UnixMillis;
        let slashed = seen(Some(with(2, SealStatus::Slashed)));
        let known = Standing::next(None, HASH, slashed, now(10));
        for older in [Some(with(1, SealStatus::Active)), None] {
            let next = Standing::next(Some(&known), HASH, seen(older), now(20));
            assert_eq!(next, known);
        }
        // Another seal is another matter.
        let other = CredentialHash::from_bytes([8; 32]);
        let next = Standing::next(Some(&known), other, seen(None), now(20));
        assert_eq!(next.end(now(20)).unwrap().why, Why::NoSeal);
    }
}
