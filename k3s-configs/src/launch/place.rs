//! Where a control plane listens, and where its clients find it: there too, or at a gate in front.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use super::error::LaunchError;
use super::find::ControlPlaneKind;
use super::{StartOptions, port};

/// One way in through a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// Where clients come.
    pub listen: SocketAddr,
    /// Where the control plane listens behind it.
    pub upstream: SocketAddr,
}

/// The addresses and ports of one control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The address that workers are told. `None`: there are no workers.
    pub(super) advertise: Option<Ipv4Addr>,
    /// Where it listens.
    pub(super) bind: Ipv4Addr,
    /// The first of its ports there.
    pub(super) port: u16,
    /// Where clients find it.
    public: Ipv4Addr,
    public_port: u16,
    behind_gate: bool,
}

impl Place {
    /// Takes ports for it.
    pub(super) fn choose(
        dir: &Path,
        options: &StartOptions,
        kind: ControlPlaneKind,
    ) -> Result<Self, LaunchError> {
        let public = options.reachable_at.unwrap_or(Ipv4Addr::LOCALHOST);
        let (bind, gate) = match options.reachable_at {
            _ if !options.behind_gate => (public, 0),
            Some(_) => (Ipv4Addr::LOCALHOST, 0),
            // The gate's own, on the same address.
            None => (public, 1),
        };
        let needed = port::Needed {
            public,
            bind,
            gate,
            width: port::width(kind).saturating_add(gate),
        };
        let port = port::choose(dir, needed, options.port)?;
        Ok(Self::new(options.reachable_at, port, options.behind_gate))
    }

    fn new(reachable_at: Option<Ipv4Addr>, public_port: u16, behind_gate: bool) -> Self {
        let public = reachable_at.unwrap_or(Ipv4Addr::LOCALHOST);
        let (bind, port) = match reachable_at {
            _ if !behind_gate => (public, public_port),
            // The same port, as workers are told it with the gate's address.
            Some(_) => (Ipv4Addr::LOCALHOST, public_port),
            None => (Ipv4Addr::LOCALHOST, public_port.saturating_add(1)),
        };
        Self {
            advertise: reachable_at,
            bind,
            port,
            public,
            public_port,
            behind_gate,
        }
    }

    /// Where clients find the API server.
    pub(super) fn url(&self) -> String {
        self.url_of(0)
    }

    /// Where clients find what listens on the port that many after the API server's.
    pub(super) fn url_of(&self, after: u16) -> String {
        let port = self.public_port.saturating_add(after);
        format!("https://{}:{port}", self.public)
    }

    /// Where the API server listens.
    pub(super) fn direct_url(&self) -> String {
        format!("https://{}:{}", self.bind, self.port)
    }

    /// The gate's ways in to that many ports; none where there is no gate.
    pub(super) fn doors(&self, ports: u16) -> Vec<Door> {
        let ports = if self.behind_gate { ports } else { 0 };
        let at = |address: Ipv4Addr, first: u16, after: u16| {
            SocketAddr::from((address, first.saturating_add(after)))
        };
        (0..ports)
            .map(|after| Door {
                listen: at(self.public, self.public_port, after),
                upstream: at(self.bind, self.port, after),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRIDGE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

    #[test]
    fn without_a_gate_it_listens_where_clients_come() {
        for reachable_at in [None, Some(BRIDGE)] {
            let place = Place::new(reachable_at, 6443, false);
            assert_eq!(place.url(), place.direct_url());
            assert!(place.doors(2).is_empty());
        }
        assert_eq!(
            Place::new(Some(BRIDGE), 6443, false).url_of(1),
            "https://10.99.0.1:6444"
        );
    }

    #[test]
    fn behind_a_gate_on_the_same_address_it_takes_the_next_port() {
        let place = Place::new(None, 6443, true);
        assert_eq!(place.url(), "https://127.0.0.1:6443");
        assert_eq!(place.direct_url(), "https://127.0.0.1:6444");
        let door = Door {
            listen: "127.0.0.1:6443".parse().unwrap(),
            upstream: "127.0.0.1:6444".parse().unwrap(),
        };
        assert_eq!(place.doors(1), [door]);
    }

    #[test]
    fn behind_a_gate_that_workers_reach_it_keeps_the_port_on_loopback() {
        let place = Place::new(Some(BRIDGE), 6443, true);
        assert_eq!(place.bind, Ipv4Addr::LOCALHOST);
        assert_eq!(place.advertise, Some(BRIDGE));
        assert_eq!(place.direct_url(), "https://127.0.0.1:6443");
        let doors = place.doors(2);
        assert_eq!(doors[1].listen, "10.99.0.1:6444".parse().unwrap());
        assert_eq!(doors[1].upstream, "127.0.0.1:6444".parse().unwrap());
    }
}
