//! The webhook through its public API: the whole router in process, and `explain`.

// Helpers of tests are outside `#[test]` functions, where clippy.toml does not reach.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod agents;
mod by_command;
mod directory;
mod explained;
mod malformed;
mod seals;
