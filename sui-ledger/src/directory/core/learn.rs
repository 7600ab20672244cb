//! Records, absences, claims and lists: how each gets into the caches, and what is reported.

use std::sync::Arc;

use seal::{
    CredentialHash, NodeClaim, NodeName, SealRecord, SealStatus, Thresholds, UnixMillis, Unusable,
};

use super::{Core, Phase};
use crate::contract::{Cause, is_voided};
use crate::directory::chain::{Key, PoolRead, RowRead};
use crate::directory::change::{Change, End, Why};
use crate::directory::clock::Now;
use crate::directory::shared::Row;

/// What a read of one key came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    Seal(Option<Arc<SealRecord>>),
    Node(Option<NodeClaim>),
    Owner(Arc<[CredentialHash]>),
}

/// Why what was read is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FillRefused {
    /// Read from before P: another try may do.
    Behind,
    /// The answer itself is older than the staleness bound.
    Stale,
    /// The view is lost at the moment.
    NotLive,
    /// It can't be: a row that was there is gone, or another table's row was answered.
    Contradiction,
}

impl Core {
    /// Takes a row that was read, if it is as of P or later. Compared and stored in one go.
    pub(crate) fn offer_fill(
        &mut self,
        key: &Key,
        row: RowRead,
        pool: &PoolRead,
        now: Now,
    ) -> Result<Found, FillRefused> {
        if self.phase != Phase::Live || self.wrong_chain {
            return Err(FillRefused::NotLive);
        }
        if !self.shared.recent(pool.at, now) {
            return Err(FillRefused::Stale);
        }
        if pool.seq < self.fence {
            return Err(FillRefused::Behind);
        }
        // Reads raise P too: what one node has shown, another may not take back.
        self.fence = pool.seq;
        self.expect(pool);
        match (key, row) {
            (Key::Seal(hash), RowRead::Seal(Some(record))) => {
                self.fence = self.fence.max(record.seq);
                let record = self.take_record(*hash, Arc::new(record), Why::Read, now);
                Ok(Found::Seal(Some(record)))
            }
            (Key::Seal(hash), RowRead::Seal(None)) => {
                // Rows are never removed from the table.
                if self.known(hash).is_some() {
                    return Err(FillRefused::Contradiction);
                }
                let absence = self.row((), pool.seq, true, now);
                self.shared.absences.insert(*hash, absence);
                if let Some(watched) = self.watched.get_mut(hash) {
                    watched.reread = false;
                }
                Ok(Found::Seal(None))
            }
            (Key::Node(name), RowRead::Node(claim)) => {
                let claim = claim.filter(|claim| !is_voided(claim));
                let row = self.row(claim, pool.seq, claim.is_none(), now);
                self.shared.claims.insert(name.clone(), row);
                Ok(Found::Node(claim))
            }
            (Key::Owner(owner), RowRead::Owner(hashes)) => {
                let hashes: Arc<[CredentialHash]> = hashes.into();
                let row = self.row(hashes.clone(), pool.seq, hashes.is_empty(), now);
                self.shared.owners.insert(*owner, row);
                Ok(Found::Owner(hashes))
            }
            _ => Err(FillRefused::Contradiction),
        }
    }

    /// Reports up to `limit` seals whose time has come; says whether there may be more.
    pub(crate) fn expire(&mut self, limit: usize, now: Now) -> bool {
        let latest = self.shared.latest(now);
        if self.expired_until > latest {
            // The clock had run ahead and was put right: what was told too early is due again.
            self.expired_until = latest;
            self.requeue(latest);
        }
        for _ in 0..limit {
            let Some((at, hash)) = self.expiries.first().copied() else {
                return false;
            };
            if at > latest {
                return false;
            }
            self.expiries.pop_first();
            self.expired_until = self.expired_until.max(at);
            let Some(record) = self.known(&hash).filter(|record| record.expires_at == at) else {
                continue;
            };
            let thresholds = self.shared.thresholds();
            // A stake below the threshold was reported when it fell below.
            let before = thresholds.tier(record.stake);
            self.note(hash, &record, Err(Unusable::Expired), None, latest);
            self.changes.push(Change {
                hash,
                record,
                why: Why::Expired,
                before,
                after: Err(Unusable::Expired),
            });
        }
        true
    }

