//! Bytes arrive as they were sent, however they come, and no more of them wait than two sockets
//! hold.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;

use crate::bench::{Bench, HELLO, Upstream, bounded, echoed};

const MIB: usize = 1 << 20;

/// Bytes that tell where they belong.
fn stream_of(seed: u64, length: usize) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut bytes = vec![0; length];
    rng.fill(&mut bytes[..]);
    bytes
}

/// Writes in pieces of all sizes and ends its direction.
fn write(mut to: OwnedWriteHalf, bytes: Vec<u8>, seed: u64) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let most = 1 << rng.random_range(0..18);
            let piece = rng.random_range(1..=most).min(rest.len());
            to.write_all(&rest[..piece]).await.unwrap();
            rest = &rest[piece..];
            if rng.random_ratio(1, 8) {
                tokio::task::yield_now().await;
            }
        }
        to.shutdown().await.unwrap();
    })
}

fn read(mut from: OwnedReadHalf) -> JoinHandle<Vec<u8>> {
    tokio::spawn(async move {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).await.unwrap();
        bytes
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn they_pass_unchanged_in_both_directions_at_once() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let bench = Bench::start(&upstream);
        for seed in 0..8 {
            let (client, comer) = bench.connect(&mut upstream).await;
            let (there, back) = (stream_of(seed, 3 * MIB), stream_of(!seed, 2 * MIB));
            let (client_reads, client_writes) = client.into_split();
            let (k3s_reads, k3s_writes) = comer.stream.into_split();
            let writers = [
                write(client_writes, there.clone(), seed),
                write(k3s_writes, back.clone(), seed + 100),
            ];
            let (at_k3s, at_client) = (read(k3s_reads), read(client_reads));
            assert!(at_k3s.await.unwrap() == there, "seed {seed}");
            assert!(at_client.await.unwrap() == back, "seed {seed}");
            for writer in writers {
                writer.await.unwrap();
            }
            bench.until_open(0).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_hello_in_pieces_and_what_comes_with_its_end_arrive_whole() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let bench = Bench::start(&upstream);
        for cut in 1..HELLO.len() {
            let mut client = bench.knock().await;
            client.write_all(&HELLO[..cut]).await.unwrap();
            tokio::task::yield_now().await;
            let mut rest = HELLO[cut..].to_vec();
            rest.extend(b"early data");
            client.write_all(&rest).await.unwrap();
            let mut comer = upstream.next().await;
            let early = crate::bench::read(&mut comer.stream, 10).await;
            assert_eq!(early, b"early data");
        }
    })
    .await;
}

#[tokio::test]
async fn the_longest_hello_passes() {
    bounded(async {
        let upstream = Upstream::start().await;
        let bench = Bench::start(&upstream);
        upstream.echo();
        let mut hello = vec![22, 3, 1, 0x40, 0];
        hello.extend(stream_of(1, 1 << 14));
        let mut client = bench.knock().await;
        echoed(&mut client, &hello).await;
    })
    .await;
}
