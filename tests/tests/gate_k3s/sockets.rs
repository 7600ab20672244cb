//! Where a control plane listens.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context as _, ensure};

/// Where the processes listen whose home is this folder: K3s hides its arguments, not that.
pub fn listening(home: &Path) -> anyhow::Result<Vec<SocketAddr>> {
    let wanted = format!("HOME={}", home.display());
    let mut inodes = HashSet::new();
    for process in std::fs::read_dir("/proc")? {
        let process = process?.path();
        // What ends meanwhile listens nowhere.
        let environment = std::fs::read(process.join("environ")).unwrap_or_default();
        let is_it = |entry: &[u8]| entry == wanted.as_bytes();
        if environment.split(|byte| *byte == 0).any(is_it) {
            inodes.extend(sockets(&process));
        }
    }
    ensure!(!inodes.is_empty(), "no process has {wanted}");
    let mut all = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let table = std::fs::read_to_string(table).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // 0A: listening.
            if let [_, local, _, "0A", _, _, _, _, _, inode, ..] = fields[..]
                && inodes.contains(inode)
            {
                all.push(address(local).with_context(|| line.to_owned())?);
            }
        }
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// The sockets that a process holds.
fn sockets(process: &Path) -> Vec<String> {
    let files = std::fs::read_dir(process.join("fd"));
    let files = files.into_iter().flatten().flatten();
    let inode = |file: std::fs::DirEntry| {
        let target = std::fs::read_link(file.path()).ok()?;
        let inode = target.to_str()?.strip_prefix("socket:[")?;
        Some(inode.strip_suffix(']')?.to_owned())
    };
    files.filter_map(inode).collect()
}

/// As Linux writes it: words of the address in the machine's order, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Option<Vec<[u8; 4]>> = (0..address.len() / 8)
        .map(|at| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok())
        .map(|word| word.map(u32::to_ne_bytes))
        .collect();
    let bytes = words?.concat();
    let address = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => IpAddr::V4(Ipv4Addr::from(four)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some(SocketAddr::new(address, port))
}
