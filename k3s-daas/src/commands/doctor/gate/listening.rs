//! Who listens on this machine.
//!
//! Source: `/proc/net/tcp` and `tcp6`, proc_pid_net(5): the second field is the local address in
//!         hex, words of 32 bits in this machine's byte order; the fourth is the state, 0A: LISTEN.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use api_gate::Door;

const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
const LISTEN: &str = "0A";
/// K3s's port where nobody chose another.
const USUAL: u16 = 6443;

/// Every address and port somebody listens on, in this network namespace.
pub(super) fn now() -> std::io::Result<BTreeSet<SocketAddr>> {
    let mut found = BTreeSet::new();
    for table in TABLES {
        match std::fs::read_to_string(table) {
            Ok(text) => found.extend(parse(&text)),
            // A kernel without IPv6.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !found.is_empty() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The listening sockets of a table; lines of another form are passed over.
pub(super) fn parse(table: &str) -> impl Iterator<Item = SocketAddr> {
    table.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let local = fields.nth(1)?;
        let state = fields.nth(1)?;
        if state == LISTEN {
            address(local)
        } else {
            None
        }
    })
}

fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    if !hex(ip) || !hex(port) || port.len() != 4 {
        return None;
    }
    let word = |at: usize| -> Option<[u8; 4]> {
        let digits = ip.get(at..at.checked_add(8)?)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match ip.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let mut octets = [0; 16];
            for (chunk, at) in octets.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
                chunk.copy_from_slice(&word(at)?);
            }
            IpAddr::from(octets).to_canonical()
        }
        _ => return None,
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(SocketAddr::new(ip, port))
}

/// Sockets on K3s's ports that others can reach and that are no door of the gate's.
pub(super) fn around(doors: &[Door], listening: &BTreeSet<SocketAddr>) -> Vec<SocketAddr> {
    let is_k3s = |port: u16| port == USUAL || doors.iter().any(|door| door.upstream.port() == port);
    let is_door = |socket: &SocketAddr| doors.iter().any(|door| same(&door.listen, socket));
    let open = |socket: &&SocketAddr| {
        is_k3s(socket.port()) && !socket.ip().is_loopback() && !is_door(socket)
    };
    listening.iter().filter(open).copied().collect()
}

/// Whether somebody listens where connections to this address arrive.
pub(super) fn is_there(address: &SocketAddr, listening: &BTreeSet<SocketAddr>) -> bool {
    let any = |socket: &SocketAddr| {
        // `::` takes IPv4 too.
        let ip = socket.ip();
        ip.is_unspecified() && (ip.is_ipv6() || address.is_ipv4())
    };
    let takes = |socket: &SocketAddr| same(address, socket) || any(socket);
    listening
        .iter()
        .any(|socket| socket.port() == address.port() && takes(socket))
}

/// Zones and flow labels aside.
fn same(one: &SocketAddr, other: &SocketAddr) -> bool {
    one.port() == other.port() && one.ip().to_canonical() == other.ip().to_canonical()
}
