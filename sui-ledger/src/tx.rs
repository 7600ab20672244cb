//! Transactions of the contract: built offline, signed here, sent, and waited for.
//!
//! Shape:  inputs are explicit: one gas coin, the pool by its initial shared version, owned
//!         objects by the version of the last effects. The SDK's own resolution took ten coins as
//!         gas and a version that was just spent.
//! Errors: [`TxError`]; each says who is to blame and, for an abort, what to do next.
//! Not here: when a record may be trusted for a decision; that is the directory's.

mod abort;
mod build;
mod call;
mod error;
mod publish;
mod submit;
mod wallet;

pub use abort::{AbortCode, ContractAbort};
pub use build::{Gas, build_call, build_publish};
pub use call::Call;
pub use error::{PublishError, TxError};
pub use publish::Artefact;
pub use wallet::{Receipt, Stake, Token, Wallet, WalletSettings};
