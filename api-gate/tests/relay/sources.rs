//! K3s sees each connection from an address of its own, and the gate tells whose it is.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use api_gate::{Door, Gate, GateError, Limits};
use tokio::io::AsyncWriteExt;

use crate::bench::{Bench, HELLO, Upstream, bounded, knock, read};

#[tokio::test]
async fn each_connection_has_an_address_of_its_own_that_names_its_client() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let bench = Bench::start(&upstream);
        let mut seen = HashSet::new();
        let mut open = Vec::new();
        for turn in 0..150 {
            let (client, comer) = bench.connect(&mut upstream).await;
            let IpAddr::V4(source) = comer.from.ip() else {
                panic!("{}", comer.from);
            };
            let first = Ipv4Addr::new(127, 1, 0, 0);
            assert!((first..=Ipv4Addr::new(127, 250, 255, 255)).contains(&source));
            assert!(seen.insert(source), "{source} twice");
            let views = bench.gate.connections();
            let view = views.iter().find(|view| view.source == source).unwrap();
            assert_eq!(view.peer, client.local_addr().unwrap());
            assert_eq!(view.door, bench.address());
            // Some end at once: their addresses are not given again.
            if turn % 3 > 0 {
                open.push((client, comer));
            }
        }
        bench.until_open(open.len()).await;
    })
    .await;
}

#[tokio::test]
async fn who_comes_by_ipv6_is_served_and_shown_as_such() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let doors = ["[::1]:0", "127.0.0.1:0"];
        let bench = Bench::before(&doors, upstream.address, Limits::default());
        let (mut client, mut comer) = bench.connect(&mut upstream).await;
        assert!(comer.from.is_ipv4());
        let peer = bench.gate.connections()[0].peer;
        assert_eq!(peer, client.local_addr().unwrap());
        assert!(peer.is_ipv6());
        comer.stream.write_all(b"six").await.unwrap();
        assert_eq!(read(&mut client, 3).await, b"six");
        let mut four = knock(bench.relaying.addresses[1]).await;
        four.write_all(&HELLO).await.unwrap();
        upstream.next().await;
    })
    .await;
}

#[tokio::test]
async fn doors_that_can_t_be_opened_are_named() {
    let upstream = Upstream::start().await;
    let bench = Bench::start(&upstream);
    let open = |listen, upstream| {
        let gate: &Gate = &bench.gate;
        gate.open(&[Door { listen, upstream }])
    };
    let taken = open(bench.address(), upstream.address).unwrap_err();
    assert!(matches!(taken, GateError::Bind { address, .. } if address == bench.address()));
    let free = "127.0.0.1:0".parse().unwrap();
    for outside in ["192.0.2.1:6443", "[::1]:6443"] {
        let outside = outside.parse().unwrap();
        let refused = open(free, outside).unwrap_err();
        assert!(matches!(refused, GateError::Upstream { upstream } if upstream == outside));
    }
}
