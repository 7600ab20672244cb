//! What the gate keeps in memory. A process of its own: other tests would be measured too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "relay/bench.rs"]
mod bench;

use std::time::Duration;

use api_gate::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;

use bench::{Bench, Upstream, at_most, bounded, read};

const MIB: usize = 1 << 20;
/// One measures at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_slows_its_writer_down() {
    const ALL: usize = 64 * MIB;
    let _alone = ALONE.lock().await;
    bounded(async {
        let mut upstream = Upstream::start().await;
        let bench = Bench::start(&upstream);
        let (client, comer) = bench.connect(&mut upstream).await;
        let (mut from, _keep) = client.into_split();
        let (_keep_too, mut to) = comer.stream.into_split();
        let before = memory();
        // As much as sockets take, and then no more.
        let piece = vec![5; 64 * 1024];
        let mut taken = 0;
        let patience = Duration::from_secs(1);
        while let Ok(sent) = tokio::time::timeout(patience, to.write(&piece)).await {
            taken += sent.unwrap();
            assert!(taken < ALL, "nobody reads, and all is taken");
        }
        let grown = memory().saturating_sub(before);
        assert!(grown < 8 * MIB, "{grown} bytes are kept");
        let writer = tokio::spawn(async move {
            let piece = vec![5; 64 * 1024];
            while taken < ALL {
                let next = piece.len().min(ALL - taken);
                taken += to.write(&piece[..next]).await.unwrap();
            }
        });
        let mut bytes = vec![0; 32 * 1024];
        let (mut seen, mut most) = (0, 0);
        while seen < ALL {
            let read = from.read(&mut bytes).await.unwrap();
            assert!(read > 0 && bytes[..read].iter().all(|byte| *byte == 5));
            seen += read;
            if seen % (4 * MIB) < read {
                tokio::time::sleep(Duration::from_millis(10)).await;
                most = most.max(memory().saturating_sub(before));
            }
        }
        assert!(most < 8 * MIB, "{most} bytes are kept");
        writer.await.unwrap();
    })
    .await;
}

/// What this process has in memory, in bytes.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.unwrap().split_whitespace().next().unwrap();
    kib.parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn an_idle_connection_takes_little() {
    let idle = at_most(2_000);
    let _alone = ALONE.lock().await;
    bounded(async {
        let mut upstream = Upstream::start().await;
        let limits = Limits {
            max_per_peer: 100_000,
            new_per_second: 100_000,
            ..Limits::default()
        };
        let bench = Bench::with(&upstream, limits);
        let mut open = Vec::with_capacity(idle + 100);
        let mut come = async |many: usize| {
            for _ in 0..many {
                let (mut client, mut comer) = bench.connect(&mut upstream).await;
                // Buffers come and go.
                client.write_all(&[1; 8 * 1024]).await.unwrap();
                read(&mut comer.stream, 8 * 1024).await;
                open.push((client, comer));
            }
        };
        come(100).await;
        let before = memory();
        come(idle).await;
        let each = memory().saturating_sub(before) / idle;
        eprintln!("{each} bytes a connection, with its client and its server");
        // Some 3 KiB of it are the gate's.
        assert!(each < 6 * 1024, "{each}");
    })
    .await;
}
