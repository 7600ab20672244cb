//! What this machine is: its address and how much it has. The operator's claim, like all of it.

use std::io::{Error, ErrorKind};
use std::net::IpAddr;
use std::path::Path;

use cri_shim::api::Capacity;
use tokio::net::UdpSocket;

/// The port of `https://` where an address names none.
const HTTPS: u16 = 443;

/// The address from which packets to this `https://` address leave. Nothing is sent.
pub(super) async fn address_towards(endpoint: &str) -> std::io::Result<IpAddr> {
    let authority = endpoint.strip_prefix("https://").unwrap_or(endpoint);
    let authority = authority.trim_end_matches('/');
    let named = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let target = if named {
        authority.to_owned()
    } else {
        format!("{authority}:{HTTPS}")
    };
    let mut last = Error::from(ErrorKind::NotFound);
    for address in tokio::net::lookup_host(target).await? {
        let any = if address.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        };
        let socket = UdpSocket::bind(any).await?;
        match socket.connect(address).await {
            Ok(()) => return socket.local_addr().map(|local| local.ip().to_canonical()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Processors, memory, and the file system of K3s's data or of the nearest folder above.
pub(super) fn capacity(data_dir: &Path) -> std::io::Result<Capacity> {
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let memory = total_kib(&memory).ok_or(ErrorKind::InvalidData)?;
    let there = data_dir.ancestors().find(|folder| folder.is_dir());
    let storage = rustix::fs::statvfs(there.unwrap_or(Path::new("/")))?;
    let storage = storage.f_blocks.saturating_mul(storage.f_frsize) / 1_024;
    Ok(Capacity {
        cpu: std::thread::available_parallelism()?.to_string(),
        memory: format!("{memory}Ki"),
        storage: format!("{storage}Ki"),
    })
}

/// `MemTotal` of `/proc/meminfo`.
fn total_kib(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_more_than_nothing() {
        let capacity = capacity(Path::new("/var/lib/not/there")).unwrap();
        assert!(capacity.cpu.parse::<u32>().unwrap() > 0);
        for kib in [&capacity.memory, &capacity.storage] {
            assert!(
                kib.strip_suffix("Ki").unwrap().parse::<u64>().unwrap() > 0,
                "{kib}"
            );
        }
    }

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        let text = "MemTotal:       16303316 kB\nMemFree:          123 kB\n";
        assert_eq!(total_kib(text), Some(16_303_316));
        for bad in ["", "MemFree: 1 kB", "MemTotal: x kB", "MemTotal: 5"] {
            assert_eq!(total_kib(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn the_way_to_an_address_has_one_too() {
        for endpoint in [
            "https://127.0.0.1:8443",
            "https://127.0.0.1",
            "https://localhost:1/",
        ] {
            let found = address_towards(endpoint).await.unwrap();
            assert!(found.is_loopback(), "{endpoint} {found}");
        }
        assert!(address_towards("https://").await.is_err());
    }
}
