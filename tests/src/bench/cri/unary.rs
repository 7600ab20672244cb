//! What the worker adds to a call on a kept connection.

use k8s_cri::v1;

use super::Ways;
use super::client::{Call, Caller, micros};
use crate::bench::load::Sample;
use crate::bench::report::Report;

/// Calls of each, on each way.
const CALLS: usize = 4_000;
/// The goal, in microseconds.
const MOST_ADDED: f64 = 150.0;

/// Kubelet's three most frequent calls.
pub(super) async fn measure(report: &mut Report, ways: &Ways) -> anyhow::Result<()> {
    let lists = v1::ListPodSandboxRequest::default();
    let of = [
        (
            "cri_version_p50",
            "cri_version_p99",
            Call::new("Version", &v1::VersionRequest::default())?,
        ),
        (
            "cri_status_p50",
            "cri_status_p99",
            Call::new("Status", &v1::StatusRequest::default())?,
        ),
        (
            "cri_list_pods_p50",
            "cri_list_pods_p99",
            Call::new("ListPodSandbox", &lists)?,
        ),
    ];
    for (median, tail, call) in of {
        let [direct, through] = side_by_side(ways, &call).await?;
        let half = (through.quantile(0.5), direct.quantile(0.5));
        report.compared(
            median,
            (half.0, half.1, "us until all of the answer was read"),
            "at most 150 us more than directly",
            |_| half.0 - half.1 <= MOST_ADDED,
        );
        report.compared(
            tail,
            (through.quantile(0.99), direct.quantile(0.99), "us"),
            "told",
            |_| true,
        );
    }
    Ok(())
}

/// One at a time, now here, now there, the order changing each time.
async fn side_by_side(ways: &Ways, call: &Call) -> anyhow::Result<[Sample; 2]> {
    let mut samples = [Sample::default(), Sample::default()];
    let mut callers = [
        Caller::connect(ways.at(0)).await?,
        Caller::connect(ways.at(1)).await?,
    ];
    let warm_up = CALLS / 10;
    for n in 0..warm_up + CALLS {
        for which in [n % 2, (n + 1) % 2] {
            let (took, _) = callers[which].call(call).await?;
            if n >= warm_up {
                samples[which].micros.push(micros(took));
            }
        }
    }
    for sample in &mut samples {
        sample.micros.sort_unstable();
    }
    Ok(samples)
}
