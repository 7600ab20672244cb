//! The gate killed and started again, the audit receiver away: nobody gets in who should not.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use k3s_daas_tests::e2e::{Cluster, NODES};
use seal::SealToken;

use super::{DEVELOPER, SOON, VIEWER, ip};

/// Killed with its gate, three times, while an ended tenant knocks.
pub(super) async fn a_restart_lets_nobody_in(cluster: &Cluster) -> anyhow::Result<()> {
    let (_, ended) = cluster.tenant(VIEWER).await?;
    let (_, kept) = cluster.tenant(VIEWER).await?;
    let mut watch = cluster.watch_nodes(&ended, ip(21)).await?;
    cluster.slash(&ended).await?;
    watch.ends(SOON).await.context("its watch ends")?;
    for _ in 0..3 {
        let mut innocent = cluster.watch_nodes(&kept, ip(22)).await?;
        cluster.kill_server().await?;
        innocent.ends(SOON).await.context("with the gate")?;
        refused_now(cluster, &ended).await?;
        cluster.start_server().await?;
        // From the first moment on.
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(2) {
            refused_now(cluster, &ended).await?;
        }
        cluster.server_ready().await?;
        let again = |status| status == 200;
        cluster.until(&kept, NODES, SOON, again).await?;
    }
    Ok(())
}

async fn refused_now(cluster: &Cluster, token: &SealToken) -> anyhow::Result<()> {
    // While the gate is not there yet nobody is answered at all.
    match cluster.get(token, NODES).await {
        Ok(status) => ensure!(status != 200, "an ended seal was let in"),
        Err(error) => ensure!(format!("{error:?}").contains("Connect"), "{error:?}"),
    }
    Ok(())
}

/// With the receiver elsewhere no event arrives. Requests are refused all the same, and what nobody
/// was seen on ends with the others of its address, if the ended was seen there before; a watch from
/// an address where it was never seen stays: `docs/gate.md` says so.
pub(super) async fn lost_events_leave_open_what_is_told(cluster: &Cluster) -> anyhow::Result<()> {
    let elsewhere = k3s_daas_tests::e2e::free_address()?.to_string();
    let changes = [("audit_listen", elsewhere.as_str())];
    cluster.restart_server(&changes).await?;
    let (_, token) = cluster.tenant(DEVELOPER).await?;
    let client = cluster.client_at(ip(23))?;
    let secret = token.reveal();
    let mut unseen = cluster
        .watch_with(client, secret.as_str(), NODES, &[])
        .await?;
    cluster.slash(&token).await?;
    let refused = |status| status != 200;
    cluster.until(&token, NODES, SOON, refused).await?;
    ensure!(unseen.goes_on().await, "nobody could know whose it is");
    // A gate that starts anew ends it, and it does not come back.
    cluster.restart_server(&[]).await?;
    unseen
        .ends(SOON)
        .await
        .context("with the gate it came by")?;
    refused_now(cluster, &token).await
}
