//! What a worker needs to do its work, each with the reason why it lacks it.

use std::time::Duration;

use cri_shim::standing::Standings;
use cri_shim::stats::Stats;
use webhook_server::Health;

use super::WorkerSettings;

/// Figures are too old after so many polls that brought none.
const POLLS: u32 = 3;
/// Until the first poll ends.
const FIRST: Duration = Duration::from_secs(10);

/// Adds the checks of `/readyz`. Kubelet's calls go on whatever they say.
pub(super) fn add_checks(
    health: &Health,
    stats: &Stats,
    settings: &WorkerSettings,
    standings: Standings,
) {
    let (polled, most) = (stats.clone(), settings.stats_every * POLLS + FIRST);
    let socket = settings.containerd_socket.display().to_string();
    health.add_fn("containerd", move || {
        let snapshot = polled.latest();
        let fresh = polled.age().is_some_and(|age| age < most);
        match snapshot {
            Some(snapshot) if fresh && snapshot.pod_count.is_some() => Ok(()),
            _ => Err(format!("{socket} does not tell its pods").into()),
        }
    });
    if settings.seal.is_some() {
        health.add_fn("seal", move || match standings.latest() {
            None => Err("the chain has not told of the machine's seal yet".into()),
            Some(standing) => match standing.end(cri_shim::standing::now()) {
                None => Ok(()),
                Some(end) => Err(format!("the machine's seal {}", end.why).into()),
            },
        });
    }
}
