//! Peers that hold connections, speak slowly or speak nonsense: others notice nothing.
//!
//! A peer may open 200 connections a second and hold 1,000: of 2,000 it keeps its share, and the
//! others are reset.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use k3s_daas_tests::e2e::stream::ends;
use k3s_daas_tests::e2e::{Cluster, NODES};
use seal::SealToken;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{SOON, VIEWER, ip};

const IDLE: usize = 2_000;
const REQUESTS: usize = 60;

pub(super) async fn others_notice_nothing(cluster: &Cluster) -> anyhow::Result<()> {
    let (_, token) = cluster.tenant(VIEWER).await?;
    let mut watch = cluster.watch_nodes(&token, ip(1)).await?;
    let calm = median(cluster, &token).await?;

    let mut held: Vec<TcpStream> = Vec::new();
    let mut most = 0;
    for number in 0..IDLE {
        // Some are reset before they know that they are connected.
        held.extend(cluster.connect_at(ip(66)).await.ok());
        if number % 50 == 0 {
            // Resets arrive a moment later.
            tokio::time::sleep(Duration::from_millis(200)).await;
            most = most.max(open(&mut held));
        }
    }
    ensure!((700..=1_000).contains(&most), "{most} were held at once");
    let idle = median(cluster, &token).await.context("2,000 idle ones")?;

    let slowly = tokio::spawn({
        let streams = slow_ones(cluster).await?;
        async move { speak_slowly(streams).await }
    });
    let slow = median(cluster, &token).await.context("slow hellos")?;
    slowly.abort();

    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0x16, 0x02],
        &[0x16, 3, 1, 0xff, 0xff],
    ] {
        let mut nonsense = cluster.connect_at(ip(68)).await?;
        // A reset may come before all of it is sent.
        let _ = nonsense.write_all(bytes).await;
        ensure!(ends(&mut nonsense, SOON).await, "{bytes:?}");
    }
    for _ in 0..100 {
        // The beginning of a hello, and gone.
        let Ok(mut broken) = cluster.connect_at(ip(69)).await else {
            continue;
        };
        let _ = broken.write_all(&[0x16, 3, 1, 2, 0, 1]).await;
        broken.set_zero_linger()?;
    }
    let resets = median(cluster, &token).await.context("resets")?;
    println!(
        "median of others' requests: calm {calm:?}, idle ones {idle:?}, slow ones {slow:?}, resets {resets:?}"
    );
    ensure!(watch.goes_on().await, "a watch was ended by strangers");
    Ok(())
}

/// How many have not been reset: nothing is ever sent to them.
fn open(held: &mut Vec<TcpStream>) -> usize {
    let is_open = |stream: &mut TcpStream| {
        let read = stream.try_read(&mut [0]);
        matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    };
    held.retain_mut(is_open);
    held.len()
}

async fn slow_ones(cluster: &Cluster) -> anyhow::Result<Vec<TcpStream>> {
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(cluster.connect_at(ip(67)).await?);
    }
    Ok(streams)
}

/// A byte a second each.
async fn speak_slowly(mut streams: Vec<TcpStream>) {
    for byte in [0x16, 3, 1, 2, 0].into_iter().chain(std::iter::repeat(1)) {
        for stream in &mut streams {
            let _ = stream.write_all(&[byte]).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// All succeed.
async fn median(cluster: &Cluster, token: &SealToken) -> anyhow::Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..REQUESTS {
        let began = Instant::now();
        let status = cluster.get(token, NODES).await?;
        ensure!(status == 200, "{status}");
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times.get(REQUESTS / 2).copied().context("some requests")
}
