//! The built program, run as people run it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that can't go on fails; helpers outside of #[test] too"
)]

mod control;
mod devnet;
mod doors;
mod namespaces;
mod offline;
mod program;
mod rendering;
mod server;
