//! Many who do nothing beside some who do much: nobody waits for the others.

use std::time::{Duration, Instant};

use api_gate::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bench::{Bench, HELLO, Upstream, at_most, bounded, echoed};

fn roomy() -> Limits {
    Limits {
        max_connections: 100_000,
        max_per_peer: 100_000,
        new_per_second: 100_000,
        ..Limits::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_idle_ones_beside_others_that_go_on() {
    let many = at_most(2_000);
    bounded(async {
        let upstream = Upstream::start().await;
        let bench = Bench::with(&upstream, roomy());
        upstream.echo();
        let mut busy = bench.knock().await;
        echoed(&mut busy, &HELLO).await;
        let mut idle = Vec::new();
        for turn in 0..many {
            let mut client = bench.knock().await;
            echoed(&mut client, &HELLO).await;
            idle.push(client);
            if turn % 100 == 0 {
                echoed(&mut busy, b"going on").await;
            }
        }
        bench.until_open(many + 1).await;
        for turn in 0..1_000_u16 {
            echoed(&mut busy, &turn.to_be_bytes()).await;
        }
        // They are all there still.
        for client in idle.iter_mut().step_by(97) {
            echoed(client, b"awake").await;
        }
        drop(idle);
        bench.until_open(1).await;
        echoed(&mut busy, b"alone again").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_without_end_leaves_the_others_their_turn() {
    bounded(async {
        let upstream = Upstream::start().await;
        let bench = Bench::with(&upstream, roomy());
        upstream.echo();
        for _ in 0..3 {
            let mut client = bench.knock().await;
            echoed(&mut client, &HELLO).await;
            tokio::spawn(flood(client));
        }
        let mut quiet = bench.knock().await;
        let begin = Instant::now();
        echoed(&mut quiet, &HELLO).await;
        for turn in 0..200_u8 {
            echoed(&mut quiet, &[turn]).await;
        }
        assert!(begin.elapsed() < Duration::from_secs(20));
    })
    .await;
}

/// Sends and reads as fast as it goes, for ever.
async fn flood(client: TcpStream) {
    let (mut from, mut to) = client.into_split();
    tokio::spawn(async move {
        let mut bytes = vec![0; 256 * 1024];
        while from.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    });
    let bytes = vec![0; 256 * 1024];
    while to.write_all(&bytes).await.is_ok() {}
}
