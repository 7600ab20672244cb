//! Objects by id and version, each version with the checkpoint that made it visible.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use sui_sdk_types::{Address, Object, Owner};

/// One version of an object.
#[derive(Debug, Clone)]
struct Entry {
    version: u64,
    /// Readers at an earlier checkpoint do not see it.
    checkpoint: u64,
    /// `None`: deleted at this version.
    object: Option<Arc<Object>>,
}

/// All objects, with the history that readers may still ask for.
#[derive(Debug, Clone, Default)]
pub struct Store {
    objects: HashMap<Address, Vec<Entry>>,
    /// Ids that have or had an owner: an address, or the parent of a dynamic field. Membership
    /// is a hint, the object itself decides.
    owned: HashMap<Address, BTreeSet<Address>>,
    /// Which object got a new version at which checkpoint, oldest first: what can be pruned.
    superseded: VecDeque<(u64, Address)>,
}

impl Store {
    /// The newest version, visible or not.
    #[must_use]
    pub fn head(&self, id: &Address) -> Option<&Arc<Object>> {
        self.objects.get(id)?.last()?.object.as_ref()
    }

    /// The newest version number ever, of deleted objects too.
    #[must_use]
    pub fn head_version(&self, id: &Address) -> Option<u64> {
        Some(self.objects.get(id)?.last()?.version)
    }

    /// The object as it was at a checkpoint.
    #[must_use]
    pub fn at(&self, id: &Address, checkpoint: u64) -> Option<&Arc<Object>> {
        self.objects
            .get(id)?
            .iter()
            .rev()
            .find(|entry| entry.checkpoint <= checkpoint)?
            .object
            .as_ref()
    }

    /// One version of an object, if it was visible at a checkpoint.
    #[must_use]
    pub fn version_at(&self, id: &Address, version: u64, checkpoint: u64) -> Option<&Arc<Object>> {
        self.objects
            .get(id)?
            .iter()
            .find(|entry| entry.version == version && entry.checkpoint <= checkpoint)?
            .object
            .as_ref()
    }

    /// One version of an object, visible or not.
    #[must_use]
    pub fn version(&self, id: &Address, version: u64) -> Option<&Arc<Object>> {
        self.version_at(id, version, u64::MAX)
    }

    /// The objects of an owner at a checkpoint, by id.
    pub fn owned_at(
        &self,
        owner: &Address,
        checkpoint: u64,
    ) -> impl Iterator<Item = &Arc<Object>> + '_ {
        let owner = *owner;
        self.owned
            .get(&owner)
            .into_iter()
            .flatten()
            .filter_map(move |id| self.at(id, checkpoint))
            .filter(move |object| owner_key(object.owner()) == Some(owner))
    }

    /// The newest versions of all objects.
    pub fn heads(&self) -> impl Iterator<Item = &Arc<Object>> + '_ {
        self.objects
            .values()
            .filter_map(|entries| entries.last()?.object.as_ref())
    }

    /// Writes a version.
    pub fn write(&mut self, object: Arc<Object>, checkpoint: u64) {
        let id = object.object_id();
        if let Some(owner) = owner_key(object.owner()) {
            self.owned.entry(owner).or_default().insert(id);
        }
        self.push(id, object.version(), checkpoint, Some(object));
    }

    /// Deletes an object.
    pub fn remove(&mut self, id: Address, version: u64, checkpoint: u64) {
        self.push(id, version, checkpoint, None);
    }

    fn push(&mut self, id: Address, version: u64, checkpoint: u64, object: Option<Arc<Object>>) {
        let entries = self.objects.entry(id).or_default();
        if !entries.is_empty() || object.is_none() {
            self.superseded.push_back((checkpoint, id));
        }
        entries.push(Entry {
            version,
            checkpoint,
            object,
        });
    }

    /// Forgets what only readers before `checkpoint` could see.
    pub fn prune(&mut self, checkpoint: u64) {
        while let Some((at, id)) = self.superseded.front().copied() {
            if at > checkpoint {
                break;
            }
            self.superseded.pop_front();
            self.prune_object(&id, checkpoint);
        }
    }

    fn prune_object(&mut self, id: &Address, checkpoint: u64) {
        let Some(entries) = self.objects.get_mut(id) else {
            return;
        };
        let current = entries
            .iter()
            .rposition(|entry| entry.checkpoint <= checkpoint)
            .unwrap_or(0);
        let mut gone: Vec<Entry> = entries.drain(..current).collect();
        if entries.first().is_some_and(|first| {
            first.object.is_none() && first.checkpoint <= checkpoint && entries.len() == 1
        }) {
            gone.append(entries);
        }
        let left: Vec<Address> = entries
            .iter()
            .filter_map(|entry| owner_key(entry.object.as_ref()?.owner()))
            .collect();
        if entries.is_empty() {
            self.objects.remove(id);
        }
        for owner in gone
            .iter()
            .filter_map(|entry| owner_key(entry.object.as_ref()?.owner()))
        {
            if left.contains(&owner) {
                continue;
            }
            if let Some(ids) = self.owned.get_mut(&owner) {
                ids.remove(id);
                if ids.is_empty() {
                    self.owned.remove(&owner);
                }
            }
        }
    }
}

