//! The structs of the Move package, field by field.
//!
//! Shape: the order of the fields here is the order of the bytes. Layouts never change on an
//!        upgrade; `ext` is empty today. Types that the domain has under the same name end in `Bcs`.
//! Units: MIST, ms since the epoch with 0 for none, whole percentages.

use seal::{Address, Mist, ObjectId, Thresholds};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ids_serde::{address, object_id, object_ids};
use super::{DecodeError, MAX_OBJECT_BYTES};

/// A Move value that is read and written as BCS.
pub trait Layout: Serialize + DeserializeOwned {
    /// The Move type's name, for errors.
    const NAME: &'static str;

    /// Reads one value that takes all the bytes.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_OBJECT_BYTES {
            return Err(DecodeError::TooLong {
                what: Self::NAME,
                found: bytes.len(),
            });
        }
        bcs::from_bytes(bytes).map_err(|source| DecodeError::Layout {
            what: Self::NAME,
            source,
        })
    }

    /// Writes the value.
    #[must_use]
    fn encode(&self) -> Vec<u8> {
        #[expect(
            clippy::expect_used,
            reason = "BCS refuses only sequences over 2^31 items and maps; these types have neither"
        )]
        bcs::to_bytes(self).expect("these types are always serialisable")
    }
}

macro_rules! layouts {
    ($($type:ty => $name:literal),+ $(,)?) => {
        $(impl Layout for $type { const NAME: &'static str = $name; })+
    };
}

layouts! {
    Pool => "Pool",
    Config => "Config",
    SealRecordBcs => "SealRecord",
    NodeClaimBcs => "NodeClaim",
    SealTokenBcs => "SealToken",
    AdminCap => "AdminCap",
    SlashCap => "SlashCap",
    SealChangedBcs => "SealChanged",
    NodeClaimedBcs => "NodeClaimed",
    ConfigChangedBcs => "ConfigChanged",
    SealRow => "Field<vector<u8>, SealRecord>",
    NodeRow => "Field<String, NodeClaim>",
    OwnerRow => "Field<address, vector<vector<u8>>>",
}

/// A row of the pool's table `seals`.
pub type SealRow = Field<Vec<u8>, SealRecordBcs>;
/// A row of the pool's table `nodes`.
pub type NodeRow = Field<String, NodeClaimBcs>;
/// A row of the pool's table `owners`.
pub type OwnerRow = Field<AddressBcs, Vec<Vec<u8>>>;

/// `0x2::table::Table<K, V>`: its rows are dynamic fields of `id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The parent of the rows.
    #[serde(with = "object_id")]
    pub id: ObjectId,
    /// How many rows there are.
    pub size: u64,
}

/// `0x2::dynamic_field::Field<K, V>`: one row of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field<K, V> {
    /// The row's own id, derived from the table's id and the key.
    #[serde(with = "object_id")]
    pub id: ObjectId,
    /// The key.
    pub name: K,
    /// The value.
    pub value: V,
}

/// A Move `address` where it stands alone, as the key of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AddressBcs(#[serde(with = "address")] pub Address);

/// What the pool's operator can change, with a delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Least stake of a viewer, MIST.
    pub viewer: u64,
    /// Least stake of a developer, MIST.
    pub developer: u64,
    /// Least stake of an admin, MIST.
    pub admin: u64,
    /// Least stake of a super, MIST.
    pub super_: u64,
    /// What a slash takes, percent.
    pub slash_pct: u64,
    /// The least time between two slashes of a seal.
    pub slash_interval_ms: u64,
    /// How long an announced config waits.
    pub config_delay_ms: u64,
    /// How long a stake is held after `request_unstake`.
    pub unbonding_ms: u64,
    /// The shortest validity of a seal.
    pub validity_min_ms: u64,
    /// The longest.
    pub validity_max_ms: u64,
    /// The validity when none is asked for.
    pub validity_default_ms: u64,
}

impl Config {
    /// The tiers' least stakes as the domain has them.
    #[must_use]
    pub const fn thresholds(&self) -> Thresholds {
        Thresholds {
            viewer: Mist(self.viewer),
            developer: Mist(self.developer),
            admin: Mist(self.admin),
            super_: Mist(self.super_),
        }
    }
}

/// A config that is announced and not in force yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingConfig {
    /// What will be.
    pub config: Config,
    /// From when on it can be applied.
    pub effective_at_ms: u64,
}

