//! Before the hello is whole nobody gets through to K3s, and nobody has more time than another.

use std::time::Duration;

use api_gate::Limits;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use crate::bench::{Bench, HELLO, Upstream, bounded, is_reset, reset, until};

fn hasty() -> Limits {
    Limits {
        hello_timeout: Duration::from_secs(1),
        ..Limits::default()
    }
}

#[tokio::test]
async fn who_never_speaks_is_reset() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let bench = Bench::with(&upstream, hasty());
        let mut silent = bench.knock().await;
        assert!(is_reset(&mut silent).await);
        assert_eq!(bench.refused("silent"), 1);
        assert!(!upstream.has_more());
        // And who speaks in time stays beyond it.
        let (mut client, _far) = bench.connect(&mut upstream).await;
        let ended = tokio::time::timeout(Duration::from_secs(2), is_reset(&mut client));
        assert!(ended.await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_byte_now_and_then_gains_no_time() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let bench = Bench::with(&upstream, hasty());
        let client = bench.knock().await;
        let (mut from, mut to) = client.into_split();
        let drip = tokio::spawn(async move {
            let mut hello = vec![22, 3, 1, 0x40, 0];
            hello.resize(16_389, 0);
            for (count, byte) in hello.into_iter().enumerate() {
                if to.write_all(&[byte]).await.is_err() {
                    return count;
                }
                sleep(Duration::from_millis(100)).await;
            }
            panic!("heard to the end");
        });
        let mut bytes = [0; 8];
        let ended = tokio::io::AsyncReadExt::read(&mut from, &mut bytes).await;
        assert!(ended.is_err(), "{ended:?}");
        assert!(drip.await.unwrap() < 1_000);
        assert_eq!(bench.refused("silent"), 1);
        assert!(!upstream.has_more());
    })
    .await;
}

#[tokio::test]
async fn nonsense_is_reset_at_its_first_bytes() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        // Nobody waits for a deadline here.
        let limits = Limits {
            hello_timeout: Duration::from_hours(1),
            ..Limits::default()
        };
        let bench = Bench::with(&upstream, limits);
        let nonsense: [&[u8]; 8] = [
            b"G",
            b"GET / HTTP/1.1\r\n\r\n",
            b"SSH-2.0-x\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &[0x80, 0x2e, 1, 3, 1],
            &[22, 2],
            &[22, 3, 1, 0, 3, 1, 0, 0],
            &[22, 3, 3, 0x40, 1],
        ];
        for (turn, bytes) in (1..).zip(nonsense) {
            let mut client = bench.knock().await;
            client.write_all(bytes).await.unwrap();
            assert!(is_reset(&mut client).await, "{bytes:?}");
            until(|| bench.refused("not_tls") == turn).await;
        }
        assert!(!upstream.has_more());
        assert!(bench.gate.connections().is_empty());
    })
    .await;
}

#[tokio::test]
async fn who_goes_away_in_the_middle_leaves_nothing_behind() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let limits = Limits {
            max_connections: 1,
            new_per_second: 10_000,
            hello_timeout: Duration::from_hours(1),
            ..Limits::default()
        };
        let bench = Bench::with(&upstream, limits);
        for cut in 0..HELLO.len() {
            for abruptly in [true, false] {
                let mut client = bench.knock().await;
                client.write_all(&HELLO[..cut]).await.unwrap();
                until(|| bench.gate.is_full()).await;
                if abruptly {
                    reset(client);
                } else {
                    drop(client);
                }
                // The one seat there is comes back.
                until(|| !bench.gate.is_full()).await;
            }
        }
        assert!(!upstream.has_more());
        // After the hello and before K3s has answered anything.
        for _ in 0..20 {
            let (client, mut far) = bench.connect(&mut upstream).await;
            reset(client);
            assert!(is_reset(&mut far.stream).await);
            until(|| !bench.gate.is_full()).await;
        }
        bench.connect(&mut upstream).await;
    })
    .await;
}
