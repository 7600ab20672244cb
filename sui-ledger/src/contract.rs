//! The Move package's types, decoded from and encoded to BCS.
//!
//! Shape:  structs are their fields in order, exactly as `move/LAYOUT.md` lists them; ids and
//!         addresses are 32 bytes, `u64` is little-endian, vectors and texts have a ULEB128 length.
//! Units:  amounts are MIST, times are ms since the epoch with 0 for none, percentages are whole.
//! Errors: every [`DecodeError`] means "this is not what we know": nothing may be permitted by it.
//! Source: `move/sources/staking.move`; BCS as in the `bcs` crate.
//!
//! Two levels: the structs of [`layout`] mirror the chain to the byte, for those who must
//! reproduce it; the functions here give the domain's types of the crate `seal`, checked.

mod domain;
mod event;
mod ids_serde;
pub mod layout;

pub use domain::{
    MAX_SEALS_PER_OWNER, decode_node_field, decode_owner_field, decode_pool, decode_seal_field,
    is_voided,
};
pub use event::{Cause, MAX_REASON_BYTES};
pub use layout::{
    AdminCap, Config, ConfigChangedBcs, Field, Layout, NodeClaimBcs, NodeClaimedBcs, PendingConfig,
    Pool, SealChangedBcs, SealRecordBcs, SealTokenBcs, SlashCap, Table,
};

/// The module of the package that holds everything here.
pub const MODULE: &str = "staking";

/// The `version` of the pool that this code was written for.
pub const POOL_VERSION: u64 = 1;

/// No object on chain is larger: `max_move_object_size` of Sui's protocol config.
/// A longer input is refused before it is looked at.
pub const MAX_OBJECT_BYTES: usize = 250 * 1024;

/// Why bytes are not what the contract promises. The node, its version or our code is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than an object can have.
    #[error("{what} has {found} bytes, more than any object on chain")]
    TooLong {
        /// The Move type.
        what: &'static str,
        /// How many bytes there were.
        found: usize,
    },
    /// Not the fields expected, or bytes left over.
    #[error("{what} has not the layout of this contract")]
    Layout {
        /// The Move type.
        what: &'static str,
        /// What did not fit.
        #[source]
        source: bcs::Error,
    },
    /// A credential hash that is not 32 bytes.
    #[error("a credential hash has {found} bytes instead of 32")]
    HashLength {
        /// How many bytes there were.
        found: usize,
    },
    /// A state this version does not know.
    #[error("seal status {found} is unknown to this version")]
    Status {
        /// The number on chain.
        found: u8,
    },
    /// A cause this version does not know.
    #[error("cause {found} is unknown to this version")]
    Cause {
        /// The number on chain.
        found: u8,
    },
    /// A node name out of form.
    #[error("a claimed node name is no node name")]
    NodeName,
    /// A reason over its limit.
    #[error("a reason has {found} bytes, more than {MAX_REASON_BYTES}")]
    Reason {
        /// How many bytes there were.
        found: usize,
    },
    /// More seals than an owner can have.
    #[error("an owner has {found} seals, more than {MAX_SEALS_PER_OWNER}")]
    Seals {
        /// How many there were.
        found: usize,
    },
    /// A row of another key than the one asked for.
    #[error("the row belongs to another key than the one asked for")]
    OtherKey,
    /// The record does not carry its event's number.
    #[error("an event numbered {event} carries a record numbered {record}")]
    SeqMismatch {
        /// The event's number.
        event: u64,
        /// The record's number.
        record: u64,
    },
    /// A pool of another version than this code knows.
    #[error("the pool has version {found}, this program knows {POOL_VERSION}")]
    PoolVersion {
        /// The version on chain.
        found: u64,
    },
}

impl DecodeError {
    /// All labels, for metrics that start at zero.
    pub const LABELS: [&'static str; 11] = [
        "too_long",
        "layout",
        "hash_length",
        "status",
        "cause",
        "node_name",
        "reason",
        "seals",
        "other_key",
        "seq_mismatch",
        "pool_version",
    ];

    /// The name in logs and metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too_long",
            Self::Layout { .. } => "layout",
            Self::HashLength { .. } => "hash_length",
            Self::Status { .. } => "status",
            Self::Cause { .. } => "cause",
            Self::NodeName => "node_name",
            Self::Reason { .. } => "reason",
            Self::Seals { .. } => "seals",
            Self::OtherKey => "other_key",
            Self::SeqMismatch { .. } => "seq_mismatch",
            Self::PoolVersion { .. } => "pool_version",
        }
    }
}
