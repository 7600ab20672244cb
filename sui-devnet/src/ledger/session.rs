//! The objects a transaction works on, before anything is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use seal::ObjectId;
use sui_ledger::ids::to_sui;
use sui_sdk_types::{Address, MoveStruct, Object, ObjectData, Owner, StructTag};

use super::store::Store;
use super::types;
use crate::twin::{Row, Rows};

/// An object in work.
#[derive(Debug, Clone)]
pub(super) struct Working {
    /// What it was before; `None` for a new one.
    pub(super) before: Option<Arc<Object>>,
    pub(super) type_: StructTag,
    pub(super) contents: Vec<u8>,
    pub(super) owner: Owner,
    /// `key` and `store`: may be transferred by anyone who has it.
    pub(super) public: bool,
    /// A read-only input is never written, whatever else happens.
    pub(super) writable: bool,
    pub(super) deleted: bool,
}

impl Working {
    pub(super) fn of(object: &Arc<Object>, data: &MoveStruct, writable: bool) -> Self {
        Self {
            before: Some(Arc::clone(object)),
            writable,
            type_: data.object_type().clone(),
            contents: data.contents().to_vec(),
            owner: *object.owner(),
            public: data.has_public_transfer(),
            deleted: false,
        }
    }

    /// The object as it will be written.
    pub(super) fn finish(
        &self,
        version: u64,
        digest: sui_sdk_types::Digest,
        rebate: u64,
    ) -> Option<Object> {
        let data = MoveStruct::new(
            self.type_.clone(),
            self.public,
            version,
            self.contents.clone(),
        )?;
        Some(Object::new(
            ObjectData::Struct(data),
            self.owner,
            digest,
            rebate,
        ))
    }

    /// What its storage costs, in bytes: contents, type, version, owner, digest, rebate.
    /// Source: `Object::object_size_for_gas_metering` of Sui.
    pub(super) fn metered_size(&self) -> u64 {
        const META: usize = 40 + 32 + 8;
        const VERSION_AND_FLAG: usize = 8 + 1;
        let type_ = if self.type_ == *super::coin::GAS_COIN {
            1
        } else {
            1 + bcs::serialized_size(&self.type_).unwrap_or(0)
        };
        (META + VERSION_AND_FLAG + type_ + self.contents.len()) as u64
    }
}

/// Which state a transaction runs on.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) store: &'a Store,
    /// A simulation sees a checkpoint's state, an execution the newest.
    pub(super) checkpoint: Option<u64>,
}

impl<'a> View<'a> {
    pub(super) fn object(&self, id: &Address) -> Option<&'a Arc<Object>> {
        match self.checkpoint {
            None => self.store.head(id),
            Some(checkpoint) => self.store.at(id, checkpoint),
        }
    }
}

/// All objects in work.
#[derive(Debug, Clone)]
pub(super) struct Session<'a> {
    pub(super) view: View<'a>,
    pub(super) package: ObjectId,
    pub(super) objects: BTreeMap<Address, Working>,
}

impl Session<'_> {
    pub(super) fn get(&self, id: &Address) -> Option<&Working> {
        self.objects.get(id).filter(|object| !object.deleted)
    }

    pub(super) fn get_mut(&mut self, id: &Address) -> Option<&mut Working> {
        self.objects.get_mut(id).filter(|object| !object.deleted)
    }

    /// Deletes an object. One that was made in this transaction has never been.
    pub(super) fn delete(&mut self, id: &Address) {
        if self
            .objects
            .get(id)
            .is_some_and(|object| object.before.is_none())
        {
            self.objects.remove(id);
        } else if let Some(object) = self.objects.get_mut(id) {
            object.deleted = true;
        }
    }
}

impl Rows for Session<'_> {
    fn read(&self, id: &ObjectId) -> Option<Vec<u8>> {
        let id = to_sui(id.as_bytes());
        if let Some(object) = self.get(&id) {
            return Some(object.contents.clone());
        }
        let object = self.view.object(&id)?;
        Some(object.as_struct()?.contents().to_vec())
    }

    fn write(&mut self, row: Row) {
        let id = to_sui(row.id.as_bytes());
        let before = self.view.object(&id).cloned();
        let type_ = types::field(&self.package, row.kind);
        let owner = Owner::Object(to_sui(row.table.as_bytes()));
        let object = self.objects.entry(id).or_insert_with(|| Working {
            before,
            type_,
            contents: Vec::new(),
            owner,
            public: false,
            writable: true,
            deleted: false,
        });
        object.contents = row.contents;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    /// All objects of a recorded answer.
    fn objects(name: &str) -> Vec<Object> {
        fn collect(value: &serde_json::Value, into: &mut Vec<Object>) {
            if let Some(bcs) = value.get("bcs").filter(|bcs| bcs["name"] == "Object") {
                let bytes = STANDARD.decode(bcs["value"].as_str().unwrap()).unwrap();
                into.push(bcs::from_bytes(&bytes).unwrap());
            }
            let inner: Vec<&serde_json::Value> = match value {
                serde_json::Value::Object(fields) => fields.values().collect(),
                serde_json::Value::Array(items) => items.iter().collect(),
                _ => Vec::new(),
            };
            for value in inner {
                collect(value, into);
            }
        }
        let path = format!("{}/testdata/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let file: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut found = Vec::new();
        collect(&file["response"]["json"], &mut found);
        found
    }

    #[test]
    fn storage_costs_what_it_cost_on_the_recorded_network() {
        let mut seen = 0;
        for name in [
            "get_object_registry",
            "get_object_field_1",
            "get_object_field_2",
            "get_object_field_3",
            "get_object_ticket",
            "execute_add_1",
            "execute_remove_3",
            "execute_budget_short",
        ] {
            for object in objects(name) {
                let object = Arc::new(object);
                let working = Working::of(&object, object.as_struct().unwrap(), true);
                assert_eq!(
                    working.metered_size() * 7_600,
                    object.storage_rebate(),
                    "{name}: {}",
                    object.object_id()
                );
                seen += 1;
            }
        }
        assert!(seen > 10, "{seen}");
    }
}
