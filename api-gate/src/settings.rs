//! What the gate is made of, and its limits with their defaults.

use std::net::SocketAddr;
use std::time::Duration;

/// One way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Door {
    /// Where clients come; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the API server listens, on loopback.
    pub upstream: SocketAddr,
}

/// What may change while the gate is open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GateSettings {
    /// Guards against floods.
    pub limits: Limits,
}

/// Guards against floods. They count when somebody comes; nobody who is in is sent away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once, those that have not spoken yet included. Each takes two files.
    /// Default 10,000.
    pub max_connections: usize,
    /// Of one peer: an IPv4 address or the /64 of an IPv6 address. Default 1,000.
    pub max_per_peer: usize,
    /// New ones a second of one peer, and as many at once. Default 200.
    pub new_per_second: u32,
    /// From the accepted connection to the end of the first TLS record. Default 10 s.
    pub hello_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_per_peer: 1_000,
            new_per_second: 200,
            hello_timeout: Duration::from_secs(10),
        }
    }
}
