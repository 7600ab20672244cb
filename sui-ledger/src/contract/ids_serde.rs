//! The domain's ids as BCS has them: 32 bytes without a length.

/// For a field of type [`seal::ObjectId`] (Move `UID`, `ID`).
pub(super) mod object_id {
    use seal::ObjectId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(id: &ObjectId, to: S) -> Result<S::Ok, S::Error> {
        id.as_bytes().serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ObjectId, D::Error> {
        <[u8; 32]>::deserialize(from).map(ObjectId::from_bytes)
    }
}

/// For a field of type [`seal::Address`] (Move `address`).
pub(super) mod address {
    use seal::Address;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(address: &Address, to: S) -> Result<S::Ok, S::Error> {
        address.as_bytes().serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Address, D::Error> {
        <[u8; 32]>::deserialize(from).map(Address::from_bytes)
    }
}

/// For a list of ids (Move `vector<ID>`).
pub(super) mod object_ids {
    use seal::ObjectId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(ids: &[ObjectId], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(ids.iter().map(ObjectId::as_bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<ObjectId>, D::Error> {
        let ids = Vec::<[u8; 32]>::deserialize(from)?;
        Ok(ids.into_iter().map(ObjectId::from_bytes).collect())
    }
}
