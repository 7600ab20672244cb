//! The gate's own end.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bench::{Bench, Upstream, bounded, is_reset, read, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_closes_the_doors_lets_who_is_in_end_and_cuts_off_the_rest() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let bench = Bench::start(&upstream);
        let address = bench.address();
        let (mut ending, mut far) = bench.connect(&mut upstream).await;
        let (mut staying, mut far_staying) = bench.connect(&mut upstream).await;
        let mut silent = bench.knock().await;
        until(|| bench.metric("k3s_daas_gate_accepted_total") == 3).await;
        let gate = bench.gate.clone();
        let stopped = tokio::spawn(bench.relaying.stop());
        loop {
            match TcpStream::connect(address).await {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => break,
                // It came before, and is reset.
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
        // What goes on ends in order.
        ending.write_all(b"bye").await.unwrap();
        ending.shutdown().await.unwrap();
        assert_eq!(read(&mut far.stream, 3).await, b"bye");
        drop(far);
        assert_eq!(ending.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(!stopped.is_finished());
        stopped.await.unwrap();
        assert!(is_reset(&mut staying).await);
        assert!(is_reset(&mut far_staying.stream).await);
        assert!(is_reset(&mut silent).await);
        assert!(gate.connections().is_empty());
        // The address is free again.
        drop(tokio::net::TcpListener::bind(address).await.unwrap());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_with_nobody_in_waits_for_nothing() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let bench = Bench::start(&upstream);
        let begin = Instant::now();
        let (client, comer) = bench.connect(&mut upstream).await;
        drop((client, comer));
        bench.until_open(0).await;
        bench.relaying.stop().await;
        assert!(begin.elapsed() < Duration::from_secs(30));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_ends_all_at_once() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let bench = Bench::start(&upstream);
        let (mut client, mut far) = bench.connect(&mut upstream).await;
        let mut silent = bench.knock().await;
        until(|| bench.metric("k3s_daas_gate_accepted_total") == 2).await;
        let (gate, address) = (bench.gate.clone(), bench.address());
        drop(bench);
        assert!(gate.connections().is_empty());
        assert!(is_reset(&mut client).await);
        assert!(is_reset(&mut far.stream).await);
        assert!(is_reset(&mut silent).await);
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        // A second relay of the same gate, at the same address.
        let door = api_gate::Door {
            listen: address,
            upstream: upstream.address,
        };
        let again = gate.open(&[door]).unwrap();
        assert_eq!(again.addresses, [address]);
    })
    .await;
}
