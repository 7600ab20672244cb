//! What the worker costs a machine: what it adds to kubelet's calls, what it leaves of their
//! throughput, and its memory.
//!
//! Shape:  a real containerd with real sandboxes, a `k3s-daas worker` in front of it as a process of
//!         its own, and callers that ask both, call by call or round by round. Answers are read and
//!         not decoded: the load has to be cheap, since all share one machine.

mod client;
mod memory;
mod throughput;
mod unary;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use sui_devnet::{Devnet, DevnetConfig};
use sui_ledger::manifest::ContractIds;

use super::report::Report;
use crate::cri::{Containerd, Shim, run_pod};
use crate::e2e::new_token;

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
    let Some(containerd) = Containerd::start("bench cri").await? else {
        return Ok(false);
    };
    let direct = containerd.socket();
    for n in 0..PODS {
        // On the machine's own network: what is measured is calls, not networks.
        let pod = containerd.host_pod("bench", &format!("pod-{n:03}"));
        run_pod(&direct, &pod, &["pause"])
            .await
            .with_context(|| format!("pod {n}: {}", tail(&containerd.log())))?;
    }
    let mut shim = Shim::hold(&containerd.path("shim"), &direct)?;
    // A whole worker: it follows its seal.
    let devnet = Devnet::start(DevnetConfig::for_tests()).await?;
    shim.more = followed(&containerd, &devnet.ids)?;
    if wanted("memory") {
        memory::at_rest(report, &mut shim).await?;
    } else {
        ensure!(shim.start()?, "build k3s-daas first");
    }
    shim.answers().await?;
    let ways = Ways {
        through: shim.socket(),
        direct,
    };
    if wanted("unary") {
        unary::measure(report, &ways).await?;
    }
    if wanted("lists") {
        throughput::lists(report, &ways).await?;
    }
    if wanted("callers") {
        throughput::callers(report, &ways).await?;
    }
    let page = shim.metrics().await?;
    ensure!(
        page.contains(&format!("\nk3s_daas_worker_pods {PODS}\n")),
        "the worker does not see all pods: {page}"
    );
    if wanted("memory") {
        memory::after_load(report, &shim).await?;
    }
    ensure!(shim.stop().await?, "the worker: {}", shim.log());
    devnet.shutdown().await;
    Ok(true)
}

/// What makes the worker look for a seal on this chain. Nobody staked for it: that is an answer too,
/// and the guard's grace has not passed.
fn followed(containerd: &Containerd, ids: &ContractIds) -> anyhow::Result<Vec<String>> {
    let (contract, token) = (containerd.path("contract.toml"), containerd.path("token"));
    ids.save(&contract)?;
    std::fs::write(&token, new_token()?.reveal().as_str())?;
    std::fs::set_permissions(&token, Permissions::from_mode(0o600))?;
    Ok(vec![
        format!("--sui-staking-contract={}", contract.display()),
        format!("--node-token-file={}", token.display()),
    ])
}

/// The end of a log.
fn tail(log: &str) -> &str {
    let at = log.char_indices().rev().nth(2_000).map_or(0, |(at, _)| at);
    &log[at..]
}
