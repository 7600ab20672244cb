//! The machine, its agent and its callers.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use k3s_configs::{SOCKET_UNIT, WORKER_BINARY};
use k3s_daas_tests::cri::{client, made};
use k3s_daas_tests::e2e::{program, skipped, workspace};
use k3s_daas_tests::systemd::{Machine, WITHIN};
use k8s_cri::v1::VersionRequest;

pub(crate) const AGENT: &str = "k3s-agent.service";
/// containerd's own.
pub(crate) const DIRECT: &str = "/run/k3s/containerd/containerd.sock";
pub(crate) const SOCKET: &str = "/run/k3s-daas/cri.sock";
const CONFIG: &str = "/etc/k3s-daas/worker-config.yaml";
const AGENT_UNIT: &str = "\
[Unit]
Description=What stands in for K3s's agent
[Service]
Type=exec
ExecStart=/opt/agent.sh
KillMode=mixed
Delegate=yes
Restart=always
RestartSec=1s
[Install]
WantedBy=multi-user.target
";

pub(crate) struct Scene {
    pub(crate) machine: Machine,
}

impl Scene {
    /// A machine whose agent runs, and which knows the programs; none where there can be none.
    pub(crate) async fn boot(test: &str) -> anyhow::Result<Option<Self>> {
        if let Some(missing) = Machine::missing()? {
            skipped(test, &missing);
            return Ok(None);
        }
        let Some(containerd) = made("containerd.sh", "containerd") else {
            skipped(test, "tests/tools/containerd.sh was not run");
            return Ok(None);
        };
        let Some(program) = program() else {
            skipped(test, "k3s-daas was not built: cargo build");
            return Ok(None);
        };
        let own = program.with_file_name(WORKER_BINARY);
        ensure!(own.is_file(), "there is no {}", own.display());
        let agent = workspace().join("tests/tests/worker_systemd/agent.sh");
        let shown: [(&Path, &str); 4] = [
            (&program, "/usr/local/bin/k3s-daas"),
            (&own, "/usr/local/bin/k3s-daas-worker"),
            (&containerd, "/opt/containerd"),
            (&agent, "/opt/agent.sh"),
        ];
        let machine = Machine::boot(&shown).await.context("the machine")?;
        let scene = Self { machine };
        write(
            &scene.machine,
            &format!("/etc/systemd/system/{AGENT}"),
            AGENT_UNIT,
        )?;
        scene.configure("")?;
        scene.machine.run(&["systemctl", "daemon-reload"])?;
        scene.systemctl(&["enable", "--now", AGENT])?;
        scene.answered(DIRECT).await?;
        Ok(Some(scene))
    }

    /// Writes the worker's configuration, with these lines more.
    pub(crate) fn configure(&self, more: &str) -> anyhow::Result<()> {
        let text =
            format!("node:\n  id: worker-001\nworker:\n  metrics_listen: 127.0.0.1:9091\n{more}");
        write(&self.machine, CONFIG, &text)
    }

    pub(crate) fn systemctl(&self, words: &[&str]) -> anyhow::Result<String> {
        let words: Vec<&str> = ["systemctl"].iter().chain(words).copied().collect();
        self.machine.run(&words)
    }

    /// `k3s-daas worker …` in the machine; what it said.
    pub(crate) fn worker(&self, words: &[&str]) -> anyhow::Result<String> {
        let command = ["k3s-daas", "worker"];
        let words: Vec<&str> = command.iter().chain(words).copied().collect();
        self.machine.run(&words)
    }

    pub(crate) fn restarts(&self, unit: &str) -> anyhow::Result<u32> {
        Ok(self.machine.property(unit, "NRestarts")?.parse()?)
    }

    /// Waits until the agent that runs was answered, and by this socket.
    pub(crate) async fn answered(&self, by: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let id = self.machine.property(AGENT, "InvocationID")?;
            let matches = format!("_SYSTEMD_INVOCATION_ID={id}");
            let said = self
                .machine
                .run(&["journalctl", "--no-pager", "--output=cat", &matches])?;
            let wanted = format!("answered by {by}");
            if said.lines().any(|line| line == wanted) {
                return Ok(());
            }
            let late = began.elapsed() > WITHIN;
            ensure!(!late, "the agent was not answered by {by}: {said}");
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }

    /// A call of kubelet's on a connection of its own.
    pub(crate) async fn call(&self) -> anyhow::Result<()> {
        let socket = self.machine.file(SOCKET)?;
        let mut runtime = client::runtime(&socket);
        let version = runtime.version(VersionRequest::default());
        let answer = tokio::time::timeout(WITHIN, version).await??;
        let name = answer.into_inner().runtime_name;
        ensure!(name == "containerd", "{name} answers");
        Ok(())
    }

    /// Each of these files is there, or none is.
    pub(crate) fn are_there(&self, there: bool, paths: &[&str]) -> anyhow::Result<()> {
        for path in paths {
            let found = self.machine.file(path)?.symlink_metadata().is_ok();
            ensure!(found == there, "{path} is there: {found}");
        }
        Ok(())
    }

    pub(crate) fn socket_is_held(&self) -> anyhow::Result<()> {
        let state = self.machine.property(SOCKET_UNIT, "ActiveState")?;
        ensure!(state == "active", "{SOCKET_UNIT} is {state}");
        Ok(())
    }
}

/// Writes a file of a machine.
pub(crate) fn write(machine: &Machine, path: &str, text: &str) -> anyhow::Result<()> {
    let script = "mkdir -p \"${0%/*}\" && cat >\"$0\"";
    let mut command = machine.command(&["sh", "-c", script, path]);
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("its standard input")?;
    stdin.write_all(text.as_bytes())?;
    drop(stdin);
    ensure!(child.wait()?.success(), "can't write {path}");
    Ok(())
}
