//! The types of the objects this ledger holds.

use seal::ObjectId;
use sui_ledger::contract::MODULE;
use sui_ledger::ids::to_sui;
use sui_sdk_types::{Address, Identifier, StructTag, TypeTag};

use crate::twin::RowKind;

const FRAMEWORK: Address = Address::from_static("0x2");

/// `0x2::clock::Clock`
pub(super) fn clock() -> StructTag {
    framework("clock", "Clock", Vec::new())
}

/// A struct of the Sui framework.
fn framework(module: &'static str, name: &'static str, params: Vec<TypeTag>) -> StructTag {
    StructTag::new(
        FRAMEWORK,
        Identifier::from_static(module),
        Identifier::from_static(name),
        params,
    )
}

/// A struct of the package.
pub(super) fn contract(package: &ObjectId, name: &'static str) -> StructTag {
    StructTag::new(
        to_sui(package.as_bytes()),
        const { Identifier::from_static(MODULE) },
        Identifier::from_static(name),
        Vec::new(),
    )
}

/// The types of a row's key and value.
#[must_use]
pub fn row_types(package: &ObjectId, kind: RowKind) -> (TypeTag, TypeTag) {
    let value = match kind {
        RowKind::Seal => contract(package, "SealRecord").into(),
        RowKind::Node => contract(package, "NodeClaim").into(),
        RowKind::Owner => TypeTag::Vector(Box::new(TypeTag::Vector(Box::new(TypeTag::U8)))),
    };
    (kind.key_type(), value)
}

/// `0x2::dynamic_field::Field<K, V>` of a row.
pub(super) fn field(package: &ObjectId, kind: RowKind) -> StructTag {
    let (key, value) = row_types(package, kind);
    framework("dynamic_field", "Field", vec![key, value])
}
