//! The embedded ledger: a `sui.rpc.v2` gRPC server for development and tests.
//!
//! Real BCS transactions, real ed25519 signatures, checkpoints at a fixed interval, a faucet,
//! persistence, and the entry functions of the Move package `k3s_daas` executed natively. A
//! client needs no branch for it.
//!
//! Shape:  [`Devnet::start`] gives a [`RunningDevnet`] with its addresses, the contract's ids, the
//!         operator's key and the switches that make it misbehave for tests.

mod config;
mod devnet;
mod faucet;
mod faults;
pub mod ledger;
mod log;
mod node;
mod rpc;
pub mod twin;

pub use config::{DevnetConfig, InvalidConfig};
pub use devnet::{Devnet, RunningDevnet, StartError};
pub use faults::{FaultSwitches, StreamEnd};
pub use log::StorageError;
