//! Each side's end reaches the other as if there were no gate: an end in order of one direction, or
//! a reset.

use std::time::{Duration, Instant};

use api_gate::Target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bench::{Bench, Upstream, bounded, is_reset, read, reset};

async fn ends(stream: &mut TcpStream) {
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_client_that_has_said_all_still_hears_the_answer() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let bench = Bench::start(&upstream);
        let (mut client, mut comer) = bench.connect(&mut upstream).await;
        client.write_all(b"last words").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(read(&mut comer.stream, 10).await, b"last words");
        ends(&mut comer.stream).await;
        for _ in 0..3 {
            comer.stream.write_all(b"answer").await.unwrap();
            assert_eq!(read(&mut client, 6).await, b"answer");
        }
        assert_eq!(bench.gate.connections().len(), 1);
        drop(comer);
        ends(&mut client).await;
        bench.until_open(0).await;
    })
    .await;
}

#[tokio::test]
async fn k3s_that_has_said_all_still_hears_the_client() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let bench = Bench::start(&upstream);
        let (mut client, mut comer) = bench.connect(&mut upstream).await;
        comer.stream.shutdown().await.unwrap();
        ends(&mut client).await;
        client.write_all(b"go on").await.unwrap();
        assert_eq!(read(&mut comer.stream, 5).await, b"go on");
        drop(client);
        ends(&mut comer.stream).await;
        bench.until_open(0).await;
    })
    .await;
}

#[tokio::test]
async fn a_reset_of_one_side_resets_the_other() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let bench = Bench::start(&upstream);
        let (client, mut comer) = bench.connect(&mut upstream).await;
        reset(client);
        assert!(is_reset(&mut comer.stream).await);
        let (mut client, comer) = bench.connect(&mut upstream).await;
        reset(comer.stream);
        assert!(is_reset(&mut client).await);
        bench.until_open(0).await;
    })
    .await;
}

#[tokio::test]
async fn a_reset_after_the_end_of_its_own_direction_is_passed_on() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let bench = Bench::start(&upstream);
        let (mut client, mut comer) = bench.connect(&mut upstream).await;
        client.shutdown().await.unwrap();
        ends(&mut comer.stream).await;
        reset(client);
        // Nothing is sent to the client, and yet it is known to be gone.
        bench.until_open(0).await;
        assert!(comer.stream.write_all(b"anybody there?").await.is_err());

        let (mut client, mut comer) = bench.connect(&mut upstream).await;
        comer.stream.shutdown().await.unwrap();
        ends(&mut client).await;
        reset(comer.stream);
        bench.until_open(0).await;
        assert!(client.write_all(b"anybody there?").await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_writer_that_breaks_off_while_nobody_reads_is_seen() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let bench = Bench::start(&upstream);
        let (client, mut comer) = bench.connect(&mut upstream).await;
        fill(&client).await;
        reset(client);
        bench.until_open(0).await;
        assert!(is_reset(&mut comer.stream).await);
    })
    .await;
}

#[tokio::test]
async fn who_is_disconnected_is_reset_at_once_even_if_nobody_reads() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let bench = Bench::start(&upstream);
        let (mut client, mut comer) = bench.connect(&mut upstream).await;
        let (mut other, mut far) = bench.connect(&mut upstream).await;
        fill(&client).await;
        fill(&comer.stream).await;
        let source = comer.from.ip();
        seen(&bench, &source.to_string(), "system:node:worker-1").await;
        let target: Target = "worker-1".parse().unwrap();
        let done = bench.gate.disconnect(&target);
        // The other one came from the same address, and nobody was seen on it.
        assert_eq!(done.closed, 2);
        for stream in [&mut client, &mut comer.stream, &mut other, &mut far.stream] {
            assert!(is_reset(stream).await);
        }
        bench.until_open(0).await;
        let closed = bench.metric("k3s_daas_gate_closed_total{reason=\"by_hand\"}");
        assert_eq!(closed, 2);
    })
    .await;
}

#[tokio::test]
async fn a_k3s_that_is_not_there_resets_the_client_and_later_ones_are_served() {
    bounded(async {
        let upstream = Upstream::start().await;
        let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = nobody.local_addr().unwrap();
        drop(nobody);
        let bench = Bench::before(&["127.0.0.1:0"], address, api_gate::Limits::default());
        let mut client = bench.knock().await;
        client.write_all(&crate::bench::HELLO).await.unwrap();
        assert!(is_reset(&mut client).await);
        crate::bench::until(|| bench.refused("upstream") == 1).await;
        bench.until_open(0).await;
        drop(upstream);
        let back = tokio::net::TcpListener::bind(address).await.unwrap();
        let mut client = bench.knock().await;
        client.write_all(&crate::bench::HELLO).await.unwrap();
        let (mut stream, _) = back.accept().await.unwrap();
        assert_eq!(
            read(&mut stream, crate::bench::HELLO.len()).await,
            crate::bench::HELLO
        );
        stream.write_all(&[1, 2, 3]).await.unwrap();
        assert_eq!(read(&mut client, 3).await, [1, 2, 3]);
    })
    .await;
}

#[tokio::test]
async fn small_pieces_go_at_once() {
    bounded(async {
        let mut upstream = Upstream::start().await;
        let bench = Bench::start(&upstream);
        let (mut client, mut comer) = bench.connect(&mut upstream).await;
        let begin = Instant::now();
        for _ in 0..200 {
            for piece in [b"a", b"b"] {
                client.write_all(piece).await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(read(&mut comer.stream, 2).await, b"ab");
            comer.stream.write_all(b"c").await.unwrap();
            assert_eq!(read(&mut client, 1).await, b"c");
        }
        // Where a second piece waits for the acknowledgement of the first, it is 40 ms a turn.
        assert!(begin.elapsed() < Duration::from_secs(6));
    })
    .await;
}

/// Writes until nothing more is taken.
async fn fill(stream: &TcpStream) {
    let piece = vec![0; 64 * 1024];
    let patience = Duration::from_millis(500);
    while tokio::time::timeout(patience, stream.writable())
        .await
        .is_ok()
    {
        // Full, or not: the next look tells.
        let _ = stream.try_write(&piece);
    }
}

/// Tells the gate by an audit event that a user is on the connection from this address.
async fn seen(bench: &Bench, source: &str, user: &str) {
    use tower::ServiceExt;
    let event = format!(
        r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{{
            "level":"Metadata","auditID":"1","stage":"ResponseStarted","requestURI":"/x",
            "verb":"watch","user":{{"username":"{user}","groups":["system:nodes"]}},
            "sourceIPs":["{source}"],
            "requestReceivedTimestamp":"2026-11-23T08:00:00.000000Z",
            "stageTimestamp":"2026-11-23T08:00:00.000000Z",
            "annotations":{{"authorization.k8s.io/decision":"allow"}}}}]}}"#
    );
    let request = axum::http::Request::post("/audit")
        .header("content-type", "application/json")
        .body(axum::body::Body::from(event))
        .unwrap();
    let answer = bench.gate.router().oneshot(request).await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
    let is_seen = |view: &api_gate::ConnectionView| !view.users.is_empty();
    crate::bench::until(|| bench.gate.connections().iter().any(is_seen)).await;
}
