//! The relay among clients that mean it no good.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "relay/bench.rs"]
mod bench;
#[path = "hostile/hellos.rs"]
mod hellos;
#[path = "hostile/holders.rs"]
mod holders;
