//! From the chain's bytes to the domain's types, with every check that lies between.

use seal::{
    Address, CredentialHash, Mist, NodeClaim, NodeName, SealRecord, SealStatus, UnixMillis,
};

use super::layout::{
    Layout, NodeClaimBcs, NodeRow, OwnerRow, Pool, SealRecordBcs, SealRow, SealTokenBcs,
};
use super::{DecodeError, POOL_VERSION};

/// The most seals of one owner that are not retired; the contract refuses a further one.
pub const MAX_SEALS_PER_OWNER: usize = 16;

/// Reads the pool. Another version than ours is refused: its rules are unknown here.
pub fn decode_pool(bytes: &[u8]) -> Result<Pool, DecodeError> {
    let pool = Pool::decode(bytes)?;
    if pool.version == POOL_VERSION {
        Ok(pool)
    } else {
        Err(DecodeError::PoolVersion {
            found: pool.version,
        })
    }
}

/// Reads the row of `hash` in the table `seals`; a row of another hash is refused.
pub fn decode_seal_field(bytes: &[u8], hash: &CredentialHash) -> Result<SealRecord, DecodeError> {
    let row = SealRow::decode(bytes)?;
    if credential_hash(&row.name)? == *hash {
        row.value.try_into()
    } else {
        Err(DecodeError::OtherKey)
    }
}

/// Reads the row of `name` in the table `nodes`; a row of another name is refused.
///
/// A voided claim is returned as it stands: see [`is_voided`].
pub fn decode_node_field(bytes: &[u8], name: &NodeName) -> Result<NodeClaim, DecodeError> {
    let row = NodeRow::decode(bytes)?;
    if row.name == name.as_str() {
        row.value.try_into()
    } else {
        Err(DecodeError::OtherKey)
    }
}

/// Reads the row of `owner` in the table `owners`; a row of another owner is refused.
pub fn decode_owner_field(
    bytes: &[u8],
    owner: &Address,
) -> Result<Vec<CredentialHash>, DecodeError> {
    let row = OwnerRow::decode(bytes)?;
    if row.name.0 != *owner {
        return Err(DecodeError::OtherKey);
    }
    if row.value.len() > MAX_SEALS_PER_OWNER {
        return Err(DecodeError::Seals {
            found: row.value.len(),
        });
    }
    row.value.iter().map(|hash| credential_hash(hash)).collect()
}

/// Whether a claim was voided: its owner is `0x0`, so nobody holds the name.
#[must_use]
pub fn is_voided(claim: &NodeClaim) -> bool {
    claim.owner == Address::from_bytes([0; 32])
}

/// Takes exactly 32 bytes.
pub(super) fn credential_hash(bytes: &[u8]) -> Result<CredentialHash, DecodeError> {
    <[u8; 32]>::try_from(bytes)
        .map(CredentialHash::from_bytes)
        .map_err(|_| DecodeError::HashLength { found: bytes.len() })
}

impl TryFrom<SealRecordBcs> for SealRecord {
    type Error = DecodeError;

    fn try_from(record: SealRecordBcs) -> Result<Self, DecodeError> {
        let status = SealStatus::from_chain(record.status).ok_or(DecodeError::Status {
            found: record.status,
        })?;
        Ok(Self {
            seq: record.seq,
            seal_id: record.seal_id,
            owner: record.owner,
            stake: Mist(record.stake),
            restore_at: Mist(record.restore_at),
            // A text that is no node name joins nothing.
            node_id: record.node_id.and_then(|name| name.parse().ok()),
            // Has the form of a node name on chain; another text is no wish we could show.
            namespace_wish: record
                .namespace
                .filter(|name| name.parse::<NodeName>().is_ok()),
            issued_at: UnixMillis(record.issued_at_ms),
            expires_at: UnixMillis(record.expires_at_ms),
            unbonding_ends_at: UnixMillis(record.unbonding_ends_at_ms),
            status,
            slashed_total: Mist(record.slashed_total),
            last_slashed_at: UnixMillis(record.last_slashed_at_ms),
            generation: record.generation,
        })
    }
}

/// The chain's form of a record; `ext` is empty.
impl From<&SealRecord> for SealRecordBcs {
    fn from(record: &SealRecord) -> Self {
        Self {
            seq: record.seq,
            seal_id: record.seal_id,
            owner: record.owner,
            stake: record.stake.0,
            restore_at: record.restore_at.0,
            node_id: record.node_id.as_ref().map(ToString::to_string),
            namespace: record.namespace_wish.clone(),
            issued_at_ms: record.issued_at.0,
            expires_at_ms: record.expires_at.0,
            unbonding_ends_at_ms: record.unbonding_ends_at.0,
            status: record.status.to_chain(),
            slashed_total: record.slashed_total.0,
            last_slashed_at_ms: record.last_slashed_at.0,
            generation: record.generation,
            ext: Vec::new(),
        }
    }
}

impl TryFrom<NodeClaimBcs> for NodeClaim {
    type Error = DecodeError;

    fn try_from(claim: NodeClaimBcs) -> Result<Self, DecodeError> {
        Ok(Self {
            owner: claim.owner,
            hash: credential_hash(&claim.hash)?,
        })
    }
}

impl From<&NodeClaim> for NodeClaimBcs {
    fn from(claim: &NodeClaim) -> Self {
        Self {
            owner: claim.owner,
            hash: claim.hash.as_bytes().to_vec(),
        }
    }
}

impl SealTokenBcs {
    /// The record this token manages.
    pub fn credential_hash(&self) -> Result<CredentialHash, DecodeError> {
        credential_hash(&self.hash)
    }
}
