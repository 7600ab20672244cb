//! The domain of K3s-DaaS, without I/O: credentials, stake tiers, seal records
//! and what a seal permits.
//!
//! Nothing here reads a clock, a file or a socket: time and records are
//! arguments, so that every decision can be tested as a table.

pub mod access;
mod credential;
mod elevated;
mod hex_id;
pub mod identity;
mod node_name;
mod node_standing;
mod record;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tier;
mod units;

pub use credential::{CredentialHash, JoinCredential, ParseCredentialError, SealToken};
pub use elevated::{ElevatedOwners, EmptyOwners};
pub use hex_id::{Address, ObjectId, ParseHexIdError};
pub use node_name::{NodeName, ParseNodeNameError};
pub use node_standing::NodeStanding;
pub use record::{NodeClaim, SealRecord, SealStatus, Unusable};
pub use tier::{ParseTierError, Thresholds, Tier};
pub use units::{Mist, ParseMistError, UnixMillis};
