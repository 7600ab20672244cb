//! The relay: bytes from clients to K3s and back, TLS untouched.
//!
//! Shape:  [`open`] binds the doors and starts a thread with a runtime of its own, so that a
//!         connection is served where it was accepted and never waits for other work of the
//!         process. One task a connection ([`connection`]).
//! Errors: what is wrong with the doors ends the opening. Later, whatever goes wrong with a
//!         connection ends that connection.

mod accept;
mod connection;
mod files;
pub mod hello;
mod pump;
mod thread;
mod told;

use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};
use tokio_util::sync::CancellationToken;

use crate::error::GateError;
use crate::gate::Gate;
use crate::settings::Door;
use thread::Thread;

/// Newcomers that the kernel keeps until they are accepted.
const BACKLOG: i32 = 4_096;

/// Open doors. Dropping it closes them, and all connections, at once.
#[derive(Debug)]
pub struct Relaying {
    /// Where they are, in the order in which they were asked for.
    pub addresses: Vec<SocketAddr>,
    /// No newcomers; who is in may end.
    closing: CancellationToken,
    thread: Thread,
}

impl Relaying {
    /// Closes the doors, leaves connections a moment to end by themselves, and resets the rest.
    pub async fn stop(mut self) {
        self.closing.cancel();
        self.thread.ended().await;
    }
}

/// Opens the doors of a gate.
pub(crate) fn open(gate: &Gate, doors: &[Door]) -> Result<Relaying, GateError> {
    let mut listeners = Vec::new();
    let mut addresses = Vec::new();
    for door in doors {
        let upstream = door.upstream;
        if !matches!(upstream, SocketAddr::V4(at) if at.ip().is_loopback()) {
            return Err(GateError::Upstream { upstream });
        }
        let address = door.listen;
        let bind = |source| GateError::Bind { address, source };
        let listener = listen(address).map_err(bind)?;
        let bound = listener.local_addr().map_err(bind)?;
        addresses.push(bound);
        let door = Door {
            listen: bound,
            upstream,
        };
        listeners.push((door, listener));
    }
    let closing = CancellationToken::new();
    let thread = Thread::start(gate.clone(), listeners, closing.clone())?;
    Ok(Relaying {
        addresses,
        closing,
        thread,
    })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restarted gate takes its address while connections of the one before linger.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // 0.0.0.0 and [::] may both be doors.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
