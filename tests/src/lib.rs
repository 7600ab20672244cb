//! End-to-end tests and load benchmarks against real components.

pub mod agents;
pub mod bench;
pub mod control_plane;
pub mod cri;
pub mod e2e;
pub mod life;
pub mod promql;
pub mod rig;
pub mod stand_in;
pub mod streams;
pub mod systemd;
pub mod worker;
