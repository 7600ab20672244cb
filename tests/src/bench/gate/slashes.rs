//! From sending a slash until the watch of its seal is closed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use seal::Mist;

use super::address;
use super::client::{Connection, Way, tls};
use crate::bench::report::Report;
use crate::e2e::{Cluster, new_token};
use crate::rig::{slash, stake};

/// Slashes that are measured.
const SLASHES: usize = 40;
/// Seals that one owner may have, at most.
const SEALS_PER_OWNER: usize = 10;
/// A watch that goes on.
const WATCH: &str = "/api/v1/nodes?watch=true";
const WITHIN: Duration = Duration::from_secs(30);
const UNIT: &str = "ms from sending, checkpoints every 250 ms";

/// Measures and reports.
pub(super) async fn measure(report: &mut Report, cluster: &Cluster) -> anyhow::Result<()> {
    let ids = cluster.devnet.ids.clone();
    let tls = tls(cluster.control_plane.ca_pem.as_bytes(), &["h2"])?;
    let mut waits = Vec::new();
    let mut tenant = cluster.wallet().await?;
    for n in 0..SLASHES {
        if n > 0 && n % SEALS_PER_OWNER == 0 {
            tenant = cluster.wallet().await?;
        }
        let token = new_token()?;
        stake(&tenant, &ids, &token, Mist(500_000_000)).await?;
        let way = Way {
            address: address(&cluster.control_plane.url)?,
            tls: tls.clone(),
            path: WATCH.to_owned(),
            token: Some(token.reveal().as_str().to_owned()),
        };
        let hash = token.credential_hash().to_string();
        let (_connection, mut watch) = watching(cluster, &way, &hash).await?;
        // From the moment the transaction is sent: what the chain takes is part of it.
        let call = slash(&ids, &token)?;
        let sent = Instant::now();
        let slashing = async { anyhow::Ok(cluster.operator.call(&ids, &call).await?) };
        let closed = async {
            // What comes before it does not end the watch; an end in order would not be the gate's.
            while let Some(frame) = watch.frame().await {
                if frame.is_err() {
                    return anyhow::Ok(sent.elapsed());
                }
            }
            anyhow::bail!("the API server ended the watch")
        };
        let closed = async { tokio::time::timeout(WITHIN, closed).await? };
        let (_, closed) = tokio::try_join!(slashing, closed).context("a watch after a slash")?;
        waits.push(closed.as_secs_f64() * 1_000.0);
    }
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = ((waits.len() - 1) as f64 * share).ceil() as usize;
        waits.get(index).copied().unwrap_or(f64::INFINITY)
    };
    report.plain("gate_slash_to_closed_p50", at(0.5), UNIT, "told", true);
    report.plain(
        "gate_slash_to_closed_p99",
        at(0.99),
        UNIT,
        "under 1000 beyond the checkpoint interval",
        at(0.99) < 1_250.0,
    );
    Ok(())
}

/// An open watch, and the connection that it has to itself; the gate knows by then whose it is.
async fn watching(
    cluster: &Cluster,
    way: &Way,
    hash: &str,
) -> anyhow::Result<(Connection, Incoming)> {
    let mut connection = way.connect().await?;
    let watch = way.ask(&mut connection).await?;
    let began = Instant::now();
    loop {
        let known = cluster.connections().await?.into_iter().any(|open| {
            let mut users = open.users.iter();
            users.any(|user| user.hash.as_deref() == Some(hash))
        });
        if known {
            return Ok((connection, watch));
        }
        ensure!(began.elapsed() < WITHIN, "the gate never heard of a watch");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
