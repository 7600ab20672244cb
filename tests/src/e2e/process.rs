//! The webhooks as the built program runs them: a process that can be killed, told to read its
//! configuration again, and measured.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::process::{Child, Command};

use k3s_daas::server;

use super::{Cluster, POLL, READY_WITHIN, free_address};

/// A running `k3s-daas server`. Killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    config: PathBuf,
    keys: Vec<(String, String)>,
    operations: SocketAddr,
    log: PathBuf,
}

/// The program that was built beside the tests.
pub fn program() -> Option<PathBuf> {
    let tests = std::env::current_exe().ok()?;
    tests
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("k3s-daas"))
        .find(|program| program.is_file())
}

impl Cluster {
    /// Starts the program where the webhooks of this process were, on the same state; nothing
    /// where it was not built. Does not wait until it is ready.
    pub async fn start_process(&self) -> anyhow::Result<Option<Process>> {
        ensure!(
            self.server.lock().await.is_none(),
            "the webhooks run in this process"
        );
        self.process_in(self.folder.path(), &[])
    }

    /// Starts the program beside the webhooks of this process, as another machine's server: with
    /// the same certificates, and a state of its own.
    pub async fn second_process(
        &self,
        changes: &[(&str, &str)],
    ) -> anyhow::Result<Option<Process>> {
        let state = self.folder.path().join("second");
        let (from, to) = (self.folder.path(), state.as_path());
        let (from, to) = (server::pki_folder(from), server::pki_folder(to));
        std::fs::create_dir_all(&to)?;
        for file in std::fs::read_dir(from)? {
            let file = file?;
            std::fs::copy(file.path(), to.join(file.file_name()))?;
        }
        self.process_in(&state, changes)
    }

    fn process_in(
        &self,
        state: &std::path::Path,
        changes: &[(&str, &str)],
    ) -> anyhow::Result<Option<Process>> {
        let Some(program) = program() else {
            return Ok(None);
        };
        let contract = state.join("contract.toml");
        self.devnet.ids.save(&contract)?;
        let operations = free_address()?;
        let mut keys = self.settings.clone();
        let path = |path: &std::path::Path| path.display().to_string();
        for (name, value) in [
            ("metrics_listen", operations.to_string()),
            ("contract", path(&contract)),
            ("state_dir", path(state)),
        ] {
            set(&mut keys, name, &value);
        }
        for (name, value) in changes {
            set(&mut keys, name, value);
        }
        let (config, log) = (state.join("server.yaml"), state.join("server.log"));
        write(&config, &keys)?;
        let to = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)?;
        let child = Command::new(program)
            .args(["server", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(to)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Some(Process {
            child,
            config,
            keys,
            operations,
            log,
        }))
    }
}

impl Process {
    /// Waits until it says that it is ready.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}: {}", self.log_text());
            }
            let last = match self.operations("/readyz?verbose").await {
                Ok((200, _)) => return Ok(()),
                Ok((status, body)) => format!("{status} {body}"),
                Err(unanswered) => format!("{unanswered:#}"),
            };
            ensure!(
                started.elapsed() < READY_WITHIN,
                "not ready: {last}\n{}",
                self.log_text()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// SIGKILL: nothing is put in order.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        Ok(())
    }

    /// Changes keys in its configuration file and tells it to read them.
    pub async fn reconfigure(&mut self, changes: &[(&str, &str)]) -> anyhow::Result<()> {
        for (name, value) in changes {
            set(&mut self.keys, name, value);
        }
        write(&self.config, &self.keys)?;
        let id = self.child.id().context("it has ended")?.to_string();
        let told = Command::new("kill").args(["-HUP", &id]).status().await?;
        ensure!(told.success(), "SIGHUP: {told}");
        Ok(())
    }

    /// A path of its operations listener: status and body.
    pub async fn operations(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(5))
            .build()?;
        let url = format!("http://{}{path}", self.operations);
        let answer = client.get(url).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// The sum of the samples of a metric.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let (_, text) = self.operations("/metrics").await?;
        let samples = text.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let values = samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> anyhow::Result<u64> {
        let id = self.child.id().context("it has ended")?;
        crate::bench::process::resident(id)
    }

    fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

pub(super) fn set(keys: &mut Vec<(String, String)>, name: &str, value: &str) {
    keys.retain(|(key, _)| key != name);
    keys.push((name.to_owned(), value.to_owned()));
}

fn write(path: &std::path::Path, keys: &[(String, String)]) -> std::io::Result<()> {
    // JSON's strings are YAML's too.
    let line = |(name, value): &(String, String)| {
        format!("{name}: {}\n", serde_json::Value::from(value.as_str()))
    };
    std::fs::write(path, keys.iter().map(line).collect::<String>())
}
