//! The chain itself: objects, transactions, checkpoints. No I/O and no clock.
//!
//! Shape:  transactions execute at once but belong to the checkpoint that comes next; readers
//!         name the checkpoint they read at, so nobody sees a change before its checkpoint.
//! Units:  MIST, ms since the epoch.
//! Errors: a [`Rejection`] changes nothing; a transaction that aborts is executed, pays its gas
//!         and says so in its effects.
//! Source: Sui 1.57 (protocol version 96): ids, digests, versions and storage prices as there.

mod arguments;
mod checkpoint;
mod checks;
mod coin;
mod effects;
mod gas;
mod genesis;
mod program;
mod rejection;
mod session;
mod signature;
mod state;
mod store;
mod system;
mod types;

pub use checkpoint::Checkpoint;
pub use checks::{REFERENCE_GAS_PRICE, SignatureError, verify_signatures};
pub use coin::{balance_of, is_gas_coin};
pub use effects::Executed;
pub use genesis::{ContractIds, GenesisConfig};
pub use program::CommandOutcome;
pub use rejection::Rejection;
pub use state::{Ledger, Snapshot};
pub use store::Store;
pub use types::row_types;

/// The protocol version of the node that this one behaves like.
pub const PROTOCOL_VERSION: u64 = 96;
