//! What the worker leaves of the throughput, and whether any of many calls fails.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use k8s_cri::v1;

use super::client::{Call, Caller, micros};
use super::{PODS, Ways};
use crate::bench::load::Sample;
use crate::bench::report::Report;

/// Each with a connection of its own, as separate programs have.
const CALLERS: usize = 64;
/// Alternating rounds, and how long one lasts.
const ROUNDS: usize = 8;
const ROUND: Duration = Duration::from_secs(2);
/// Calls one after the other.
const SEQUENTIAL: usize = 10_000;
/// What one pod takes in a list, at least: its id and its names.
const LEAST_OF_A_POD: usize = 100;

/// 64 callers that list all pods.
pub(super) async fn lists(report: &mut Report, ways: &Ways) -> anyhow::Result<()> {
    let call = Call::new("ListPodSandbox", &v1::ListPodSandboxRequest::default())?;
    let length = Caller::connect(ways.at(1)).await?.ask(&call).await?.len();
    ensure!(
        length > PODS * LEAST_OF_A_POD,
        "a list of {length} bytes can't hold all pods"
    );
    let mut samples = [Sample::default(), Sample::default()];
    for round in 0..=ROUNDS {
        for which in [round % 2, (round + 1) % 2] {
            let sample = push(ways.at(which), std::slice::from_ref(&call)).await?;
            ensure!(sample.refused == 0, "{} calls failed", sample.refused);
            // The first is to warm up.
            if round > 0 {
                samples[which].merge(sample);
            }
        }
    }
    let [direct, through] = &samples;
    report.compared(
        "cri_lists_throughput",
        (
            through.throughput(),
            direct.throughput(),
            "lists of 100 pods/s, 64 callers",
        ),
        "at least 0.75 of directly",
        |ratio| ratio >= 0.75,
    );
    report.compared(
        "cri_lists_p99",
        (through.quantile(0.99), direct.quantile(0.99), "us"),
        "told",
        |_| true,
    );
    Ok(())
}

/// Many calls, of which none may fail.
pub(super) async fn callers(report: &mut Report, ways: &Ways) -> anyhow::Result<()> {
    let calls = [
        Call::new("Version", &v1::VersionRequest::default())?,
        Call::new("Status", &v1::StatusRequest::default())?,
        Call::new("ListPodSandbox", &v1::ListPodSandboxRequest::default())?,
        Call::new("ListContainers", &v1::ListContainersRequest::default())?,
    ];
    let mut caller = Caller::connect(ways.at(1)).await?;
    let mut failed = 0_usize;
    for n in 0..SEQUENTIAL {
        if caller.call(&calls[n % calls.len()]).await.is_err() {
            failed += 1;
        }
    }
    report.plain(
        "cri_sequential_failures",
        failed as f64,
        "of 10,000 calls one after the other",
        "0",
        failed == 0,
    );
    let sample = push(ways.at(1), &calls).await?;
    report.plain(
        "cri_concurrent_failures",
        sample.refused as f64,
        "of the calls of 64 callers at once in 2 s",
        "0",
        sample.refused == 0 && !sample.micros.is_empty(),
    );
    Ok(())
}

/// All callers at once for a round; the calls in turn.
async fn push(socket: &Path, calls: &[Call]) -> anyhow::Result<Sample> {
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        callers.push(Caller::connect(socket).await?);
    }
    let began = Instant::now();
    let mut lanes = tokio::task::JoinSet::new();
    for mut caller in callers {
        let calls = calls.to_vec();
        lanes.spawn(async move {
            let mut sample = Sample::default();
            for call in calls.iter().cycle() {
                if began.elapsed() >= ROUND {
                    break;
                }
                match caller.call(call).await {
                    Ok((took, _)) => sample.micros.push(micros(took)),
                    Err(_) => sample.refused += 1,
                }
            }
            sample
        });
    }
    let mut all = Sample::default();
    while let Some(lane) = lanes.join_next().await {
        all.merge(lane?);
    }
    all.elapsed = began.elapsed();
    Ok(all)
}
