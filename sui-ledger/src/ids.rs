//! Ids and type names that follow from the package's and the pool's.
//!
//! Shape:  a row of a table is a dynamic field of the table, its id
//!         `blake2b-256(0xf0 ‖ table ‖ len(key) as u64 LE ‖ key ‖ BCS of the key's TypeTag)`,
//!         so that a look-up is one read by a computed id.
//! Source: Sui `derive_dynamic_field_id`; checked against recorded answers of a full node.

use seal::{Address, CredentialHash, NodeName, ObjectId};
use sui_sdk_types::{Address as SuiAddress, Identifier, StructTag, TypeTag};

use crate::contract::MODULE;

/// The shared Clock.
pub const CLOCK: SuiAddress = SuiAddress::from_static("0x6");

/// The id of a credential hash's row in the table `seals`.
#[must_use]
pub fn seal_field_id(seals: &ObjectId, hash: &CredentialHash) -> ObjectId {
    let key = prefixed(hash.as_bytes());
    child_id(seals, &TypeTag::Vector(Box::new(TypeTag::U8)), &key)
}

/// The id of a node's row in the table `nodes`.
#[must_use]
pub fn node_field_id(nodes: &ObjectId, name: &NodeName) -> ObjectId {
    let string = StructTag::new(
        const { SuiAddress::from_static("0x1") },
        const { Identifier::from_static("string") },
        const { Identifier::from_static("String") },
        Vec::new(),
    );
    let key = prefixed(name.as_str().as_bytes());
    child_id(nodes, &TypeTag::Struct(Box::new(string)), &key)
}

/// The id of an owner's row in the table `owners`.
#[must_use]
pub fn owner_field_id(owners: &ObjectId, owner: &Address) -> ObjectId {
    child_id(owners, &TypeTag::Address, owner.as_bytes())
}

/// BCS of a byte string shorter than 128: one byte of length in ULEB128, then the bytes.
/// A hash has 32 bytes and a node name at most 63.
fn prefixed(bytes: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(bytes.len() + 1);
    key.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    key.extend_from_slice(bytes);
    key
}

fn child_id(table: &ObjectId, key_type: &TypeTag, key: &[u8]) -> ObjectId {
    object_id(to_sui(table.as_bytes()).derive_dynamic_child_id(key_type, key))
}

/// An SDK address as the domain's object id.
#[must_use]
pub fn object_id(id: SuiAddress) -> ObjectId {
    ObjectId::from_bytes(id.into_inner())
}

/// An SDK address as the domain's address.
#[must_use]
pub fn address(address: SuiAddress) -> Address {
    Address::from_bytes(address.into_inner())
}

/// A domain id's bytes as the SDK's address.
#[must_use]
pub fn to_sui(bytes: &[u8; 32]) -> SuiAddress {
    SuiAddress::new(*bytes)
}

/// The package's types. They carry the *original* package's id through every upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContractType {
    /// The shared pool.
    Pool,
    /// The owner's right to manage a record.
    SealToken,
    /// The operator's right to the config.
    AdminCap,
    /// The operator's right to slash.
    SlashCap,
    /// Event: a record changed.
    SealChanged,
    /// Event: a node's name was claimed.
    NodeClaimed,
    /// Event: another config is in force.
    ConfigChanged,
}

impl ContractType {
    /// The three events.
    pub const EVENTS: [Self; 3] = [Self::SealChanged, Self::NodeClaimed, Self::ConfigChanged];

    /// The struct's name in Move.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pool => "Pool",
            Self::SealToken => "SealToken",
            Self::AdminCap => "AdminCap",
            Self::SlashCap => "SlashCap",
            Self::SealChanged => "SealChanged",
            Self::NodeClaimed => "NodeClaimed",
            Self::ConfigChanged => "ConfigChanged",
        }
    }

    /// The full type in the package first published as `original_package`.
    #[must_use]
    pub fn tag(self, original_package: &ObjectId) -> StructTag {
        StructTag::new(
            to_sui(original_package.as_bytes()),
            const { Identifier::from_static(MODULE) },
            Identifier::from_static(self.name()),
            Vec::new(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_length_and_its_bytes() {
        let hash = CredentialHash::from_bytes([7; 32]);
        assert_eq!(
            prefixed(hash.as_bytes()),
            bcs::to_bytes(&[7u8; 32].to_vec()).unwrap()
        );
        let name = "a".repeat(63);
        assert_eq!(prefixed(name.as_bytes()), bcs::to_bytes(&name).unwrap());
    }

    #[test]
    fn rows_of_equal_bytes_in_different_tables_or_types_have_different_ids() {
        let (one, two) = (ObjectId::from_bytes([1; 32]), ObjectId::from_bytes([2; 32]));
        let hash = CredentialHash::from_bytes([3; 32]);
        assert_ne!(seal_field_id(&one, &hash), seal_field_id(&two, &hash));
        let name: NodeName = "a".parse().unwrap();
        assert_ne!(
            node_field_id(&one, &name),
            child_id(&one, &TypeTag::Vector(Box::new(TypeTag::U8)), b"\x01a")
        );
    }

    #[test]
    fn type_names_are_full_length() {
        let tag = ContractType::SealChanged.tag(&ObjectId::from_bytes([0xab; 32]));
        assert_eq!(
            tag.to_string(),
            format!("0x{}::staking::SealChanged", "ab".repeat(32))
        );
    }
}
