//! End-to-end tests and load benchmarks against real components.

pub mod bench;
pub mod control_plane;
pub mod rig;
