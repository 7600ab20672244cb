//! Processes of the benchmarks: a part that serves has one of its own, with its own runtime and
//! memory, and `/proc` says what one takes.
//!
//! Source: proc(5).

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::AsyncBufReadExt as _;

/// A part of this program that serves, in a process of its own. Killed when it is dropped.
#[derive(Debug)]
pub struct Served {
    child: Child,
    /// Where, as its first line says.
    pub address: SocketAddr,
}

impl Served {
    /// Starts this program with arguments on which it prints an address and serves there.
    pub async fn spawn<A: AsRef<OsStr>>(arguments: &[A]) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("the child's output")?;
        let mut lines =
            tokio::io::BufReader::new(tokio::process::ChildStdout::from_std(output)?).lines();
        let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await??;
        let address = line.context("the child said nothing")?.parse()?;
        Ok(Self { child, address })
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits for the end of whoever started this process, who holds the other end.
pub async fn until_stdin_ends() -> anyhow::Result<()> {
    let end = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    tokio::task::spawn_blocking(end).await??;
    Ok(())
}

/// The resident memory of a process, in bytes.
pub fn resident(id: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    Ok(kib.context("no VmRSS")? * 1024)
}

/// User and system time of a process, in seconds (fields 14 and 15 of `stat`).
pub fn cpu_seconds(id: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let rest = stat.rsplit_once(')').context("stat")?.1;
    let ticks: Vec<f64> = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    // USER_HZ is 100 on every Linux that this runs on.
    Ok(ticks.iter().sum::<f64>() / 100.0)
}
