//! The REST API as a whole: the router with a seal directory and a cluster in memory, and over
//! TLS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "api/callers.rs"]
mod callers;
#[path = "api/document.rs"]
mod document;
#[path = "api/double.rs"]
mod double;
#[path = "api/limits.rs"]
mod limits;
#[path = "api/over_tls.rs"]
mod over_tls;
#[path = "api/shown.rs"]
mod shown;
#[path = "api/workers.rs"]
mod workers;
