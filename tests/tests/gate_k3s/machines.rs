//! The connections of machines behind the gate.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::ensure;
use k3s_configs::launch::agent::Agent;
use k3s_daas_tests::e2e::Cluster;
use k3s_daas_tests::worker::{LOOK, WITHIN};

/// Nobody comes or goes for so long.
const SETTLED: Duration = Duration::from_secs(3);

/// The source addresses of the open connections of a peer.
pub async fn connections_of(
    cluster: &Cluster,
    peer: Ipv4Addr,
) -> anyhow::Result<BTreeSet<Ipv4Addr>> {
    let all = cluster.connections().await?;
    let its = all.iter().filter(|one| one.peer.ip() == IpAddr::V4(peer));
    Ok(its.map(|one| one.source).collect())
}

/// The same once none came and went for a while, with users on them.
pub async fn settled(cluster: &Cluster, agent: &Agent) -> anyhow::Result<BTreeSet<Ipv4Addr>> {
    let began = Instant::now();
    let mut before = connections_of(cluster, agent.address).await?;
    let mut since = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let now = connections_of(cluster, agent.address).await?;
        if now != before {
            (before, since) = (now, Instant::now());
        }
        if since.elapsed() > SETTLED && !before.is_empty() {
            return Ok(before);
        }
        ensure!(began.elapsed() < WITHIN, "never settled: {before:?}");
    }
}
