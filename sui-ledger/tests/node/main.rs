//! The client against what a real full node says, over real HTTP/2.
//!
//! `replay` serves recorded or made-up bytes on a socket; the code under test is the public API.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails; clippy's own exception covers test functions alone"
)]
#![allow(
    clippy::field_reassign_with_default,
    reason = "the protocol's messages are non-exhaustive: they can be made in no other way"
)]

mod build;
mod chain_model;
mod contract;
mod faults;
mod recorded;
mod recording;
mod replay;
mod transactions;
