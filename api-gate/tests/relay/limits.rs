//! Who comes too often is reset before anything is read, and who is in stays.

use api_gate::{GateSettings, Limits};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::bench::{Bench, Comer, HELLO, Upstream, bounded, is_sent_away, knock, read, until};

async fn works(client: &mut TcpStream, comer: &mut Comer) {
    client.write_all(b"still").await.unwrap();
    assert_eq!(read(&mut comer.stream, 5).await, b"still");
}

#[tokio::test]
async fn a_peer_has_its_share_and_gets_it_back() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let limits = Limits {
            max_per_peer: 3,
            ..Limits::default()
        };
        let doors = ["127.0.0.1:0", "[::1]:0"];
        let bench = Bench::before(&doors, upstream.address, limits.clone());
        let (mut first, mut far) = bench.connect(&mut upstream).await;
        let second = bench.connect(&mut upstream).await;
        // One that has not spoken counts too.
        let _third = bench.knock().await;
        assert!(is_sent_away(bench.address()).await);
        assert_eq!(bench.refused("peer"), 1);
        works(&mut first, &mut far).await;
        // Another peer is let in.
        let mut other = knock(bench.relaying.addresses[1]).await;
        other.write_all(&HELLO).await.unwrap();
        upstream.next().await;
        drop(second);
        // The first one and the other peer.
        bench.until_open(2).await;
        let (mut again, mut far_again) = bench.connect(&mut upstream).await;
        works(&mut again, &mut far_again).await;
        // A lower limit sends nobody away who is in.
        bench.gate.replace_settings(GateSettings {
            limits: Limits {
                max_per_peer: 1,
                ..limits
            },
        });
        assert!(is_sent_away(bench.address()).await);
        works(&mut first, &mut far).await;
        works(&mut again, &mut far_again).await;
    })
    .await;
}

#[tokio::test]
async fn new_ones_come_at_their_rate() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let limits = Limits {
            new_per_second: 1,
            ..Limits::default()
        };
        let bench = Bench::with(&upstream, limits);
        let (mut first, mut far) = bench.connect(&mut upstream).await;
        // Where the machine stood still for a second, one of them is let in.
        let mut come = Vec::new();
        while bench.refused("rate") == 0 {
            come.push(TcpStream::connect(bench.address()).await);
        }
        drop(come);
        works(&mut first, &mut far).await;
        tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
        let (mut second, mut far) = bench.connect(&mut upstream).await;
        works(&mut second, &mut far).await;
    })
    .await;
}

#[tokio::test]
async fn a_full_gate_says_so_and_serves_who_is_in() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let limits = Limits {
            max_connections: 2,
            ..Limits::default()
        };
        let bench = Bench::with(&upstream, limits);
        let (mut first, mut far) = bench.connect(&mut upstream).await;
        assert!(!bench.gate.is_full());
        let second = bench.knock().await;
        until(|| bench.gate.is_full()).await;
        assert!(is_sent_away(bench.address()).await);
        assert_eq!(bench.refused("full"), 1);
        works(&mut first, &mut far).await;
        drop(second);
        until(|| !bench.gate.is_full()).await;
        bench.connect(&mut upstream).await;
    })
    .await;
}
