//! The memory of the whole worker, pods running.

use std::time::Duration;

use super::worker::Worker;
use crate::bench::process::{cpu_seconds, resident};
use crate::bench::report::Report;

/// Some polls of the machine's and the pods' figures, which come each ten seconds.
const AT_REST: Duration = Duration::from_secs(35);
/// The goal: 20 MB.
const MOST: f64 = 20e6;

/// Pods run, nobody calls; figures are polled.
pub(super) async fn at_rest(report: &mut Report, worker: &Worker) -> anyhow::Result<()> {
    let before = cpu_seconds(worker.id())?;
    tokio::time::sleep(AT_REST).await;
    let share = (cpu_seconds(worker.id())? - before) / AT_REST.as_secs_f64();
    megabytes(report, "cri_worker_memory", worker)?;
    report.plain(
        "cri_worker_core_share",
        share,
        "cores of the worker, 100 pods, nobody calls",
        "told",
        true,
    );
    Ok(())
}

/// After what the other parts did to it.
pub(super) async fn after_load(report: &mut Report, worker: &Worker) -> anyhow::Result<()> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    megabytes(report, "cri_worker_memory_after_load", worker)
}

fn megabytes(report: &mut Report, name: &'static str, worker: &Worker) -> anyhow::Result<()> {
    let bytes = resident(worker.id())? as f64;
    report.plain(
        name,
        bytes / 1e6,
        "MB resident, 100 pods",
        "under 20",
        bytes < MOST,
    );
    Ok(())
}
