//! The client against what a real full node says, over real HTTP/2.
//!
//! `replay` serves recorded or made-up bytes on a socket; the code under test is the public API.

mod chain_model;
mod contract;
mod faults;
mod recorded;
mod recording;
mod replay;
mod transactions;
