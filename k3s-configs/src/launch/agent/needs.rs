//! What a worker needs of this machine, asked before anything is started.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::find::on_path;

/// Something that is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What.
    pub what: String,
    /// What to do about it.
    pub next: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.next)
    }
}

/// The system's programs that make a machine, and who brings them.
const PROGRAMS: [(&str, &str); 4] = [
    ("ip", "sudo apt-get install -y iproute2"),
    ("unshare", "sudo apt-get install -y util-linux"),
    ("nsenter", "sudo apt-get install -y util-linux"),
    ("mount", "sudo apt-get install -y mount"),
];

/// What the workers run.
const TOOLS: [&str; 4] = [
    "containerd",
    "containerd-shim-runc-v2",
    "runc",
    "cni/bridge",
];

/// What a worker needs and this machine lacks; `tools` is the folder that
/// `tests/tools/containerd.sh` prints.
pub fn missing(tools: &Path) -> Vec<Missing> {
    let mut all = Vec::new();
    let mut lacks = |what: String, next: &str| {
        all.push(Missing {
            what,
            next: next.to_owned(),
        });
    };
    let root = is_root();
    if !root {
        lacks(
            "workers need root, and this is not".to_owned(),
            "run it with sudo -E, or without workers",
        );
    }
    let mut programs = true;
    for (program, next) in PROGRAMS {
        if on_path(std::env::var_os("PATH").as_ref(), program).is_none() {
            programs = false;
            lacks(format!("{program} is not on PATH"), next);
        }
    }
    // Containers often run as root and may not do this.
    if root && programs {
        if let Err(said) = try_namespaces() {
            lacks(
                format!("namespaces can't be made: {said}"),
                "run it on a machine, or in a container that may (--privileged)",
            );
        }
        if let Err(said) = try_bridge() {
            lacks(
                format!("network bridges can't be made: {said}"),
                "load the kernel modules bridge and veth, or use another machine",
            );
        }
    }
    for program in TOOLS {
        if !tools.join(program).exists() {
            lacks(
                format!("{} is not there", tools.join(program).display()),
                "run tests/tools/containerd.sh in the project's folder, or name a folder by $K3S_DAAS_CONTAINERD",
            );
        }
    }
    all
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    uids.and_then(|uids| uids.split_whitespace().nth(1)) == Some("0")
}

fn try_namespaces() -> Result<(), String> {
    let mut command = Command::new("unshare");
    command.args(["--fork", "--pid", "--mount", "--net", "--ipc", "--uts"]);
    command.args(["--mount-proc", "--", "true"]);
    quiet(command)
}

/// In a namespace of its own, so that nothing is left.
fn try_bridge() -> Result<(), String> {
    let mut command = Command::new("unshare");
    command.args(["--net", "--", "/bin/sh", "-ec"]);
    command.arg(
        "ip link add name probe0 type bridge && ip link add name probe1 type veth peer name probe2",
    );
    quiet(command)
}

fn quiet(mut command: Command) -> Result<(), String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().last().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_that_are_not_there_are_named_with_the_script_that_brings_them() {
        let folder = tempfile::tempdir().unwrap();
        let lacking = missing(folder.path());
        for tool in TOOLS {
            let path = folder.path().join(tool);
            let found = lacking
                .iter()
                .find(|missing| missing.what.contains(&path.display().to_string()));
            assert!(found.unwrap().next.contains("containerd.sh"), "{tool}");
        }
    }
}
