//! The whole machine, from `/proc`.
//!
//! Shape:  pure functions over the kernel's text, and [`Node::read`], which opens the files below
//!         a root that tests choose.
//! Errors: none; what cannot be read or understood is absent.
//! Units:  percent 0 to 100; bytes since the kernel's boot, which may start at 0 again.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use procfs::FromRead as _;

use super::cgroup::read;
use super::snapshot::{Io, NodeUsage, Traffic};

/// Bytes of a sector in `/proc/diskstats`, whatever the disk's own.
const SECTOR: u64 = 512;

/// Flag of a route that leads nowhere (`RTF_REJECT`).
const REJECT: u32 = 0x0200;

/// Polls are not on time to the millisecond.
const NEARLY: f64 = 0.9;

/// Flag of a route that is in use (`RTF_UP`).
const UP: u32 = 0x0001;

/// Reads the machine; remembers the last CPU times.
#[derive(Debug)]
pub(crate) struct Node {
    root: PathBuf,
    window: Duration,
    before: Option<(Instant, CpuTimes)>,
    cpu: Option<f64>,
}

impl Node {
    /// The share of the CPUs is of a `window`; a reading sooner than that shows the one before.
    pub(crate) fn new(root: PathBuf, window: Duration) -> Self {
        Self {
            root,
            window,
            before: None,
            cpu: None,
        }
    }

    /// What the machine uses. The first reading has no CPU share yet.
    pub(crate) fn read(&mut self, now: Instant) -> NodeUsage {
        let text = |name: &str| read(&self.root.join(name));
        let usage = NodeUsage {
            cpu: None,
            memory: text("meminfo").and_then(|text| memory(&text)),
            network: text("net/dev").and_then(|devices| {
                let v4 = text("net/route").unwrap_or_default();
                let v6 = text("net/ipv6_route").unwrap_or_default();
                network(&devices, &with_default_route(&v4, &v6))
            }),
            disk: text("diskstats").and_then(|text| disks(&text)),
            images: None,
        };
        let times = text("stat").and_then(|text| CpuTimes::parse(&text));
        let soon = self
            .before
            .is_some_and(|(at, _)| now.saturating_duration_since(at) < self.window.mul_f64(NEARLY));
        if !soon || times.is_none() {
            self.cpu = self
                .before
                .zip(times)
                .and_then(|((_, before), times)| times.busy_since(before));
            self.before = times.map(|times| (now, times));
        }
        NodeUsage {
            cpu: self.cpu,
            ..usage
        }
    }
}

/// Clock ticks of all CPUs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CpuTimes {
    busy: u64,
    idle: u64,
}

impl CpuTimes {
    /// `/proc/stat`. Time of guests is within `user` and `nice`; waiting for I/O is idle.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> = line
            .split_ascii_whitespace()
            .map_while(|word| word.parse().ok())
            .collect();
        let at = |index: usize| ticks.get(index).copied();
        let busy = [
            Some(at(0)?),
            Some(at(1)?),
            Some(at(2)?),
            at(5),
            at(6),
            at(7),
        ];
        Some(Self {
            busy: busy.into_iter().flatten().fold(0, u64::saturating_add),
            idle: at(3)?.saturating_add(at(4).unwrap_or(0)),
        })
    }

    /// The busy share since an earlier reading, in percent. The kernel may count waiting back.
    pub(crate) fn busy_since(self, before: Self) -> Option<f64> {
        let busy = self.busy.checked_sub(before.busy)?;
        let idle = self.idle.saturating_sub(before.idle);
        share(busy, busy.saturating_add(idle))
    }
}

/// `/proc/meminfo`: what is not available, in percent.
pub(crate) fn memory(text: &str) -> Option<f64> {
    let of = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        rest.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    let total = of("MemTotal:")?;
    share(total.checked_sub(of("MemAvailable:")?)?, total)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share needs no more than 52 bits"
)]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64 * 100.0).clamp(0.0, 100.0))
}

