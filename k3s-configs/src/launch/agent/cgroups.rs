//! The control groups of workers: one root for each, so that no kubelet ends another's pods, and
//! so that what is left of a worker can be found and removed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROOT: &str = "/sys/fs/cgroup";
/// How long the kernel may take to let go of what was killed.
const REMOVED_WITHIN: Duration = Duration::from_secs(5);

/// Whether this machine has version 1 of control groups, which kubelet refuses by default.
pub(super) fn is_v1() -> bool {
    !Path::new(ROOT).join("cgroup.controllers").exists()
}

/// The roots of the hierarchies.
fn hierarchies() -> Vec<PathBuf> {
    if !is_v1() {
        return vec![PathBuf::from(ROOT)];
    }
    subfolders(Path::new(ROOT))
}

/// Makes a worker's root in each hierarchy.
pub(super) fn make(name: &str) {
    for hierarchy in hierarchies() {
        let group = hierarchy.join(name);
        if let Err(error) = std::fs::create_dir(&group) {
            if error.kind() != std::io::ErrorKind::AlreadyExists {
                // A hierarchy that is read-only is one that kubelet does without, or says so.
                tracing::debug!(%error, group = %group.display(), "a control group can't be made");
            }
            continue;
        }
        // Version 1 gives a new group no processors and no memory nodes.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(value) = std::fs::read(hierarchy.join(file))
                && let Err(error) = std::fs::write(group.join(file), value)
            {
                tracing::debug!(%error, file, "a control group keeps its default");
            }
        }
    }
}

/// Removes every root whose name begins so, after ending what runs in it.
pub(super) fn remove(prefix: &str) {
    let begins = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with(prefix)
    };
    let deadline = Instant::now() + REMOVED_WITHIN;
    loop {
        let left: Vec<PathBuf> = hierarchies()
            .iter()
            .flat_map(|hierarchy| subfolders(hierarchy))
            .filter(begins)
            .filter(|root| !removed(root))
            .collect();
        if left.is_empty() {
            return;
        }
        if Instant::now() >= deadline {
            tracing::warn!(groups = ?left, "control groups of an ended worker are left");
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ends what runs in the group and below, and removes it; whether it is gone.
fn removed(group: &Path) -> bool {
    for below in subfolders(group) {
        removed(&below);
    }
    let processes = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let processes: Vec<&str> = processes.lines().filter(|id| *id != "0").collect();
    if !processes.is_empty() {
        let killed = Command::new("kill")
            .arg("-KILL")
            .args(processes)
            .stderr(Stdio::null())
            .status();
        if let Err(error) = killed {
            tracing::debug!(%error, "kill can't be run");
        }
    }
    std::fs::remove_dir(group).is_ok() || !group.exists()
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        // Version 1 has links beside folders (cpu, cpuacct -> cpu,cpuacct).
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
