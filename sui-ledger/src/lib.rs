//! The chain: contract types, reads, transactions, the checkpoint stream and the seal directory.