    /// Queues every expiry that is still to come.
    fn requeue(&mut self, latest: UnixMillis) {
        let expiries = &mut self.expiries;
        let mut queue = |hash: &CredentialHash, record: &Arc<SealRecord>| {
            if record.status == SealStatus::Active && record.expires_at > latest {
                expiries.insert((record.expires_at, *hash));
            }
        };
        for (hash, watched) in &self.watched {
            if let Some(record) = &watched.last {
                queue(hash, record);
            }
        }
        self.shared.records.for_each(queue);
    }

    /// A record from an event or a read. Only a newer one changes anything; what is known
    /// afterwards is returned.
    pub(super) fn take_record(
        &mut self,
        hash: CredentialHash,
        record: Arc<SealRecord>,
        why: Why,
        now: Now,
    ) -> Arc<SealRecord> {
        let latest = self.shared.latest(now);
        let thresholds = self.shared.thresholds();
        let known = self.known(&hash);
        let read = why == Why::Read;
        if let Some(known) = known.as_ref().filter(|known| known.seq >= record.seq) {
            let known = known.clone();
            if read {
                let after = known.usable(latest, &thresholds);
                self.note(hash, &known, after, None, latest);
                self.store(hash, &known, None, latest);
            }
            return known;
        }
        let before = known
            .as_ref()
            .and_then(|known| known.usable(latest, &thresholds).ok());
        let after = record.usable(latest, &thresholds);
        let watched = self.watched.contains_key(&hash);
        // A read tells listeners something only if they knew better, or hold what has ended.
        let news = !read || known.is_some() || (watched && after.is_err());
        let cached = read
            || watched
            || self.shared.records.get(&hash).is_some()
            || self.shared.absences.get(&hash).is_some();
        let fault = fault(&record, known.as_deref(), why);
        self.note(hash, &record, after, fault, latest);
        if cached && (read || self.phase == Phase::Live) {
            self.store(hash, &record, known.as_ref(), latest);
        } else if watched {
            self.remember(hash, &record, known.as_ref(), latest, read);
        }
        if news {
            self.changes.push(Change {
                hash,
                record: record.clone(),
                why,
                before,
                after,
            });
        }
        record
    }

    /// A claim from an event: changes what is cached, if it is older.
    pub(super) fn take_claim(&mut self, name: &NodeName, claim: NodeClaim, seq: u64) {
        if self.phase != Phase::Live {
            return;
        }
        if self
            .shared
            .claims
            .get(name)
            .is_some_and(|row| row.seq < seq)
        {
            let row = Row {
                value: Some(claim).filter(|claim| !is_voided(claim)),
                seq,
                until: None,
            };
            self.shared.claims.insert(name.clone(), row);
        }
    }

    /// Reports every known seal whose tier differs between two configs.
    pub(super) fn compare_tiers(&mut self, old: &Thresholds, new: &Thresholds, now: Now) {
        let latest = self.shared.latest(now);
        let mut differing = Vec::new();
        let mut compare = |hash: &CredentialHash, record: &Arc<SealRecord>| {
            let before = record.usable(latest, old).ok();
            let after = record.usable(latest, new);
            if before != after.ok() {
                differing.push((*hash, record.clone(), before, after));
            }
        };
        for (hash, watched) in &self.watched {
            if let Some(record) = &watched.last {
                compare(hash, record);
            }
        }
        self.shared.records.for_each(|hash, record| {
            if !self.watched.contains_key(hash) {
                compare(hash, record);
            }
        });
        for (hash, record, before, after) in differing {
            self.note(hash, &record, after, None, latest);
            self.changes.push(Change {
                hash,
                record,
                why: Why::Thresholds,
                before,
                after,
            });
        }
    }

    /// The newest record known of a hash, cached or watched.
    pub(super) fn known(&self, hash: &CredentialHash) -> Option<Arc<SealRecord>> {
        let cached = self.shared.records.get(hash);
        let watched = self
            .watched
            .get(hash)
            .and_then(|watched| watched.last.clone());
        match (cached, watched) {
            (Some(cached), Some(watched)) if watched.seq > cached.seq => Some(watched),
            (Some(cached), _) => Some(cached),
            (None, watched) => watched,
        }
    }