/// Interfaces with a default route in `/proc/net/route` or `/proc/net/ipv6_route`.
pub(crate) fn with_default_route(v4: &str, v6: &str) -> BTreeSet<String> {
    let v4 = procfs::net::RouteEntries::from_read(v4.as_bytes())
        .map(|routes| routes.0)
        .unwrap_or_default()
        .into_iter()
        .filter(|route| route.destination.is_unspecified() && route.mask.is_unspecified())
        .filter(|route| u32::from(route.flags) & UP != 0 && u32::from(route.flags) & REJECT == 0)
        .map(|route| route.iface);
    v4.chain(v6.lines().filter_map(default_v6)).collect()
}

/// Destination, prefix length, source, prefix length, next hop, metric, references, use, flags,
/// interface.
fn default_v6(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [to, length, _, _, _, _, _, _, flags, interface] = words[..] else {
        return None;
    };
    let flags = u32::from_str_radix(flags, 16).ok()?;
    let to_all = length == "00" && to.bytes().all(|digit| digit == b'0');
    (to_all && flags & UP != 0 && flags & REJECT == 0 && interface != "lo")
        .then(|| interface.to_owned())
}

/// The sum over some interfaces of `/proc/net/dev`; absent where none of them is there.
pub(crate) fn network(devices: &str, which: &BTreeSet<String>) -> Option<Traffic> {
    interfaces(devices)?
        .into_iter()
        .filter(|(name, _)| which.contains(name))
        .map(|(_, traffic)| traffic)
        .reduce(Traffic::plus)
}

/// The sum over all interfaces but the loopback.
pub(crate) fn sandbox_network(devices: &str) -> Option<Traffic> {
    interfaces(devices)?
        .into_iter()
        .filter(|(name, _)| name != "lo")
        .map(|(_, traffic)| traffic)
        .reduce(Traffic::plus)
}

fn interfaces(devices: &str) -> Option<HashMap<String, Traffic>> {
    let status = procfs::net::InterfaceDeviceStatus::from_read(devices.as_bytes()).ok()?;
    let traffic = |device: procfs::net::DeviceStatus| Traffic {
        received: device.recv_bytes,
        sent: device.sent_bytes,
    };
    Some(
        status
            .0
            .into_iter()
            .map(|(name, device)| (name, traffic(device)))
            .collect(),
    )
}

/// `/proc/diskstats`: whole disks, without their partitions and without what lies on other disks.
pub(crate) fn disks(text: &str) -> Option<Io> {
    let rows: Vec<(&str, Io)> = text.lines().filter_map(disk).collect();
    let is_part = |name: &str| rows.iter().any(|(whole, _)| is_partition(name, whole));
    rows.iter()
        .filter(|(name, _)| !is_part(name) && !is_layered(name))
        .map(|(_, io)| *io)
        .reduce(Io::plus)
}

/// Major, minor, name, reads, merged, sectors read, ms, writes, merged, sectors written, …
fn disk(line: &str) -> Option<(&str, Io)> {
    let mut words = line.split_ascii_whitespace().skip(2);
    let name = words.next()?;
    let read = words.nth(2)?.parse::<u64>().ok()?;
    let written = words.nth(3)?.parse::<u64>().ok()?;
    let bytes = |sectors: u64| sectors.saturating_mul(SECTOR);
    Some((
        name,
        Io {
            read: bytes(read),
            written: bytes(written),
        },
    ))
}

/// `sda1` of `sda`, `nvme0n1p2` of `nvme0n1`.
fn is_partition(name: &str, whole: &str) -> bool {
    let Some(rest) = name.strip_prefix(whole) else {
        return false;
    };
    let number = if whole.ends_with(|last: char| last.is_ascii_digit()) {
        rest.strip_prefix('p').unwrap_or_default()
    } else {
        rest
    };
    !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
}

/// Devices whose I/O is counted at another, or is in memory.
fn is_layered(name: &str) -> bool {
    ["loop", "ram", "zram", "dm-", "md", "sr", "fd"]
        .iter()
        .any(|kind| name.starts_with(kind))
}

#[cfg(test)]
mod tests;
