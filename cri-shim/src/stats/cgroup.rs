//! Disk I/O of a control group, v1 and v2.
//!
//! Shape:  pure functions over the kernel's text; [`Cgroups`] alone opens files.
//! Errors: none; what cannot be read or understood is absent.
//! Units:  bytes since the group was made.

use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use procfs::FromRead as _;

use super::snapshot::Io;

/// More of a file than this is not read. A line is under 200 bytes, and machines have few disks.
const MOST_TEXT: u64 = 256 * 1024;

/// Where a process is in the hierarchies that count I/O.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Groups {
    /// v1: the hierarchy with the `blkio` controller.
    pub(crate) blkio: Option<String>,
    /// v2.
    pub(crate) unified: Option<String>,
}

impl Groups {
    /// `/proc/<pid>/cgroup`.
    pub(crate) fn parse(text: &str) -> Self {
        let Ok(lines) = procfs::ProcessCGroups::from_read(text.as_bytes()) else {
            return Self::default();
        };
        let mut groups = Self::default();
        for line in lines.0 {
            if line.controllers.iter().any(|name| name == "blkio") {
                groups.blkio = Some(line.pathname);
            } else if line.hierarchy == 0 && line.controllers.is_empty() {
                groups.unified = Some(line.pathname);
            }
        }
        groups
    }

    /// Only those that name this container: a process number may by now be another's.
    pub(crate) fn of(self, id: &str) -> Option<Self> {
        let names = |path: &String| !id.is_empty() && path.contains(id);
        let own = Self {
            blkio: self.blkio.filter(names),
            unified: self.unified.filter(names),
        };
        (own != Self::default()).then_some(own)
    }

    /// The pod's own group in v2, one above its sandbox's, where that is the one kubelet named. A
    /// runtime that was given none puts sandboxes of all pods side by side.
    ///
    /// v1 has none here: there the sum over a group's children forgets those that ended.
    pub(crate) fn parent(&self, named: &str) -> Option<String> {
        let (above, _) = self
            .unified
            .as_deref()?
            .trim_end_matches('/')
            .rsplit_once('/')?;
        let last = |path: &str| {
            path.rsplit('/')
                .find(|part| !part.is_empty())
                .map(str::to_owned)
        };
        (last(named).is_some() && last(named) == last(above)).then(|| above.to_owned())
    }
}

/// The mounted hierarchies.
#[derive(Debug, Clone)]
pub(crate) struct Cgroups {
    /// Mostly `/sys/fs/cgroup`.
    pub(crate) root: PathBuf,
}

impl Cgroups {
    /// Bytes of a container. A machine with both hierarchies counts in one of them.
    pub(crate) fn io(&self, groups: &Groups) -> Option<Io> {
        groups
            .blkio
            .as_deref()
            .and_then(|group| self.v1(group))
            .or_else(|| groups.unified.as_deref().and_then(|group| self.v2(group)))
    }

    /// v2: `io.stat`, which sums over what is below and what was there.
    pub(crate) fn v2(&self, group: &str) -> Option<Io> {
        let group = inside(group)?;
        [self.root.clone(), self.root.join("unified")]
            .into_iter()
            .find_map(|mount| read(&mount.join(&group).join("io.stat")))
            .and_then(|text| parse_v2(&text))
    }

    /// v1. Kernels since 6.10 count a disk's bytes only once any group has a limit on it, and show
    /// an empty table until then: that is no 0. Where the root of the hierarchy has rows, it is.
    fn v1(&self, group: &str) -> Option<Io> {
        let mount = self.root.join("blkio");
        let text = read_v1(&mount.join(inside(group)?))?;
        parse_v1(&text).or_else(|| {
            read_v1(&mount)
                .and_then(|root| parse_v1(&root))
                .map(|_| Io::default())
        })
    }
}

fn read_v1(folder: &Path) -> Option<String> {
    [
        "blkio.throttle.io_service_bytes_recursive",
        "blkio.throttle.io_service_bytes",
    ]
    .into_iter()
    .find_map(|file| read(&folder.join(file)))
}

/// `blkio.throttle.io_service_bytes`: `8:0 Read 4096` for each disk and operation; absent without
/// a disk.
pub(crate) fn parse_v1(text: &str) -> Option<Io> {
    let mut found = None;
    for line in text.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_device, operation, bytes] = words[..] else {
            continue;
        };
        let Ok(bytes) = bytes.parse::<u64>() else {
            continue;
        };
        let io: &mut Io = found.get_or_insert_default();
        match operation {
            "Read" => io.read = io.read.saturating_add(bytes),
            "Write" => io.written = io.written.saturating_add(bytes),
            _ => {}
        }
    }
    found
}

/// `io.stat`: `8:0 rbytes=4096 wbytes=0 rios=1 …` for each disk; empty before the first I/O.
pub(crate) fn parse_v2(text: &str) -> Option<Io> {
    let mut io = Io::default();
    let mut understood = text.trim().is_empty();
    for word in text.split_ascii_whitespace() {
        let Some((key, bytes)) = word.split_once('=') else {
            // A disk, at times without figures.
            understood |= word.contains(':');
            continue;
        };
        let Ok(bytes) = bytes.parse::<u64>() else {
            continue;
        };
        match key {
            "rbytes" => io.read = io.read.saturating_add(bytes),
            "wbytes" => io.written = io.written.saturating_add(bytes),
            _ => {}
        }
    }
    understood.then_some(io)
}

/// A path below a mount. A group outside of our own cgroup namespace is shown as `/../…`.
fn inside(group: &str) -> Option<PathBuf> {
    let path = Path::new(group.trim_start_matches('/'));
    path.components()
        .all(|part| matches!(part, Component::Normal(_)))
        .then(|| path.to_owned())
}

/// A kernel's file as text, its first part.
pub(crate) fn read(path: &Path) -> Option<String> {
    let mut text = Vec::new();
    File::open(path)
        .ok()?
        .take(MOST_TEXT)
        .read_to_end(&mut text)
        .ok()?;
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests;