/// Whom an object is listed under.
fn owner_key(owner: &Owner) -> Option<Address> {
    match owner {
        Owner::Address(address) | Owner::Object(address) => Some(*address),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sui_sdk_types::{Digest, MoveStruct, ObjectData};

    fn coin(id: u8, version: u64, owner: u8) -> Arc<Object> {
        let id = Address::new([id; 32]);
        let data = MoveStruct::new(
            sui_sdk_types::StructTag::gas_coin(),
            true,
            version,
            super::super::coin::contents(id, 1),
        )
        .unwrap();
        Arc::new(Object::new(
            ObjectData::Struct(data),
            Owner::Address(Address::new([owner; 32])),
            Digest::ZERO,
            0,
        ))
    }

    #[test]
    fn a_reader_sees_no_version_of_a_later_checkpoint() {
        let mut store = Store::default();
        store.write(coin(1, 1, 9), 1);
        store.write(coin(1, 2, 9), 3);
        let id = Address::new([1; 32]);
        assert!(store.at(&id, 0).is_none());
        assert_eq!(store.at(&id, 2).unwrap().version(), 1);
        assert_eq!(store.at(&id, 3).unwrap().version(), 2);
        assert_eq!(store.head(&id).unwrap().version(), 2);
        assert!(store.version_at(&id, 2, 2).is_none());
    }

    #[test]
    fn owned_objects_are_those_of_the_checkpoint_asked_for() {
        let mut store = Store::default();
        store.write(coin(1, 1, 8), 1);
        store.write(coin(1, 2, 9), 2);
        let (old, new) = (Address::new([8; 32]), Address::new([9; 32]));
        assert_eq!(store.owned_at(&old, 1).count(), 1);
        assert_eq!(store.owned_at(&new, 1).count(), 0);
        assert_eq!(store.owned_at(&old, 2).count(), 0);
        assert_eq!(store.owned_at(&new, 2).count(), 1);
    }

    #[test]
    fn pruning_keeps_what_the_oldest_allowed_reader_sees() {
        let mut store = Store::default();
        store.write(coin(2, 1, 8), 1);
        store.write(coin(1, 1, 8), 1);
        store.remove(Address::new([2; 32]), 2, 2);
        for version in 2..=5 {
            store.write(coin(1, version, 8), version);
        }
        store.prune(3);
        let id = Address::new([1; 32]);
        assert_eq!(store.at(&id, 3).unwrap().version(), 3);
        assert!(store.version(&id, 2).is_none());
        assert!(store.head_version(&Address::new([2; 32])).is_none());
        assert_eq!(store.owned.get(&Address::new([8; 32])).unwrap().len(), 1);
    }
}
