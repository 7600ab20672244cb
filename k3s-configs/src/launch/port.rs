//! Ports for a control plane.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::Path;

use rand::Rng as _;

use super::error::LaunchError;
use super::find::ControlPlaneKind;

/// Outside the range from which Linux takes the ports of outgoing connections (it begins at
/// 32768), so that a port found free is still free a moment later.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;
const TRIES: usize = 100;

/// Where a run leaves its port for the next: K3s breaks when the port of an existing server
/// changes (its own kubeconfigs keep the old one), and so do kubeconfigs that were handed out.
const FILE: &str = "port";

/// How many ports in a row it needs: K3s's API server listens on the port after the public one,
/// its agent's load balancer takes a third.
pub(super) const fn width(kind: ControlPlaneKind) -> u16 {
    match kind {
        ControlPlaneKind::K3s => 3,
        // The API server's, and that of the double of K3s's supervisor.
        ControlPlaneKind::Modules => 2,
    }
}

/// What has to be free: `width` ports in a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needed {
    /// Where clients come.
    pub(super) public: Ipv4Addr,
    /// Where the control plane listens.
    pub(super) bind: Ipv4Addr,
    /// How many of them, from the first, are a gate's on the same address.
    pub(super) gate: u16,
    pub(super) width: u16,
}

/// The port that was asked for, else that of an earlier run, else a free one; with as many after it
/// as are needed. A port that is known already may be in use by the gate, which outlives restarts
/// of what is behind it.
pub(super) fn choose(dir: &Path, needed: Needed, wanted: Option<u16>) -> Result<u16, LaunchError> {
    let file = dir.join(FILE);
    let earlier = || std::fs::read_to_string(&file).ok()?.trim().parse().ok();
    let port = match wanted.or_else(earlier) {
        Some(port) if all_free(needed.bind, port, needed.gate..needed.width) => port,
        Some(port) => return Err(LaunchError::PortTaken { port }),
        None => free(needed.public, needed.width)?,
    };
    std::fs::write(&file, format!("{port}\n"))
        .map_err(|source| LaunchError::file(&file, source))?;
    Ok(port)
}

fn free(address: Ipv4Addr, width: u16) -> Result<u16, LaunchError> {
    let mut random = rand::rng();
    (0..TRIES)
        .map(|_| random.random_range(FIRST..LAST))
        .find(|port| all_free(address, *port, 0..width))
        .ok_or(LaunchError::NoPort {
            first: FIRST,
            last: LAST,
        })
}

fn all_free(address: Ipv4Addr, port: u16, mut offsets: Range<u16>) -> bool {
    offsets.all(|offset| {
        // K3s's own components talk to 127.0.0.1 wherever else it listens.
        port.checked_add(offset).is_some_and(|port| {
            [address, Ipv4Addr::LOCALHOST]
                .iter()
                .all(|address| TcpListener::bind((*address, port)).is_ok())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(gate: u16, width: u16) -> Needed {
        Needed {
            public: Ipv4Addr::LOCALHOST,
            bind: Ipv4Addr::LOCALHOST,
            gate,
            width,
        }
    }

    fn choose_for(
        kind: ControlPlaneKind,
        dir: &Path,
        wanted: Option<u16>,
    ) -> Result<u16, LaunchError> {
        choose(dir, needed(0, width(kind)), wanted)
    }

    #[test]
    fn a_second_run_on_the_folder_takes_the_same_port() {
        let dir = tempfile::tempdir().unwrap();
        let port = choose_for(ControlPlaneKind::K3s, dir.path(), None).unwrap();
        assert_eq!(
            choose_for(ControlPlaneKind::K3s, dir.path(), None).unwrap(),
            port
        );
    }

    #[test]
    fn a_port_that_was_asked_for_and_is_taken_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(matches!(
            choose_for(ControlPlaneKind::Modules, dir.path(), Some(port)),
            Err(LaunchError::PortTaken { port: refused }) if refused == port
        ));
    }

    #[test]
    fn k3s_needs_the_ports_after_its_own_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let port = choose_for(ControlPlaneKind::K3s, dir.path(), None).unwrap();
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port + 2)).unwrap();
        assert!(choose_for(ControlPlaneKind::K3s, dir.path(), None).is_err());
        assert!(choose_for(ControlPlaneKind::Modules, dir.path(), None).is_ok());
    }

    #[test]
    fn the_gate_may_run_on_while_what_is_behind_it_starts_again() {
        let dir = tempfile::tempdir().unwrap();
        let port = choose(dir.path(), needed(1, 3), None).unwrap();
        let _gate = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert_eq!(choose(dir.path(), needed(1, 3), None).unwrap(), port);
        assert!(choose(dir.path(), needed(0, 3), None).is_err());
        let elsewhere = Needed {
            public: Ipv4Addr::new(127, 0, 0, 2),
            ..needed(0, 2)
        };
        let dir = tempfile::tempdir().unwrap();
        let port = choose(dir.path(), elsewhere, None).unwrap();
        let _gate = TcpListener::bind((elsewhere.public, port)).unwrap();
        assert_eq!(choose(dir.path(), elsewhere, None).unwrap(), port);
    }

    #[test]
    fn the_highest_port_has_none_after_it() {
        assert!(!all_free(Ipv4Addr::LOCALHOST, u16::MAX, 0..2));
    }
}
