//! What the worker costs a machine: what it adds to kubelet's calls, what it leaves of their
//! throughput, and its memory.
//!
//! Shape:  a real containerd with real sandboxes, a `k3s-daas worker` in front of it as a process of
//!         its own, and callers that ask both, call by call or round by round. Answers are read and
//!         not decoded: the load has to be cheap, since all share one machine.

mod client;
mod memory;
mod pods;
mod throughput;
mod unary;
mod worker;

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};

use super::report::Report;
use pods::Runtime;

/// As many as a kubelet has by default, less ten.
const PODS: usize = 100;

/// The two ways to containerd.
#[derive(Debug, Clone)]
struct Ways {
    direct: PathBuf,
    through: PathBuf,
}

impl Ways {
    /// Direct and through the worker, by index.
    fn at(&self, which: usize) -> &Path {
        if which == 0 {
            &self.direct
        } else {
            &self.through
        }
    }
}

/// Measures and reports; gives whether it could. Names of parts: `unary`, `lists`, `callers`,
/// `memory`.
pub async fn measure(report: &mut Report, only: &[String]) -> anyhow::Result<bool> {
    const PARTS: [&str; 4] = ["unary", "lists", "callers", "memory"];
    if let Some(unknown) = only.iter().find(|one| !PARTS.contains(&one.as_str())) {
        bail!("there is no part {unknown}: {}", PARTS.join(", "));
    }
    let wanted = |name: &str| only.is_empty() || only.iter().any(|one| one == name);
    let Some(mut runtime) = Runtime::start().await? else {
        return Ok(false);
    };
    runtime.run(PODS).await?;
    let folder = tempfile::tempdir()?;
    let worker = worker::Worker::start(folder.path(), &runtime.socket).await?;
    let ways = Ways {
        direct: runtime.socket.clone(),
        through: worker.socket.clone(),
    };
    if wanted("memory") {
        memory::at_rest(report, &worker).await?;
    }
    if wanted("unary") {
        unary::measure(report, &ways).await?;
    }
    if wanted("lists") {
        throughput::lists(report, &ways).await?;
    }
    if wanted("callers") {
        throughput::callers(report, &ways).await?;
    }
    // What was measured went through the worker, or it would not have counted it.
    let page = worker.page().await?;
    ensure!(
        page.contains("k3s_daas_cri_calls_total{"),
        "no call came through the worker"
    );
    if wanted("memory") {
        memory::after_load(report, &worker).await?;
    }
    worker.stop();
    runtime.stop().await?;
    Ok(true)
}