    /// Puts a record into the cache; what it replaces and what it evicts leave the expiry queue.
    fn store(
        &mut self,
        hash: CredentialHash,
        record: &Arc<SealRecord>,
        known: Option<&Arc<SealRecord>>,
        latest: UnixMillis,
    ) {
        self.shared.absences.remove(&hash);
        let evicted = self.shared.records.insert(hash, record.clone());
        if let Some((gone, old)) = evicted
            && !self.watched.contains_key(&gone)
        {
            self.expiries.remove(&(old.expires_at, gone));
        }
        self.remember(hash, record, known, latest, true);
    }

    /// Keeps the expiry queue and the watch in step with a record.
    fn remember(
        &mut self,
        hash: CredentialHash,
        record: &Arc<SealRecord>,
        known: Option<&Arc<SealRecord>>,
        latest: UnixMillis,
        current: bool,
    ) {
        if let Some(known) = known {
            self.expiries.remove(&(known.expires_at, hash));
        }
        if record.status == SealStatus::Active && record.expires_at > latest {
            self.expiries.insert((record.expires_at, hash));
        }
        if let Some(watched) = self.watched.get_mut(&hash) {
            watched.last = Some(record.clone());
            watched.reread &= !current;
        }
    }

    /// Remembers an end, or that there is none any more. Who unbonds after a fault ended by the
    /// fault: the record does not tell any more.
    fn note(
        &self,
        hash: CredentialHash,
        record: &SealRecord,
        after: Result<seal::Tier, Unusable>,
        fault: Option<Unusable>,
        latest: UnixMillis,
    ) {
        match after {
            Ok(_) => self.shared.ends_mut().lift(hash, record.seq),
            Err(how) => {
                let remembered = || self.shared.ends().get(&hash, latest).map(|end| end.how);
                let fault = fault.or_else(remembered).filter(|how| is_fault(*how));
                let how = match (how, fault) {
                    (Unusable::Unbonding, Some(fault)) => fault,
                    _ => how,
                };
                let at = match how {
                    Unusable::Expired => record.expires_at,
                    _ => latest,
                };
                let seq = record.seq;
                self.shared.ends_mut().note(hash, End { seq, how, at });
            }
        }
    }

    fn row<T>(&self, value: T, seq: u64, absent: bool, now: Now) -> Row<T> {
        Row {
            value,
            seq,
            until: absent.then(|| now.mono.saturating_add(self.absence_ttl)),
        }
    }

    /// Forgets one key, as an eviction would.
    #[cfg(test)]
    pub(crate) fn evict(&mut self, key: &Key) {
        match key {
            Key::Seal(hash) => {
                if let Some(old) = self.shared.records.remove(hash)
                    && !self.watched.contains_key(hash)
                {
                    self.expiries.remove(&(old.expires_at, *hash));
                }
                self.shared.absences.remove(hash);
            }
            Key::Node(name) => {
                self.shared.claims.remove(name);
            }
            Key::Owner(owner) => {
                self.shared.owners.remove(owner);
            }
        }
    }
}

/// The fault of a record that is unbonding, by what happened to it just now, or since it was last
/// seen: a slash does not change that it is unbonding, and unbonding hides a slash or revocation.
fn fault(record: &SealRecord, known: Option<&SealRecord>, why: Why) -> Option<Unusable> {
    let before = known.map(|known| match known.status {
        SealStatus::Slashed => Some(Unusable::Slashed),
        SealStatus::Revoked => Some(Unusable::Revoked),
        _ => (known.slashed_total < record.slashed_total).then_some(Unusable::Slashed),
    });
    match why {
        Why::Event(Cause::Slash) => Some(Unusable::Slashed),
        _ => before.flatten(),
    }
}

/// What the holder of a `SlashCap` did. A stake that is too low is no memory: it unbonds without fault.
const fn is_fault(how: Unusable) -> bool {
    matches!(how, Unusable::Slashed | Unusable::Revoked)
}
