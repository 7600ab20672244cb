//! A worker's machine: namespaces, held by a first process that we talk to over a pipe.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;

use super::super::find::on_path;
use super::{AgentError, AgentNetwork, cgroups, files};

/// What the first process runs.
const SCRIPT: &str = include_str!("machine.sh");
/// What its own steps may take.
const STEP_WITHIN: Duration = Duration::from_secs(15);
/// What the kernel may take to end what is left in the machine.
const END_WITHIN: Duration = Duration::from_secs(10);
/// What the first process says when something goes wrong.
const MACHINE_LOG: &str = "machine.log";

pub(super) struct Plan<'a> {
    pub(super) dir: &'a Path,
    pub(super) name: &'a str,
    pub(super) network: &'a AgentNetwork,
    pub(super) index: u8,
    pub(super) cgroup: String,
    pub(super) tools: &'a Path,
    pub(super) program: &'a Path,
    pub(super) arguments: Vec<String>,
}

/// What the first process told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Machine,
    Network,
    Started,
    Ended(i32),
    Gone,
}

impl Told {
    fn parse(line: &str) -> Option<Self> {
        match line {
            "machine" => Some(Self::Machine),
            "network" => Some(Self::Network),
            "started" => Some(Self::Started),
            _ => Some(Self::Ended(line.strip_prefix("ended ")?.parse().ok()?)),
        }
    }
}

/// The machine. It ends when this value is dropped, and with this process.
#[derive(Debug)]
pub(super) struct Machine {
    child: Child,
    stdin: Option<ChildStdin>,
    told: watch::Receiver<Told>,
    cgroup: String,
    log: std::path::PathBuf,
}

impl Machine {
    pub(super) async fn start(plan: Plan<'_>) -> Result<Self, AgentError> {
        cgroups::remove(&plan.cgroup);
        cgroups::make(&plan.cgroup);
        let log = plan.dir.join(MACHINE_LOG);
        let errors = std::fs::File::create(&log).map_err(AgentError::file(&log))?;
        let mut child = command(&plan)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            // Ctrl-C is for us: we stop it in our order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| AgentError::Spawn {
                program: "unshare".to_owned(),
                source,
            })?;
        let (tell, told) = watch::channel(Told::Nothing);
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(listen(BufReader::new(stdout), tell));
        }
        let mut machine = Self {
            stdin: child.stdin.take(),
            child,
            told,
            cgroup: plan.cgroup,
            log,
        };
        machine.until("its folders", Told::Machine).await?;
        let pid = machine.pid().ok_or(AgentError::MachineGone)?;
        plan.network.attach(plan.index, pid)?;
        machine.say("network").await?;
        machine.until("its network", Told::Network).await?;
        Ok(machine)
    }

    /// A process whose network and mount namespaces are the machine's.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    pub(super) async fn start_agent(&mut self) -> Result<(), AgentError> {
        if *self.told.borrow() == Told::Started {
            return Ok(());
        }
        // What was told of an earlier run is not about this one.
        self.told.borrow_and_update();
        self.say("start").await?;
        // It says so before it can say that it ended.
        match tokio::time::timeout(STEP_WITHIN, self.told.changed()).await {
            Ok(Ok(())) if *self.told.borrow() != Told::Gone => Ok(()),
            _ => Err(self.failed("the agent's start")),
        }
    }

    pub(super) async fn end_agent(
        &mut self,
        signal: &str,
        within: Duration,
    ) -> Result<(), AgentError> {
        if matches!(*self.told.borrow(), Told::Ended(_)) {
            return Ok(());
        }
        self.say(signal).await?;
        match self
            .wait(within, |told| matches!(told, Told::Ended(_)))
            .await
        {
            Some(Told::Ended(_)) => Ok(()),
            Some(_) => Err(AgentError::MachineGone),
            None => Err(AgentError::Stuck { waited: within }),
        }
    }

    /// Whether the agent runs.
    pub(super) fn check(&mut self, log: &Path) -> Result<(), AgentError> {
        match *self.told.borrow() {
            Told::Ended(code) => Err(AgentError::Ended {
                code,
                log: log.to_owned(),
                tail: super::super::running::tail(log),
            }),
            Told::Gone => Err(AgentError::MachineGone),
            _ => Ok(()),
        }
    }

    pub(super) fn ended(&self) -> Option<ExitStatus> {
        use std::os::unix::process::ExitStatusExt;
        match *self.told.borrow() {
            Told::Ended(code) => Some(ExitStatus::from_raw(code << 8)),
            _ => None,
        }
    }

    /// Ends the machine and everything in it.
    pub(super) async fn end(mut self) {
        self.stdin = None;
        if tokio::time::timeout(END_WITHIN, self.child.wait())
            .await
            .is_err()
        {
            tracing::warn!(log = %self.log.display(), "a worker's machine did not end in time");
        }
        // What is left is the destructor's.
    }

    async fn say(&mut self, word: &str) -> Result<(), AgentError> {
        let stdin = self.stdin.as_mut().ok_or(AgentError::MachineGone)?;
        let line = format!("{word}\n");
        let said = tokio::time::timeout(STEP_WITHIN, stdin.write_all(line.as_bytes())).await;
        match said {
            Ok(Ok(())) => Ok(()),
            _ => Err(AgentError::MachineGone),
        }
    }

    async fn until(&mut self, what: &'static str, wanted: Told) -> Result<(), AgentError> {
        match self.wait(STEP_WITHIN, |told| *told == wanted).await {
            Some(told) if told == wanted => Ok(()),
            _ => Err(self.failed(what)),
        }
    }

    /// Waits for such a word, or for the machine's end.
    async fn wait(&mut self, within: Duration, wanted: impl Fn(&Told) -> bool) -> Option<Told> {
        let either = |told: &Told| wanted(told) || *told == Told::Gone;
        let waiting = tokio::time::timeout(within, self.told.wait_for(either)).await;
        waiting.ok()?.ok().map(|told| *told)
    }

    fn failed(&self, what: &'static str) -> AgentError {
        AgentError::Machine {
            what,
            tail: super::super::running::tail(&self.log),
        }
    }
}

