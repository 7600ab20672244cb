//! The ends that are remembered, and what is still to be written down of them.

use std::collections::{BTreeSet, HashMap};

use seal::{CredentialHash, UnixMillis, Unusable};

use super::change::End;

/// One line of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The seal ended.
    Ended(CredentialHash, End),
    /// The seal was usable again at this number of the pool.
    Lifted(CredentialHash, u64),
}

/// What the writer has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Append these.
    Append(Vec<Entry>),
    /// Too much has changed to append: write everything anew.
    Rewrite,
}

/// The newest known end of each seal; at most `capacity`, the oldest go first.
#[derive(Debug)]
pub(crate) struct Ends {
    by_hash: HashMap<CredentialHash, End>,
    by_seq: BTreeSet<(u64, CredentialHash)>,
    capacity: usize,
    /// Not yet written down.
    journal: Vec<Entry>,
    /// The journal overflowed while the writer was away.
    overflowed: bool,
    /// Nobody writes down: there is no file.
    unwritten: bool,
}

impl Ends {
    /// Starts from what the disk had.
    pub(crate) fn new(capacity: usize, entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut ends = Self {
            by_hash: HashMap::new(),
            by_seq: BTreeSet::new(),
            capacity: capacity.max(1),
            journal: Vec::new(),
            overflowed: false,
            unwritten: false,
        };
        for entry in entries {
            ends.take(entry);
        }
        ends
    }

    /// Ends that are kept in memory alone: no journal grows that nobody reads.
    pub(crate) fn in_memory(capacity: usize) -> Self {
        Self {
            unwritten: true,
            ..Self::new(capacity, [])
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// The last known end. An expiry counts from its instant on: one that was noted while the
    /// clock ran ahead does not hold after the clock is put right.
    pub(crate) fn get(&self, hash: &CredentialHash, now: UnixMillis) -> Option<End> {
        self.by_hash
            .get(hash)
            .filter(|end| end.how != Unusable::Expired || end.at <= now)
            .copied()
    }

    /// A seal was seen to have ended.
    pub(crate) fn note(&mut self, hash: CredentialHash, end: End) {
        let known = self.by_hash.get(&hash);
        if known.is_some_and(|known| {
            known.seq > end.seq || (known.seq == end.seq && known.how == end.how)
        }) {
            return;
        }
        self.write_down(Entry::Ended(hash, end));
    }

    /// A seal was seen to be usable, as of this number.
    pub(crate) fn lift(&mut self, hash: CredentialHash, seq: u64) {
        if self.by_hash.get(&hash).is_some_and(|end| end.seq <= seq) {
            self.write_down(Entry::Lifted(hash, seq));
        }
    }

    pub(crate) fn has_work(&self) -> bool {
        self.overflowed || !self.journal.is_empty()
    }

    /// Hands over what is to be written; `None` when there is nothing.
    pub(crate) fn take_work(&mut self) -> Option<Work> {
        if std::mem::take(&mut self.overflowed) {
            self.journal = Vec::new();
            return Some(Work::Rewrite);
        }
        if self.journal.is_empty() {
            return None;
        }
        Some(Work::Append(std::mem::take(&mut self.journal)))
    }

    /// Asks for everything to be written anew, after a write that failed.
    pub(crate) fn ask_rewrite(&mut self) {
        self.overflowed = true;
    }

    /// All that holds, oldest first.
    pub(crate) fn all(&self) -> Vec<Entry> {
        self.by_seq
            .iter()
            .filter_map(|(_, hash)| Some(Entry::Ended(*hash, *self.by_hash.get(hash)?)))
            .collect()
    }

    fn write_down(&mut self, entry: Entry) {
        self.take(entry);
        if self.unwritten {
            return;
        }
        if self.journal.len() < self.capacity {
            self.journal.push(entry);
        } else {
            self.overflowed = true;
        }
    }

    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Ended(hash, end) => {
                if let Some(old) = self.by_hash.insert(hash, end) {
                    self.by_seq.remove(&(old.seq, hash));
                }
                self.by_seq.insert((end.seq, hash));
            }
            Entry::Lifted(hash, _) => {
                if let Some(old) = self.by_hash.remove(&hash) {
                    self.by_seq.remove(&(old.seq, hash));
                }
            }
        }
        while self.by_hash.len() > self.capacity {
            let Some((_, oldest)) = self.by_seq.pop_first() else {
                return;
            };
            self.by_hash.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u8) -> CredentialHash {
        CredentialHash::from_bytes([n; 32])
    }

    fn end(seq: u64, how: Unusable) -> End {
        End {
            seq,
            how,
            at: UnixMillis(100),
        }
    }

    #[test]
    fn an_older_end_does_not_replace_a_newer_one() {
        let mut ends = Ends::new(10, []);
        ends.note(hash(1), end(5, Unusable::Revoked));
        ends.note(hash(1), end(4, Unusable::Slashed));
        let known = ends.get(&hash(1), UnixMillis(0)).unwrap();
        assert_eq!((known.seq, known.how), (5, Unusable::Revoked));
    }

    #[test]
    fn only_news_as_new_as_the_end_lifts_it() {
        let mut ends = Ends::new(10, []);
        ends.note(hash(1), end(5, Unusable::Slashed));
        ends.lift(hash(1), 4);
        assert!(ends.get(&hash(1), UnixMillis(0)).is_some());
        ends.lift(hash(1), 6);
        assert!(ends.get(&hash(1), UnixMillis(0)).is_none());
    }

    #[test]
    fn an_expiry_does_not_hold_before_its_instant() {
        let mut ends = Ends::new(10, []);
        ends.note(hash(1), end(5, Unusable::Expired));
        assert!(ends.get(&hash(1), UnixMillis(99)).is_none());
        assert!(ends.get(&hash(1), UnixMillis(100)).is_some());
    }

    #[test]
    fn the_oldest_end_goes_when_there_are_too_many() {
        let mut ends = Ends::new(2, []);
        for n in [3, 1, 2] {
            ends.note(hash(n), end(u64::from(n), Unusable::Revoked));
        }
        assert_eq!(ends.len(), 2);
        assert!(ends.get(&hash(1), UnixMillis(0)).is_none());
    }

    #[test]
    fn a_journal_nobody_drains_turns_into_a_rewrite() {
        let mut ends = Ends::new(2, []);
        for n in 0..5 {
            ends.note(hash(n), end(u64::from(n), Unusable::Revoked));
        }
        assert_eq!(ends.take_work(), Some(Work::Rewrite));
        assert_eq!(ends.take_work(), None);
        assert_eq!(ends.all().len(), 2);
    }

    #[test]
    fn without_a_file_there_is_nothing_to_write() {
        let mut ends = Ends::in_memory(2);
        ends.note(hash(1), end(1, Unusable::Revoked));
        assert!(!ends.has_work());
        assert_eq!(ends.len(), 1);
    }

    #[test]
    fn nothing_is_written_twice_for_one_end() {
        let mut ends = Ends::new(2, []);
        ends.note(hash(1), end(1, Unusable::Revoked));
        ends.note(hash(1), end(1, Unusable::Revoked));
        assert!(matches!(ends.take_work(), Some(Work::Append(lines)) if lines.len() == 1));
    }
}
