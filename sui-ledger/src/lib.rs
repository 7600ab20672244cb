//! The chain: contract types, reads, transactions, the checkpoint stream and the seal directory.

pub mod chain_id;
pub mod contract;
pub mod frame;
pub mod ids;
pub mod manifest;