impl Drop for Machine {
    /// Ends it as [`Machine::end`] does. This blocks for the moment that takes.
    fn drop(&mut self) {
        self.stdin = None;
        let deadline = Instant::now() + END_WITHIN;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() >= deadline {
                // Its child ends with it (`--kill-child`).
                if let Err(error) = self.child.start_kill() {
                    tracing::warn!(%error, "a worker's machine can't be killed");
                }
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        cgroups::remove(&self.cgroup);
    }
}

fn command(plan: &Plan<'_>) -> Result<Command, AgentError> {
    let address = plan.network.address_of(plan.index)?;
    let mut command = Command::new("unshare");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        // K3S_TOKEN, K3S_URL and the like would make it another agent's; ours say where secrets are.
        if name.starts_with("K3S_") || name.starts_with("CONTAINERD_") {
            command.env_remove(&*name);
        }
    }
    let mut path = plan.tools.as_os_str().to_owned();
    if let Some(system) = std::env::var_os("PATH") {
        path.push(":");
        path.push(system);
    }
    command
        .args(["--fork", "--kill-child", "--mount-proc"])
        .args(["--pid", "--mount", "--net", "--ipc", "--uts"])
        .args(["--", "/bin/sh", "-c", SCRIPT, "k3s-daas-machine"])
        .arg(plan.program)
        .args(&plan.arguments)
        .current_dir(plan.dir)
        .env("PATH", path)
        .env("HOME", format!("{}/home", files::INSIDE))
        .env("MACHINE_NAME", plan.name)
        .env("MACHINE_ADDRESS", format!("{address}/24"))
        .env("MACHINE_GATEWAY", plan.network.server_address().to_string())
        .env("MACHINE_CNI", plan.tools.join("cni"));
    if on_path(std::env::var_os("PATH").as_ref(), "iptables").is_none() {
        tracing::debug!("no iptables: pods reach their own machine only");
    }
    Ok(command)
}

async fn listen(mut lines: BufReader<tokio::process::ChildStdout>, tell: watch::Sender<Told>) {
    let mut line = String::new();
    loop {
        line.clear();
        match lines.read_line(&mut line).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        if let Some(told) = Told::parse(line.trim_end()) {
            tell.send_replace(told);
        }
    }
    tell.send_replace(Told::Gone);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_words_of_the_first_process_are_understood() {
        assert_eq!(Told::parse("machine"), Some(Told::Machine));
        assert_eq!(Told::parse("ended 137"), Some(Told::Ended(137)));
        for other in ["", "ended", "ended x", "something else"] {
            assert_eq!(Told::parse(other), None, "{other}");
        }
    }
}
