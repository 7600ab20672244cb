//! What listeners hold: kept apart from the caches, so that no eviction loses it.

use std::sync::Arc;

use seal::{CredentialHash, SealRecord};

use super::Core;
use crate::directory::change::{Change, Why};
use crate::directory::clock::Now;

#[derive(Debug)]
pub(super) struct Watched {
    /// How many hold it.
    holders: usize,
    /// What listeners were last told or could know.
    pub(super) last: Option<Arc<SealRecord>>,
    /// Has to be read: something may have been missed.
    pub(super) reread: bool,
}

impl Core {
    /// Pins a seal; `false` when too many are pinned already. One that has ended before is told
    /// to listeners, so that it does not matter whether the watcher looked before or after.
    pub(crate) fn watch(&mut self, hash: CredentialHash, now: Now) -> bool {
        if let Some(record) = self.known(&hash) {
            self.tell_end(hash, record, now);
        }
        if let Some(watched) = self.watched.get_mut(&hash) {
            watched.holders += 1;
            return true;
        }
        if self.watched.len() >= self.max_watched {
            return false;
        }
        let last = self.shared.records.get(&hash);
        let watched = Watched {
            holders: 1,
            reread: last.is_none(),
            last,
        };
        self.watched.insert(hash, watched);
        true
    }

    fn tell_end(&mut self, hash: CredentialHash, record: Arc<SealRecord>, now: Now) {
        let latest = self.shared.latest(now);
        let after = record.usable(latest, &self.shared.thresholds());
        if after.is_err() {
            self.changes.push(Change {
                hash,
                record,
                why: Why::Read,
                before: None,
                after,
            });
        }
    }

    pub(crate) fn unwatch(&mut self, hash: &CredentialHash) {
        let Some(watched) = self.watched.get_mut(hash) else {
            return;
        };
        watched.holders -= 1;
        if watched.holders > 0 {
            return;
        }
        let Some(gone) = self.watched.remove(hash) else {
            return;
        };
        let cached = self.shared.records.get(hash);
        if let Some(last) = gone.last.filter(|_| cached.is_none()) {
            self.expiries.remove(&(last.expires_at, *hash));
        }
    }

    /// Whether a watched seal has to be read.
    pub(crate) fn has_to_reread(&self, hash: &CredentialHash) -> bool {
        self.watched.get(hash).is_some_and(|watched| watched.reread)
    }

    /// Watched seals that have to be read, at most `limit`. Nothing while the view is lost.
    pub(crate) fn to_reread(&self, limit: usize) -> Vec<CredentialHash> {
        if !self.is_live() {
            return Vec::new();
        }
        self.watched
            .iter()
            .filter(|(_, watched)| watched.reread)
            .map(|(hash, _)| *hash)
            .take(limit)
            .collect()
    }
}
