//! What the load benchmarks are made of. `src/bin/bench.rs` runs them.

pub mod bare;
pub mod chain_follow;
pub mod cri;
pub mod gate;
pub mod load;
pub mod nodes;
pub mod ours;
pub mod process;
pub mod report;
pub mod reviews;
pub mod slash;
pub mod slash_kubectl;
pub mod synthetic;
pub mod tenants;
