//! A bounded map for many readers: sharded, with second-chance eviction.
//!
//! Shape:  each shard is a hash index into a dense vector of slots, behind one `RwLock`. A hit
//!         takes one shard's read lock for the length of a hash look-up and a clone; nothing is
//!         shared between shards.
//! Source: the CLOCK (second chance) algorithm, F. J. Corbató, 1968.
//!
//! Why not a cache crate: what is inserted or removed here is so at once for everyone, and the
//! evicted entry is handed back, so that the fence, the expiry queue and the model tests rest on
//! exact contents (`docs/decisions/0010-seal-directory-cache.md`).

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

/// Enough that readers on tens of cores seldom meet.
const SHARDS: usize = 64;
/// Below this a single shard, so that a small bound is exact.
const SHARDED_FROM: usize = 4_096;

/// At most `capacity` entries (rounded up to a multiple of the shards).
pub(crate) struct Bounded<K, V> {
    shards: Box<[RwLock<Shard<K, V>>]>,
    /// Keyed, so that nobody can aim at one shard.
    hasher: RandomState,
    per_shard: usize,
}

struct Shard<K, V> {
    index: HashMap<K, usize>,
    slots: Vec<Slot<K, V>>,
    hand: usize,
}

struct Slot<K, V> {
    key: K,
    value: V,
    /// Set by a hit, cleared by the hand that passes: a used entry survives one round.
    used: AtomicBool,
}

impl<K: Clone + Eq + Hash, V: Clone> Bounded<K, V> {
    /// An empty map. A capacity of 0 counts as 1.
    pub(crate) fn new(capacity: usize) -> Self {
        let shards = if capacity >= SHARDED_FROM { SHARDS } else { 1 };
        Self {
            shards: (0..shards)
                .map(|_| {
                    RwLock::new(Shard {
                        index: HashMap::new(),
                        slots: Vec::new(),
                        hand: 0,
                    })
                })
                .collect(),
            hasher: RandomState::new(),
            per_shard: capacity.max(1).div_ceil(shards),
        }
    }

    /// A clone of the value.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let shard = self
            .shard(key)?
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let slot = shard.slots.get(*shard.index.get(key)?)?;
        // A hot entry is not written to on every hit: its line stays shared between cores.
        if !slot.used.load(Ordering::Relaxed) {
            slot.used.store(true, Ordering::Relaxed);
        }
        Some(slot.value.clone())
    }

    /// Stores the value and hands back what had to leave for it.
    pub(crate) fn insert(&self, key: K, value: V) -> Option<(K, V)> {
        let mut shard = self
            .shard(&key)?
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        shard.insert(key, value, self.per_shard)
    }

    /// Removes and returns the value.
    pub(crate) fn remove(&self, key: &K) -> Option<V> {
        let mut shard = self
            .shard(key)?
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        shard.remove(key)
    }

    /// Removes everything. Not one instant for all shards: the caller closes the door first.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.index = HashMap::new();
            shard.slots = Vec::new();
            shard.hand = 0;
        }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| {
                let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
                shard.slots.len()
            })
            .sum()
    }

    /// Shows every entry, shard by shard.
    pub(crate) fn for_each(&self, mut show: impl FnMut(&K, &V)) {
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            for slot in &shard.slots {
                show(&slot.key, &slot.value);
            }
        }
    }

    fn shard(&self, key: &K) -> Option<&RwLock<Shard<K, V>>> {
        if self.shards.len() == 1 {
            return self.shards.first();
        }
        // The high bits; the index inside uses its own hash.
        let at = (self.hasher.hash_one(key) >> 32) as usize % self.shards.len();
        self.shards.get(at)
    }
}

impl<K: Clone + Eq + Hash, V> Shard<K, V> {
    fn insert(&mut self, key: K, value: V, capacity: usize) -> Option<(K, V)> {
        if let Some(slot) = self.index.get(&key).and_then(|at| self.slots.get_mut(*at)) {
            slot.value = value;
            return None;
        }
        let fresh = Slot {
            key: key.clone(),
            value,
            used: AtomicBool::new(false),
        };
        if self.slots.len() < capacity {
            self.index.insert(key, self.slots.len());
            self.slots.push(fresh);
            return None;
        }
        let at = self.victim();
        let old = std::mem::replace(self.slots.get_mut(at)?, fresh);
        self.index.remove(&old.key);
        self.index.insert(key, at);
        Some((old.key, old.value))
    }

    /// The first slot that was not used since the hand last passed; ends within two rounds.
    fn victim(&mut self) -> usize {
        loop {
            let at = self.hand % self.slots.len().max(1);
            self.hand = at + 1;
            match self.slots.get(at) {
                Some(slot) if slot.used.swap(false, Ordering::Relaxed) => {}
                _ => return at,
            }
        }
    }

    fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.index.remove(key)?;
        if at >= self.slots.len() {
            return None;
        }
        let removed = self.slots.swap_remove(at);
        if let Some(moved) = self.slots.get(at) {
            self.index.insert(moved.key.clone(), at);
        }
        Some(removed.value)
    }
}

impl<K, V> std::fmt::Debug for Bounded<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bounded")
            .field("shards", &self.shards.len())
            .field("per_shard", &self.per_shard)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn never_holds_more_than_its_capacity() {
        let map = Bounded::new(3);
        let evicted = (0..10).filter_map(|key| map.insert(key, key)).count();
        assert_eq!((map.len(), evicted), (3, 7));
    }

    #[test]
    fn an_entry_in_use_survives_a_flood_of_others() {
        let map = Bounded::new(8);
        map.insert(0, "hot");
        for key in 1..1_000 {
            assert_eq!(map.get(&0), Some("hot"));
            map.insert(key, "cold");
        }
        assert_eq!(map.get(&0), Some("hot"));
    }

    #[test]
    fn a_large_bound_is_held_over_all_shards() {
        let map = Bounded::new(SHARDED_FROM);
        for key in 0..3 * SHARDED_FROM {
            map.insert(key, ());
        }
        assert!(map.len() <= SHARDED_FROM);
        map.clear();
        assert_eq!(map.len(), 0);
    }

    proptest! {
        #[test]
        fn holds_what_was_put_in_last_unless_it_was_evicted(
            steps in proptest::collection::vec((0u8..3, 0u8..12, any::<u8>()), 0..200)
        ) {
            let map = Bounded::new(6);
            let mut model = HashMap::new();
            for (what, key, value) in steps {
                match what {
                    0 => {
                        if let Some((evicted, old)) = map.insert(key, value) {
                            prop_assert_eq!(model.remove(&evicted), Some(old));
                        }
                        model.insert(key, value);
                    }
                    1 => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                    _ => prop_assert_eq!(map.get(&key), model.get(&key).copied()),
                }
                prop_assert_eq!(map.len(), model.len());
                for (key, value) in &model {
                    prop_assert_eq!(map.get(key), Some(*value));
                }
            }
        }
    }
}
