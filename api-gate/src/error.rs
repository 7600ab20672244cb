//! Why the gate can't be opened.

use std::net::SocketAddr;

/// What is wrong with this machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// The address can't be listened on.
    #[error("the gate can't listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Connections are told apart by their loopback address, so K3s must listen there.
    #[error("the API server behind the gate is to be on loopback (127.0.0.0/8), not at {upstream}")]
    Upstream {
        /// The address.
        upstream: SocketAddr,
    },
    /// The relay's thread or its runtime can't be had.
    #[error("the gate's thread can't be started")]
    Thread(#[source] std::io::Error),
}
