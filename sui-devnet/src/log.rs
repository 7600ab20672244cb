//! What survives a crash: an append-only log of what was executed, and stored states.
//!
//! Shape:  `log-<n>.bin` holds what came after checkpoint n, `snapshot-<n>.bin` the state at it.
//!         A log is a magic number and records, each `length u32 LE ‖ checksum (8 bytes) ‖ BCS`.
//!         A restart takes up the older of the two last states and executes the rest again, so
//!         that at least one whole log of history can be read afterwards.
//! Errors: a torn record at the end of the last log was never answered for and is cut off; any
//!         other damage stops the start.
//! Not here: verifying signatures. That was done before the log was written.

mod directory;
mod record;
mod segment;
mod snapshot;

pub use directory::StorageError;
pub(crate) use directory::{Opened, Storage, StoredKeys};
pub(crate) use record::Record;
