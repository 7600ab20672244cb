//! The network of workers: a bridge on this machine, with the control plane on its first address.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{AgentError, cgroups};

/// Networks are `10.99.<number>.0/24`.
const LAST: u8 = 250;
/// The first worker's address; below are the control plane's.
const FIRST_WORKER: u8 = 10;
/// How many workers a network has room for.
const MOST: u8 = 50;
/// Where processes tell each other which networks are in use: a locked file each.
const LOCKS: &str = "/run/k3s-daas";

/// A bridge for workers. Removed when dropped; after a kill, by whoever makes one next.
#[derive(Debug)]
pub struct AgentNetwork {
    number: u8,
    /// Held for as long as the network is.
    _lock: File,
}

impl AgentNetwork {
    /// Takes a free network, and removes what killed processes left of theirs.
    pub fn create() -> Result<Self, AgentError> {
        Self::create_as(None)
    }

    /// The same, but the number that the file holds where that is free, and kept in the file: a
    /// control plane that is started again had better keep its address.
    pub fn create_again(file: &Path) -> Result<Self, AgentError> {
        let earlier = std::fs::read_to_string(file).ok();
        let earlier = earlier.and_then(|text| text.trim().parse().ok());
        let network = Self::create_as(earlier)?;
        std::fs::write(file, format!("{}\n", network.number)).map_err(AgentError::file(file))?;
        Ok(network)
    }

    fn create_as(wanted: Option<u8>) -> Result<Self, AgentError> {
        let locks = PathBuf::from(LOCKS);
        std::fs::create_dir_all(&locks).map_err(AgentError::file(&locks))?;
        let wanted = wanted.filter(|number| (1..=LAST).contains(number));
        let mut taken = None;
        for number in wanted.into_iter().chain(1..=LAST) {
            let path = locks.join(format!("network-{number}.lock"));
            // Beyond the one to take only what was in use once needs a look.
            if taken.is_some() && !path.exists() {
                continue;
            }
            let lock = File::create(&path).map_err(AgentError::file(&path))?;
            if lock.try_lock().is_err() {
                continue;
            }
            let network = Self {
                number,
                _lock: lock,
            };
            network.remove();
            if taken.is_none() && !network.elsewhere()? {
                taken = Some(network);
            }
        }
        let network = taken.ok_or(AgentError::NoNetwork { last: LAST })?;
        network.make()?;
        Ok(network)
    }

    /// The control plane's address on it.
    pub fn server_address(&self) -> Ipv4Addr {
        self.address(1)
    }

    /// Its range.
    pub fn range(&self) -> String {
        format!("{}/24", self.address(0))
    }

    /// The address of a worker.
    pub fn address_of(&self, index: u8) -> Result<Ipv4Addr, AgentError> {
        if index >= MOST {
            return Err(AgentError::TooMany { most: MOST });
        }
        Ok(self.address(FIRST_WORKER.saturating_add(index)))
    }

    fn address(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, self.number, last)
    }

    fn bridge(&self) -> String {
        format!("k3sdaas{}", self.number)
    }

    fn cgroup_prefix(&self) -> String {
        format!("k3s-daas-{}.", self.number)
    }

    pub(super) fn cgroup_of(&self, node: &str) -> String {
        // Kubelet takes a dot for nothing and a hyphen for a path in systemd's names only.
        format!("{}{node}", self.cgroup_prefix())
    }

    /// Whether somebody else has an interface in the range.
    fn elsewhere(&self) -> Result<bool, AgentError> {
        let range = self.range();
        let shown = run("ip", &["-4", "-oneline", "address", "show", "to", &range])?;
        Ok(!shown.trim().is_empty())
    }

    fn make(&self) -> Result<(), AgentError> {
        let bridge = self.bridge();
        let address = format!("{}/24", self.server_address());
        run("ip", &["link", "add", &bridge, "type", "bridge"])?;
        run("ip", &["address", "add", &address, "dev", &bridge])?;
        run("ip", &["link", "set", &bridge, "up"])?;
        Ok(())
    }

    /// Gives a machine, by a process in its network namespace, an interface `eth0` on the bridge.
    pub(super) fn attach(&self, index: u8, pid: u32) -> Result<(), AgentError> {
        let veth = format!("{}{index}", self.veth_prefix());
        let pid = pid.to_string();
        // Of a machine that is on its way out.
        drop(run("ip", &["link", "delete", &veth]));
        run(
            "ip",
            &[
                "link", "add", &veth, "type", "veth", "peer", "name", "eth0", "netns", &pid,
            ],
        )?;
        let bridge = self.bridge();
        run("ip", &["link", "set", &veth, "master", &bridge, "up"])?;
        Ok(())
    }

    fn veth_prefix(&self) -> String {
        format!("k3sd{}-", self.number)
    }

    fn remove(&self) {
        // The kernel keeps an ended machine's network until the last of its connections has timed
        // out, which takes a minute or more; this end of it can go at once.
        let prefix = self.veth_prefix();
        for interface in interfaces().filter(|name| name.starts_with(&prefix)) {
            drop(run("ip", &["link", "delete", &interface]));
        }
        // An interface that is not there is what is wanted.
        drop(run("ip", &["link", "delete", &self.bridge()]));
        cgroups::remove(&self.cgroup_prefix());
    }
}

impl Drop for AgentNetwork {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The names of this machine's interfaces.
fn interfaces() -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir("/sys/class/net").into_iter().flatten();
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
}

fn run(program: &str, arguments: &[&str]) -> Result<String, AgentError> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|source| AgentError::Spawn {
            program: program.to_owned(),
            source,
        })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(AgentError::Tool {
        command: format!("{program} {}", arguments.join(" ")),
        said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
