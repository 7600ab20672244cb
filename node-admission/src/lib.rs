//! Nodes that join by stake.
//!
//! K3s itself refuses a certificate for any node name but the one that the token webhook
//! answered; what is missing in a stock K3s is here: the Node that has to exist before K3s
//! signs, its life with its seal, and the door for operators.
//!
//! ```text
//!   first review ── admit ──► SealedNode, Node         every replica
//!   operator ────── register, heartbeat ──► SealedNode
//!   SealedNodes ─── follow ──► store ──► standing, sealed_nodes
//!   chain, Nodes ── run ──► kept, drained, cut          one leader
//! ```

pub mod admit;
pub mod api;
mod join;
mod lifecycle;
mod metrics;
mod nodes;
mod records;
#[cfg(test)]
mod scripted;
pub mod sealed_node;
mod settings;
mod store;
mod within;

pub use join::{JoinError, node_args};
pub use metrics::NodeMetrics;
pub use nodes::{NodeDirectory, Nodes};
pub use settings::NodeSettings;
