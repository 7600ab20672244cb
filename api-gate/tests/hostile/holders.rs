//! Who holds what it can: seats without a word, sockets that nobody reads.

use std::time::Duration;

use api_gate::Limits;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::bench::{Bench, HELLO, Upstream, bounded, echoed, is_reset, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_silent_ones_takes_one_peer_s_share_and_ends() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let limits = Limits {
            max_per_peer: 100,
            new_per_second: 100_000,
            hello_timeout: Duration::from_secs(2),
            ..Limits::default()
        };
        let doors = ["127.0.0.1:0", "[::1]:0"];
        let bench = Bench::before(&doors, upstream.address, limits);
        let mut silent = Vec::new();
        for _ in 0..500 {
            // Who is sent away may know it before it knows that it was connected.
            silent.extend(TcpStream::connect(bench.address()).await.ok());
        }
        until(|| bench.refused("peer") == 400).await;
        // Another peer finds its way in meanwhile.
        let mut other = TcpStream::connect(bench.relaying.addresses[1])
            .await
            .unwrap();
        other.write_all(&HELLO).await.unwrap();
        upstream.next().await;
        for client in &mut silent {
            assert!(is_reset(client).await);
        }
        assert_eq!(bench.refused("silent"), 100);
        bench.connect(&mut upstream).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_never_read_hold_up_nobody_else() {
    bounded(async {
        let upstream = Upstream::start().await;
        let bench = Bench::start(&upstream);
        upstream.echo();
        let mut deaf = Vec::new();
        for _ in 0..8 {
            let mut client = bench.knock().await;
            client.write_all(&HELLO).await.unwrap();
            let piece = vec![0; 64 * 1024];
            let patience = Duration::from_millis(200);
            // Until its own echo stands in its way.
            while tokio::time::timeout(patience, client.write(&piece))
                .await
                .is_ok()
            {}
            deaf.push(client);
        }
        let mut client = bench.knock().await;
        echoed(&mut client, &HELLO).await;
        for turn in 0..100_u8 {
            echoed(&mut client, &[turn]).await;
        }
        drop(deaf);
        bench.until_open(1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_k3s_that_reads_nothing_is_given_up_by_its_clients_alone() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let bench = Bench::start(&upstream);
        let (mut client, far) = bench.connect(&mut upstream).await;
        let piece = vec![0; 64 * 1024];
        let patience = Duration::from_millis(200);
        while tokio::time::timeout(patience, client.write(&piece))
            .await
            .is_ok()
        {}
        assert_eq!(bench.gate.connections().len(), 1);
        drop(far);
        // What it had not read makes its end a reset.
        assert!(is_reset(&mut client).await);
        bench.until_open(0).await;
    })
    .await;
}
