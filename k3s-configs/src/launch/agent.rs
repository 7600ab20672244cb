//! Worker machines on this machine, for tests and for trying: a stock K3s agent, or the kubelet of
//! `tests/control-plane`, each in namespaces of its own.
//!
//! Shape:  an [`AgentNetwork`] is a bridge with an address that the control plane listens on
//!         (`StartOptions::reachable_at`). Each [`Agent`] is a *machine*: network, mount, process,
//!         IPC and host name namespaces with a first process that holds them, and the agent in it.
//!         The machine lives as long as our end of a pipe: when it closes, because the agent is
//!         stopped, dropped, or this process dies in whatever way, the kernel ends every process
//!         in it, pods included, and the namespaces with all mounts and interfaces go with them.
//!         What the kernel leaves (the bridge, empty control groups) is removed at the end, or, after
//!         a kill, by whoever makes a network next.
//! Errors: [`AgentError`]; what the machine lacks is said by [`missing`] before anything starts.
//! Needs:  root. Nothing outside the agent's folder is written but below `/run/k3s-daas`.

mod cgroups;
mod error;
mod files;
mod machine;
mod needs;
mod network;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::Command;

use super::find::{Binary, ControlPlaneKind};

pub use error::AgentError;
pub use needs::{Missing, missing};
pub use network::AgentNetwork;

use machine::Machine;

/// What an orderly end of an agent may take; then its machine is ended.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// How to start a worker.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// Its folder: state, credentials, logs and node password. Made if missing; a start on the
    /// folder of an earlier run is a restart of the same machine.
    pub dir: PathBuf,
    /// The node's name.
    pub name: String,
    /// Which machine of the network it is, from 0; gives its address.
    pub index: u8,
    /// Where it joins, such as [`ControlPlane::join_url`](super::ControlPlane) says.
    pub server: String,
    /// The file with the token it joins with. Read again at each start of the agent.
    pub token_file: PathBuf,
    /// The folder of containerd, its shim, runc and `cni/`, as `tests/tools/containerd.sh` prints.
    pub tools: PathBuf,
    /// Image archives that are there from the start.
    pub images: Vec<PathBuf>,
    /// Where its kubelet calls the container runtime, as the machine sees it; its own containerd
    /// where there is none. K3s is told by the drop-in that `k3s-daas worker install` writes.
    pub cri_socket: Option<PathBuf>,
    /// Further arguments, such as `--node-label=a=b`.
    pub more: Vec<String>,
}

impl AgentOptions {
    /// A worker without images or arguments of its own.
    pub fn new(
        dir: impl Into<PathBuf>,
        name: impl Into<String>,
        index: u8,
        server: impl Into<String>,
        token_file: impl Into<PathBuf>,
        tools: impl Into<PathBuf>,
    ) -> Self {
        Self {
            dir: dir.into(),
            name: name.into(),
            index,
            server: server.into(),
            token_file: token_file.into(),
            tools: tools.into(),
            images: Vec::new(),
            cri_socket: None,
            more: Vec::new(),
        }
    }
}

/// A worker machine. It ends, pods included, when this value is dropped, and with this process.
#[derive(Debug)]
pub struct Agent {
    /// The node's name.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its folder.
    pub dir: PathBuf,
    /// What the agent logged.
    pub log: PathBuf,
    token_file: PathBuf,
    machine: Machine,
}

/// Makes the machine and starts the agent in it. Whether it joins is for the caller to see.
pub async fn start(
    binary: &Binary,
    network: &AgentNetwork,
    options: &AgentOptions,
) -> Result<Agent, AgentError> {
    let dir = std::path::absolute(&options.dir).map_err(AgentError::file(&options.dir))?;
    let address = network.address_of(options.index)?;
    let cgroup = network.cgroup_of(&options.name);
    files::prepare(&dir, options)?;
    let token_file =
        std::path::absolute(&options.token_file).map_err(AgentError::file(&options.token_file))?;
    files::copy_token(&token_file, &dir)?;
    let arguments = match binary.kind {
        ControlPlaneKind::K3s => k3s_arguments(options, address, &cgroup),
        ControlPlaneKind::Modules => modules_arguments(options, address, &cgroup),
    };
    let machine = Machine::start(machine::Plan {
        dir: &dir,
        name: &options.name,
        network,
        index: options.index,
        cgroup,
        tools: &options.tools,
        program: &binary.path,
        arguments,
    })
    .await?;
    let mut agent = Agent {
        name: options.name.clone(),
        address,
        log: dir.join(files::LOG),
        dir,
        token_file,
        machine,
    };
    agent.machine.start_agent().await?;
    Ok(agent)
}

