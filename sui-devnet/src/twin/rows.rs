//! The rows of the pool's tables, which are objects of their own.

use seal::{Address, ObjectId};
use serde::Serialize;
use sui_ledger::contract::layout::{AddressBcs, NodeRow, OwnerRow, SealRow};
use sui_ledger::contract::{Field, Layout, NodeClaimBcs, SealRecordBcs, Table};
use sui_ledger::ids;
use sui_sdk_types::{Identifier, StructTag, TypeTag};

/// Which table a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowKind {
    /// Credential hash to record.
    Seal,
    /// Node name to claim.
    Node,
    /// Owner to hashes.
    Owner,
}

impl RowKind {
    /// The type of the table's keys.
    #[must_use]
    pub fn key_type(self) -> TypeTag {
        match self {
            Self::Seal => TypeTag::Vector(Box::new(TypeTag::U8)),
            Self::Node => TypeTag::Struct(Box::new(StructTag::new(
                const { sui_sdk_types::Address::from_static("0x1") },
                const { Identifier::from_static("string") },
                const { Identifier::from_static("String") },
                Vec::new(),
            ))),
            Self::Owner => TypeTag::Address,
        }
    }
}

/// A row as an object: its id, its parent and its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Derived from the table and the key.
    pub id: ObjectId,
    /// The parent.
    pub table: ObjectId,
    /// Which table that is.
    pub kind: RowKind,
    /// BCS of `Field<K, V>`.
    pub contents: Vec<u8>,
}

/// Where rows are kept.
pub trait Rows {
    /// The contents of the row with this id, if it exists.
    fn read(&self, id: &ObjectId) -> Option<Vec<u8>>;

    /// Writes a row, new or not.
    fn write(&mut self, row: Row);
}

impl Rows for std::collections::BTreeMap<ObjectId, Row> {
    fn read(&self, id: &ObjectId) -> Option<Vec<u8>> {
        self.get(id).map(|row| row.contents.clone())
    }

    fn write(&mut self, row: Row) {
        self.insert(row.id, row);
    }
}

/// The id of a row. Keys of any length are taken: a hash that is no hash has no row.
pub(super) fn row_id<K: Serialize>(table: &Table, kind: RowKind, key: &K) -> ObjectId {
    #[expect(
        clippy::expect_used,
        reason = "BCS refuses only sequences over 2^31 items; an argument has at most 16 KiB"
    )]
    let key = bcs::to_bytes(key).expect("keys are always serialisable");
    let parent = ids::to_sui(table.id.as_bytes());
    ids::object_id(parent.derive_dynamic_child_id(&kind.key_type(), &key))
}

/// A value that stands in a row, and the key's type.
pub(super) trait RowValue: Sized {
    type Key: Serialize;
    const KIND: RowKind;
    fn decode(contents: &[u8]) -> Option<Self>;
    fn encode(id: ObjectId, key: Self::Key, value: Self) -> Vec<u8>;
}

impl RowValue for SealRecordBcs {
    type Key = Vec<u8>;
    const KIND: RowKind = RowKind::Seal;

    fn decode(contents: &[u8]) -> Option<Self> {
        SealRow::decode(contents).ok().map(|row| row.value)
    }

    fn encode(id: ObjectId, name: Vec<u8>, value: Self) -> Vec<u8> {
        Field { id, name, value }.encode()
    }
}

impl RowValue for NodeClaimBcs {
    type Key = String;
    const KIND: RowKind = RowKind::Node;

    fn decode(contents: &[u8]) -> Option<Self> {
        NodeRow::decode(contents).ok().map(|row| row.value)
    }

    fn encode(id: ObjectId, name: String, value: Self) -> Vec<u8> {
        Field { id, name, value }.encode()
    }
}

impl RowValue for Vec<Vec<u8>> {
    type Key = AddressBcs;
    const KIND: RowKind = RowKind::Owner;

    fn decode(contents: &[u8]) -> Option<Self> {
        OwnerRow::decode(contents).ok().map(|row| row.value)
    }

    fn encode(id: ObjectId, name: AddressBcs, value: Self) -> Vec<u8> {
        Field { id, name, value }.encode()
    }
}

/// Reads the value under a key.
pub(super) fn get<V: RowValue>(rows: &impl Rows, table: &Table, key: &V::Key) -> Option<V> {
    let contents = rows.read(&row_id(table, V::KIND, key))?;
    V::decode(&contents)
}

/// Writes the value under a key; a new row counts in the table's size.
pub(super) fn put<V: RowValue>(rows: &mut impl Rows, table: &mut Table, key: V::Key, value: V) {
    let id = row_id(table, V::KIND, &key);
    if rows.read(&id).is_none() {
        table.size += 1;
    }
    rows.write(Row {
        id,
        table: table.id,
        kind: V::KIND,
        contents: V::encode(id, key, value),
    });
}

/// The key of an owner's row.
pub(super) fn owner_key(owner: Address) -> AddressBcs {
    AddressBcs(owner)
}
