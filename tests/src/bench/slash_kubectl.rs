//! From the slash on chain to the first refusal of a tenant's request at the API server.

use std::time::{Duration, Instant};

use anyhow::ensure;
use seal::Mist;

use super::report::Report;
use crate::e2e::{Cluster, NODES, new_token};
use crate::rig::{slash, stake};

/// Slashes that are measured; the p99 of so few is the slowest of them.
const SLASHES: usize = 20;
/// Seals that one owner may have, at most.
const SEALS_PER_OWNER: usize = 10;
/// The design's checkpoint interval.
const INTERVAL: Duration = Duration::from_millis(250);

/// Measures and reports; skips loudly where there is no control plane.
pub async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let Some(cluster) = Cluster::start(INTERVAL, &[]).await? else {
        crate::e2e::skipped("bench slash-kubectl", "no control plane was found");
        return Ok(());
    };
    let ids = cluster.devnet.ids.clone();
    let mut waits = Vec::new();
    let mut tenant = cluster.wallet().await?;
    for n in 0..SLASHES {
        if n > 0 && n % SEALS_PER_OWNER == 0 {
            tenant = cluster.wallet().await?;
        }
        let token = new_token()?;
        stake(&tenant, &ids, &token, Mist(500_000_000)).await?;
        let status = cluster.get(&token, NODES).await?;
        ensure!(status == 200, "a fresh stake is answered {status}");
        // From the moment the transaction is sent: what the chain takes is part of it.
        let call = slash(&ids, &token)?;
        let sent = Instant::now();
        let slashing = async { anyhow::Ok(cluster.operator.call(&ids, &call).await?) };
        let refused = async {
            cluster
                .until(&token, NODES, Duration::from_secs(30), |status| {
                    status != 200
                })
                .await?;
            anyhow::Ok(sent.elapsed())
        };
        let (_, refused) = tokio::try_join!(slashing, refused)?;
        waits.push(refused.as_secs_f64() * 1000.0);
    }
    cluster.stop().await;
    waits.sort_by(f64::total_cmp);
    let p99 = waits.last().copied().unwrap_or(f64::INFINITY);
    report.plain(
        "slash_to_refusal_at_kubectl_p99",
        p99,
        "ms from sending, checkpoints every 250 ms",
        "under 2500 beyond the checkpoint interval",
        p99 < 2_750.0,
    );
    Ok(())
}
