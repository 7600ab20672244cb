//! Nodes that join by stake.
//!
//! K3s itself refuses a certificate for any node name but the one that the token webhook
//! answered; what is missing in a stock K3s is here: the Node that has to exist before K3s
//! signs, its life with its seal, and the door for operators.

pub mod sealed_node;
mod settings;

pub use settings::NodeSettings;
