//! The chain: contract types, reads, transactions, the checkpoint stream and the seal directory.

pub mod chain_id;
pub mod client;
pub mod contract;
pub mod directory;
pub mod error;
pub mod frame;
pub mod ids;
pub mod keystore;
pub mod manifest;
pub mod metrics;
pub mod publication;
pub mod reads;
pub mod tx;
