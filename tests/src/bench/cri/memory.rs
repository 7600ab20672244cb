//! The memory of the whole worker, pods running.
//!
//! Most of what is resident are clean pages of the program, and the kernel maps those around each
//! that is used if it has them: so it is measured as after a boot, when it has none, and again when
//! it has all.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use k3s_configs::WORKER_BINARY;

use crate::bench::process::{cpu_seconds, resident};
use crate::bench::report::Report;
use crate::cri::Shim;
use crate::e2e::program;

/// Some polls of the machine's and the pods' figures, which come each ten seconds.
const AT_REST: Duration = Duration::from_secs(35);
/// The goal: 20 MB.
const MOST: f64 = 20e6;

/// Pods run, nobody calls; figures are polled. Leaves the worker running.
pub(super) async fn at_rest(report: &mut Report, shim: &mut Shim) -> anyhow::Result<()> {
    let program = program().context("build k3s-daas first: cargo build --release")?;
    let alone = program.with_file_name(WORKER_BINARY);
    let program = if alone.is_file() { alone } else { program };
    forget(&program)?;
    shim.start()?;
    shim.answers().await?;
    let worker = shim.id().context("the worker runs")?;
    let before = cpu_seconds(worker)?;
    tokio::time::sleep(AT_REST).await;
    let share = (cpu_seconds(worker)? - before) / AT_REST.as_secs_f64();
    let all = resident(worker)? as f64;
    report.plain(
        "cri_worker_memory",
        all / 1e6,
        "MB resident, 100 pods, nobody calls; program read from disk, as after a boot",
        "under 20",
        all < MOST,
    );
    report.plain(
        "cri_worker_memory_own",
        own(worker)? / 1e6,
        "MB of it that are not pages of files",
        "told",
        true,
    );
    report.plain(
        "cri_worker_core_share",
        share,
        "cores of the worker, 100 pods, figures each 10 s, nobody calls",
        "told",
        true,
    );
    ensure!(shim.stop().await?, "the worker: {}", shim.log());
    std::io::copy(&mut std::fs::File::open(&program)?, &mut std::io::sink())?;
    shim.start()?;
    shim.answers().await?;
    tokio::time::sleep(AT_REST).await;
    let worker = shim.id().context("the worker runs")?;
    report.plain(
        "cri_worker_memory_cached",
        resident(worker)? as f64 / 1e6,
        "MB resident; the whole program in the kernel's cache before",
        "told",
        true,
    );
    Ok(())
}

/// After what the other parts did to it.
pub(super) async fn after_load(report: &mut Report, shim: &Shim) -> anyhow::Result<()> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let worker = shim.id().context("the worker runs")?;
    report.plain(
        "cri_worker_memory_own_after_load",
        own(worker)? / 1e6,
        "MB that are not pages of files, after 64 callers at once",
        "told",
        true,
    );
    Ok(())
}

/// The kernel forgets the pages of a file that nobody has mapped.
fn forget(file: &Path) -> anyhow::Result<()> {
    let mut of = std::ffi::OsString::from("if=");
    of.push(file);
    let done = Command::new("dd")
        .arg(of)
        .args(["iflag=nocache", "count=0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    ensure!(done.success(), "dd: {done}");
    Ok(())
}

/// The memory of a process that is no file's, in bytes.
fn own(id: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    Ok(kib.context("no RssAnon")? * 1024.0)
}
