//! A machine with a real systemd as its first process, which can be rebooted.
//!
//! Shape:  [`Machine`] holds the script `tests/tools/systemd-machine.sh`, which makes it out of
//!         namespaces and a copy-on-write view of this machine's files. It ends, all processes
//!         included, when this is dropped, and with this process.
//! Needs:  root and systemd. [`Machine::missing`] says what a machine lacks.

use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::e2e::workspace;

/// Everything comes within this, on a busy machine too.
pub const WITHIN: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// A machine. Its files are gone with it.
#[derive(Debug)]
pub struct Machine {
    holder: Child,
    /// It runs as long as this is open.
    stdin: Option<ChildStdin>,
    folder: tempfile::TempDir,
}

fn script() -> Command {
    let mut command = Command::new("bash");
    command.arg(workspace().join("tests/tools/systemd-machine.sh"));
    command
}

impl Machine {
    /// Why there can be none here.
    pub fn missing() -> anyhow::Result<Option<String>> {
        let can = script().arg("can").output()?;
        let why = String::from_utf8_lossy(&can.stderr).trim().to_owned();
        Ok((can.stdout.trim_ascii() != b"1").then_some(why))
    }

    /// Boots one in which each of these files and folders of this machine is shown at a path.
    pub async fn boot(shown: &[(&Path, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("machine").tempdir()?;
        let log = std::fs::File::create(folder.path().join("console.log"))?;
        let inside = folder.path().join("machine");
        std::fs::create_dir(&inside)?;
        let shown = shown
            .iter()
            .map(|(from, to)| format!("{}={to}", from.display()));
        let mut holder = script()
            .arg("run")
            .arg(&inside)
            .args(shown)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let stdin = holder.stdin.take();
        let mut machine = Self {
            holder,
            stdin,
            folder,
        };
        machine.is_up(None).await?;
        Ok(machine)
    }

    /// Reboots it and waits until all that starts at boot was started.
    pub async fn reboot(&mut self) -> anyhow::Result<()> {
        let before = self.boot_id()?;
        // Its answer is lost with the machine, or not.
        let _ = self.command(&["systemctl", "reboot"]).output()?;
        self.is_up(Some(before)).await
    }

    /// Waits until systemd has nothing left to start, in a boot other than this one.
    async fn is_up(&mut self, before: Option<String>) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.holder.try_wait()? {
                bail!("the machine ended with {status}: {}", self.console());
            }
            let is_new = self.boot_id().is_ok_and(|id| Some(id) != before);
            if is_new {
                let asked = self.command(&["systemctl", "is-system-running"]).output()?;
                let said = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
                if ["running", "degraded"].contains(&said.as_str()) {
                    return Ok(());
                }
            }
            let late = began.elapsed() > WITHIN;
            ensure!(!late, "the machine does not come up: {}", self.console());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The number of its first process on this machine: another one after each boot.
    fn first(&self) -> anyhow::Result<u32> {
        let held = std::fs::read_to_string(self.inside().join("held"))?;
        let held: u32 = held.trim().parse()?;
        let children = std::fs::read_to_string(format!("/proc/{held}/task/{held}/children"))?;
        let first = children.split_whitespace().next();
        Ok(first.context("it has no process")?.parse()?)
    }

    /// What tells one boot from another.
    fn boot_id(&self) -> anyhow::Result<String> {
        let first = self.first()?;
        // Its number may be given anew; when it was started is told in its 22nd figure.
        let stat = std::fs::read_to_string(format!("/proc/{first}/stat"))?;
        let after = stat.rsplit_once(')').context("no process")?.1;
        let started = after.split_whitespace().nth(19).unwrap_or_default();
        Ok(format!("{first} {started}"))
    }

    fn inside(&self) -> PathBuf {
        self.folder.path().join("machine")
    }

    fn console(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("console.log"));
        log.unwrap_or_default()
    }

    /// A file of the machine, as it is reached from here; in this boot.
    pub fn file(&self, path: &str) -> anyhow::Result<PathBuf> {
        Ok(PathBuf::from(format!("/proc/{}/root{path}", self.first()?)))
    }

    /// A command in the machine.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = script();
        command.arg("in").arg(self.inside()).args(words);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command whose failure is one; its standard output.
    pub fn run(&self, words: &[&str]) -> anyhow::Result<String> {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(words).output()?;
        let said = String::from_utf8_lossy(&stderr);
        ensure!(status.success(), "{}: {status}: {said}", words.join(" "));
        Ok(String::from_utf8_lossy(&stdout).trim_end().to_owned())
    }

    /// A property of a unit.
    pub fn property(&self, unit: &str, property: &str) -> anyhow::Result<String> {
        self.run(&["systemctl", "show", "--value", "--property", property, unit])
    }

    /// Waits until a unit is active.
    pub async fn is_active(&self, unit: &str) -> anyhow::Result<()> {
        self.stands(unit, "active").await
    }

    /// Waits until a unit stands so.
    pub async fn stands(&self, unit: &str, wanted: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let state = self.property(unit, "ActiveState")?;
            if state == wanted {
                return Ok(());
            }
            if began.elapsed() > WITHIN {
                bail!("{unit} is {state}, not {wanted}: {}", self.journal(unit)?);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What a unit has said in this boot.
    pub fn journal(&self, unit: &str) -> anyhow::Result<String> {
        self.run(&[
            "journalctl",
            "--no-pager",
            "--boot",
            "--output=cat",
            "--unit",
            unit,
        ])
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The script takes everything away once nobody holds this.
        drop(self.stdin.take());
        let _ = self.holder.wait();
    }
}
