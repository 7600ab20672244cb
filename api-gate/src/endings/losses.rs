//! Who has ended lately, and when: what an event from before that tells is acted on, whoever it
//! names is back or not.
//!
//! Units:  the API server stamps events by its machine's clock, which is ours.

use std::time::Duration;

use moka::sync::Cache;
use seal::{Address, CredentialHash, UnixMillis};
use tokio::time::Instant;

use crate::table::{REMEMBERED, time_of_day};

/// So many of each are remembered.
const MOST: u64 = 100_000;
/// Between the authorizer's answer and the stamp, and between two looks at a clock.
const SLACK: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
struct Loss {
    at: Instant,
    at_ms: UnixMillis,
}

/// The losses of the last minutes.
#[derive(Debug)]
pub(crate) struct Losses {
    seals: Cache<CredentialHash, Loss>,
    owners: Cache<Address, Loss>,
    nodes: Cache<Box<str>, Loss>,
}

impl Default for Losses {
    fn default() -> Self {
        Self {
            seals: cache(),
            owners: cache(),
            nodes: cache(),
        }
    }
}

fn cache<K: std::hash::Hash + Eq + Send + Sync + 'static>() -> Cache<K, Loss> {
    Cache::builder()
        .max_capacity(MOST)
        .time_to_live(REMEMBERED)
        .build()
}

impl Losses {
    pub(crate) fn seal(&self, hash: CredentialHash) {
        self.seals.insert(hash, Loss::now());
    }

    pub(crate) fn owner(&self, owner: Address) {
        self.owners.insert(owner, Loss::now());
    }

    pub(crate) fn node(&self, name: &str) {
        self.nodes.insert(name.into(), Loss::now());
    }

    /// When the seal was lost, if a request that came then was from before that.
    pub(crate) fn since_seal(
        &self,
        hash: &CredentialHash,
        received: Option<UnixMillis>,
    ) -> Option<Instant> {
        self.seals.get(hash)?.after(received)
    }

    pub(crate) fn since_owner(
        &self,
        owner: &Address,
        received: Option<UnixMillis>,
    ) -> Option<Instant> {
        self.owners.get(owner)?.after(received)
    }

    pub(crate) fn since_node(&self, name: &str, received: Option<UnixMillis>) -> Option<Instant> {
        self.nodes.get(name)?.after(received)
    }
}

impl Loss {
    fn now() -> Self {
        Self {
            at: Instant::now(),
            at_ms: time_of_day(),
        }
    }

    /// A request without a time counts as one from before.
    fn after(self, received: Option<UnixMillis>) -> Option<Instant> {
        let slack = u64::try_from(SLACK.as_millis()).unwrap_or_default();
        let before =
            received.is_none_or(|received| received.0 <= self.at_ms.0.saturating_add(slack));
        before.then_some(self.at)
    }
}