fn k3s_arguments(options: &AgentOptions, address: Ipv4Addr, cgroup: &str) -> Vec<String> {
    let mut arguments = vec![
        "agent".to_owned(),
        // Never this machine's own /etc/rancher/k3s/config.yaml.
        format!("--config={}/config.yaml", files::INSIDE),
        format!("--server={}", options.server),
        format!("--token-file={}/{}", files::INSIDE, files::TOKEN),
        format!("--node-name={}", options.name),
        format!("--node-ip={address}"),
        format!("--data-dir={}/k3s", files::INSIDE),
        format!("--pause-image={}", files::PAUSE_IMAGE),
        format!("--kubelet-arg=cgroup-root=/{cgroup}"),
        "--kubelet-arg=cgroups-per-qos=true".to_owned(),
        // A full disk of the machine that tests run on is nothing to its workers.
        "--kubelet-arg=eviction-hard=imagefs.available<1%,nodefs.available<1%".to_owned(),
    ];
    if cgroups::is_v1() {
        arguments.push("--kubelet-arg=fail-cgroupv1=false".to_owned());
    }
    arguments.extend(options.more.iter().cloned());
    arguments
}

/// `control-plane agent`, which does what K3s's agent does as far as a kubelet goes.
fn modules_arguments(options: &AgentOptions, address: Ipv4Addr, cgroup: &str) -> Vec<String> {
    let mut arguments = vec![
        "agent".to_owned(),
        format!("--server={}", options.server),
        format!("--token-file={}/{}", files::INSIDE, files::TOKEN),
        format!("--node-name={}", options.name),
        format!("--node-ip={address}"),
        format!("--data-dir={}/k3s", files::INSIDE),
        format!("--pause-image={}", files::PAUSE_IMAGE),
        format!("--cgroup-root=/{cgroup}"),
    ];
    if let Some(socket) = &options.cri_socket {
        arguments.push(format!("--cri-socket={}", socket.display()));
    }
    arguments.extend(options.more.iter().cloned());
    arguments
}

impl Agent {
    /// Whether the agent runs; the error says how it ended.
    pub fn check(&mut self) -> Result<(), AgentError> {
        self.machine.check(&self.log)
    }

    /// The id of a process in the machine's network and mount namespaces, for `nsenter`.
    pub fn namespace_pid(&self) -> Option<u32> {
        self.machine.pid()
    }

    /// A command in the machine's network namespace; files are those of this machine.
    pub fn command(&self, program: &Path) -> Result<Command, AgentError> {
        let pid = self.machine.pid().ok_or(AgentError::MachineGone)?;
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/proc/{pid}/ns/net"))
            .arg("--")
            .arg(program)
            .kill_on_drop(true);
        Ok(command)
    }

    /// Ends the agent with SIGTERM and waits; the machine and its pods stay.
    pub async fn stop_agent(&mut self) -> Result<(), AgentError> {
        self.machine.end_agent("TERM", STOP_WITHIN).await
    }

    /// Ends the agent with SIGKILL; the machine and its pods stay.
    pub async fn kill_agent(&mut self) -> Result<(), AgentError> {
        self.machine.end_agent("KILL", STOP_WITHIN).await
    }

    /// Starts the agent again on the same machine, with what the token's file holds now.
    pub async fn start_agent(&mut self) -> Result<(), AgentError> {
        files::copy_token(&self.token_file, &self.dir)?;
        self.machine.start_agent().await
    }

    /// Points its kubelet at another container runtime from its next start on, or at its own
    /// containerd. K3s's agents alone read this anew.
    pub fn set_cri_socket(&self, socket: Option<&Path>) -> Result<(), AgentError> {
        files::point_kubelet(&self.dir, socket)
    }

    /// How the agent ended, if it did.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.machine.ended()
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        super::running::tail(&self.log)
    }

    /// Ends the agent in order, then the machine with whatever is left in it.
    pub async fn stop(mut self) {
        if let Err(error) = self.stop_agent().await {
            tracing::debug!(%error, agent = %self.name, "the agent did not end in order");
        }
        self.machine.end().await;
    }
}
