//! An independent reader of the kernel's figures, of either control group version. It shares no
//! code with the worker.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// What the kernel counts for one control group.
#[derive(Debug, Clone, Copy)]
pub struct Read {
    /// Seconds.
    pub cpu: f64,
    /// Bytes that cannot be taken back at once.
    pub memory: f64,
    pub io_read: f64,
    pub io_written: f64,
}

fn v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

fn file(controller: &str, group: &str, name: &str) -> PathBuf {
    let root = if v2() {
        String::new()
    } else {
        format!("/{controller}")
    };
    PathBuf::from(format!("/sys/fs/cgroup{root}{group}/{name}"))
}

fn text(controller: &str, group: &str, name: &str) -> anyhow::Result<String> {
    let path = file(controller, group, name);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// The figure behind a word.
fn after(text: &str, word: &str) -> anyhow::Result<f64> {
    let mut words = text.split_whitespace().skip_while(|found| *found != word);
    Ok(words
        .nth(1)
        .with_context(|| format!("no {word}"))?
        .parse()?)
}

/// All figures at this instant.
pub fn read(group: &str) -> anyhow::Result<Read> {
    if v2() {
        let sum = |text: &str, key: &str| -> f64 {
            let words = text
                .split_whitespace()
                .filter_map(|word| word.strip_prefix(key));
            words.filter_map(|figure| figure.parse::<f64>().ok()).sum()
        };
        let io = text("", group, "io.stat").unwrap_or_default();
        let current: f64 = text("", group, "memory.current")?.trim().parse()?;
        return Ok(Read {
            cpu: after(&text("", group, "cpu.stat")?, "usage_usec")? / 1e6,
            memory: current - after(&text("", group, "memory.stat")?, "inactive_file")?,
            io_read: sum(&io, "rbytes="),
            io_written: sum(&io, "wbytes="),
        });
    }
    let sum = |text: &str, operation: &str| -> f64 {
        let rows = text.lines().filter_map(|line| line.split_once(operation));
        rows.filter_map(|(_, figure)| figure.trim().parse::<f64>().ok())
            .sum()
    };
    let io = text("blkio", group, "blkio.throttle.io_service_bytes_recursive")?;
    let usage: f64 = text("memory", group, "memory.usage_in_bytes")?
        .trim()
        .parse()?;
    Ok(Read {
        cpu: text("cpuacct", group, "cpuacct.usage")?
            .trim()
            .parse::<f64>()?
            / 1e9,
        memory: usage
            - after(
                &text("memory", group, "memory.stat")?,
                "total_inactive_file",
            )?,
        io_read: sum(&io, " Read "),
        io_written: sum(&io, " Write "),
    })
}

/// Makes the kernel count the disks' bytes: with v1 it does so once any group has a limit, here one
/// that no disk reaches.
pub fn count_disks(group: &str) -> anyhow::Result<()> {
    if v2() {
        return Ok(());
    }
    let path = file("blkio", group, "blkio.throttle.read_bps_device");
    std::fs::create_dir_all(path.parent().context("a file in a folder")?)?;
    for disk in std::fs::read_dir("/sys/block")?.flatten() {
        let name = disk.file_name().to_string_lossy().into_owned();
        if ["loop", "ram", "zram"]
            .iter()
            .any(|kind| name.starts_with(kind))
        {
            continue;
        }
        let device = std::fs::read_to_string(disk.path().join("dev"))?;
        // A device that takes no limit is none that pods write to.
        let _ = std::fs::write(&path, format!("{} 1000000000000", device.trim()));
    }
    Ok(())
}

/// Packets that the group's network namespace has sent through its interfaces.
pub fn packets_sent(group: &str) -> anyhow::Result<f64> {
    let processes = text("memory", group, "cgroup.procs")?;
    let process = processes.lines().next().context("no process")?;
    let devices = std::fs::read_to_string(format!("/proc/{process}/net/dev"))?;
    let rows = devices.lines().skip(2).map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        (name != "lo:").then(|| words.nth(9)?.parse::<f64>().ok())
    });
    Ok(rows.flatten().flatten().sum())
}

/// Ticks of all CPUs: neither idle nor waiting, and all.
pub fn cpus() -> anyhow::Result<(f64, f64)> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("an empty /proc/stat")?;
    let ticks: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let all: f64 = ticks.iter().sum();
    Ok((all - ticks[3] - ticks[4], all))
}

/// The share of memory that is not available, in percent.
pub fn memory() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let total = after(&text, "MemTotal:")?;
    Ok((total - after(&text, "MemAvailable:")?) / total * 100.0)
}
