//! The relay as a whole: real sockets on loopback, a plain TCP server in K3s's place.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "relay/bench.rs"]
mod bench;
#[path = "relay/bytes.rs"]
mod bytes;
#[path = "relay/crowd.rs"]
mod crowd;
#[path = "relay/ends.rs"]
mod ends;
#[path = "relay/limits.rs"]
mod limits;
#[path = "relay/sources.rs"]
mod sources;
#[path = "relay/stops.rs"]
mod stops;