/// The one shared object of the package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The object's id.
    #[serde(with = "object_id")]
    pub id: ObjectId,
    /// Only the package of this version may be called.
    pub version: u64,
    /// What is in force.
    pub config: Config,
    /// What is announced.
    pub pending: Option<PendingConfig>,
    /// All stakes, MIST.
    pub pooled: u64,
    /// What slashes took, MIST.
    pub treasury: u64,
    /// The number of the last event.
    pub seq: u64,
    /// Credential hash to record.
    pub seals: Table,
    /// Node name to claim.
    pub nodes: Table,
    /// Owner to the hashes of his seals that are not retired.
    pub owners: Table,
    /// The caps that may slash.
    #[serde(with = "object_ids")]
    pub slash_caps: Vec<ObjectId>,
    /// Node names nobody may claim.
    pub reserved: Vec<String>,
    /// Stops mint, restake and refresh.
    pub paused: bool,
    /// Empty today.
    pub ext: Vec<u8>,
}

/// A seal's record as the chain keeps it. [`seal::SealRecord`] is the checked form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealRecordBcs {
    /// The number of the event that made it what it is.
    pub seq: u64,
    /// The owner's `SealToken`.
    #[serde(with = "object_id")]
    pub seal_id: ObjectId,
    /// Who staked.
    #[serde(with = "address")]
    pub owner: Address,
    /// MIST.
    pub stake: u64,
    /// The stake that ends a slashed state; 0 while there is none.
    pub restore_at: u64,
    /// The machine this seal may join.
    pub node_id: Option<String>,
    /// A wish, never an authority.
    pub namespace: Option<String>,
    /// When it was minted or last refreshed.
    pub issued_at_ms: u64,
    /// From here on it is dead.
    pub expires_at_ms: u64,
    /// When the stake can be withdrawn.
    pub unbonding_ends_at_ms: u64,
    /// 0 active, 1 unbonding, 2 slashed, 3 revoked, 4 retired.
    pub status: u8,
    /// All that slashes took, MIST.
    pub slashed_total: u64,
    /// The last slash.
    pub last_slashed_at_ms: u64,
    /// How often it was refreshed.
    pub generation: u64,
    /// Empty today.
    pub ext: Vec<u8>,
}

/// Who holds a node's name. [`seal::NodeClaim`] is the checked form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeClaimBcs {
    /// `0x0` once the claim is voided.
    #[serde(with = "address")]
    pub owner: Address,
    /// The seal that holds it.
    pub hash: Vec<u8>,
}

/// The owner's right to manage a record. Not the secret, which never goes on chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealTokenBcs {
    /// The object's id.
    #[serde(with = "object_id")]
    pub id: ObjectId,
    /// The pool it belongs to.
    #[serde(with = "object_id")]
    pub pool: ObjectId,
    /// The record it manages.
    pub hash: Vec<u8>,
}

/// The right to config, caps, reserved names, pause and treasury.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminCap {
    /// The object's id.
    #[serde(with = "object_id")]
    pub id: ObjectId,
}

/// The right to slash and revoke, while the pool lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlashCap {
    /// The object's id.
    #[serde(with = "object_id")]
    pub id: ObjectId,
}

/// Event: a record changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealChangedBcs {
    /// The pool that speaks.
    #[serde(with = "object_id")]
    pub pool: ObjectId,
    /// The pool's number, +1 with each event.
    pub seq: u64,
    /// See [`super::Cause`].
    pub cause: u8,
    /// Why, in the operator's words; empty but for slash and revoke.
    pub reason: String,
    /// The record's key.
    pub hash: Vec<u8>,
    /// The record after the change.
    pub record: SealRecordBcs,
}

/// Event: a node's name was claimed, or its claim was voided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeClaimedBcs {
    /// The pool that speaks.
    #[serde(with = "object_id")]
    pub pool: ObjectId,
    /// The pool's number, +1 with each event.
    pub seq: u64,
    /// The node's name.
    pub name: String,
    /// The claim after the change.
    pub claim: NodeClaimBcs,
}

/// Event: another config is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChangedBcs {
    /// The pool that speaks.
    #[serde(with = "object_id")]
    pub pool: ObjectId,
    /// The pool's number, +1 with each event.
    pub seq: u64,
    /// What is in force now.
    pub config: Config,
}
