//! Slow, large, broken and too many: nothing of it holds the server up.
// A test's future is polled where it stands, whatever its size.
#![allow(clippy::large_futures)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get as get_route, post};
use common::{bounded, get, read_all, short_limits, start, until};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use webhook_server::{GroupLimits, Limits, RouteGroup, ServerMetrics};

fn group(metrics: &ServerMetrics, name: &'static str, max_in_flight: usize) -> RouteGroup {
    let limits = GroupLimits {
        max_in_flight,
        deadline: Duration::from_millis(400),
        max_body: 64,
    };
    RouteGroup::new(name, limits, metrics)
}

fn echo(metrics: &ServerMetrics) -> Router {
    let routes = Router::new()
        .route("/echo", post(|body: Bytes| async move { body }))
        .route("/hello", get_route(|| async { "hello" }));
    group(metrics, "echo", 8).wrap(routes)
}

fn post_text(body: &str) -> String {
    format!(
        "POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn a_body_over_the_limit_is_answered_413_with_or_without_a_length() {
    bounded(async {
        let server = start(false, short_limits(), echo).await;
        let client = server.client();
        let fits = server.ask(&client, &post_text(&"a".repeat(64))).await.unwrap();
        assert!(fits.starts_with("HTTP/1.1 200"), "{fits}");
        let announced = server.ask(&client, &post_text(&"a".repeat(65))).await.unwrap();
        assert!(announced.starts_with("HTTP/1.1 413"), "{announced}");
        assert!(announced.contains("RequestEntityTooLarge"), "{announced}");

        let chunk = format!("20\r\n{}\r\n", "a".repeat(32));
        let chunked = format!(
            "POST /echo HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
            chunk.repeat(3)
        );
        let streamed = server.ask(&client, &chunked).await.unwrap();
        assert!(streamed.starts_with("HTTP/1.1 413"), "{streamed}");
    })
    .await;
}

#[tokio::test]
async fn slow_clients_are_cut_off() {
    bounded(async {
        let server = start(false, short_limits(), echo).await;
        let client = server.client();

        let mut silent_tcp = TcpStream::connect(server.serving.address).await.unwrap();
        let mut silent_tls = server.connect(&client).await.unwrap();
        let mut slow_head = server.connect(&client).await.unwrap();
        let mut slow_body = server.connect(&client).await.unwrap();
        slow_body
            .write_all(b"POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n1")
            .await
            .unwrap();
        // One byte at a time does not buy more time.
        let (mut reader, mut writer) = tokio::io::split(&mut slow_head);
        let dribble = async {
            loop {
                if writer.write_all(b"G").await.is_err() || writer.flush().await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let mut end = Vec::new();
        tokio::select! {
            () = dribble => {}
            _ = reader.read_to_end(&mut end) => {}
        }
        let mut end = Vec::new();
        let _ = silent_tcp.read_to_end(&mut end).await;
        assert!(end.is_empty());
        let _ = silent_tls.read_to_end(&mut end).await;
        let answer = read_all(&mut slow_body).await.unwrap_or_default();
        assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
        until("all are gone", || {
            let metrics = server.rendered_metrics();
            metrics.contains("k3s_daas_http_connections{listener=\"test\"} 0")
                && metrics.contains("{listener=\"test\",outcome=\"timed_out\"} 1")
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn an_idle_http_2_connection_is_closed() {
    bounded(async {
        let server = start(false, short_limits(), echo).await;
        let client = server.client().with_alpn(&[b"h2"]);
        let stream = server.connect(&client).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        let connection = tokio::spawn(connection);
        let request = http::Request::get("https://localhost/hello")
            .body(http_body_util::Empty::<Bytes>::new())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&body[..], b"hello");
        // The server says goodbye; `sender` alone would keep the connection open.
        connection.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn garbage_hurts_nobody() {
    bounded(async {
        let server = start(false, short_limits(), echo).await;
        let client = server.client();
        for garbage in [
            b"\0\0\0\0\0\0".as_slice(),
            b"GET / HTTP/1.1\r\nhost: a\r\nx\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
        ] {
            let mut plain = TcpStream::connect(server.serving.address).await.unwrap();
            plain.write_all(garbage).await.unwrap();
            let mut end = Vec::new();
            let _ = plain.read_to_end(&mut end).await;

            let mut inside = server.connect(&client).await.unwrap();
            inside.write_all(garbage).await.unwrap();
            let answer = read_all(&mut inside).await.unwrap_or_default();
            assert!(!answer.contains(" 200 "), "{answer}");
        }
        let head = format!(
            "GET /hello HTTP/1.1\r\nx: {}\r\n\r\n",
            "a".repeat(64 * 1024)
        );
        let answer = server.ask(&client, &head).await.unwrap_or_default();
        assert!(!answer.contains(" 200 "), "{answer}");
        let answer = server.ask(&client, get("/hello")).await.unwrap();
        assert!(answer.ends_with("hello"));
        for (path, code) in [("/nothing", "404"), ("/echo", "405")] {
            let answer = server.ask(&client, get(path)).await.unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{answer}");
            assert!(answer.contains("\"kind\":\"Status\""), "{answer}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_full_group_answers_429_and_the_other_goes_on() {
    bounded(async {
        let gate = Arc::new(Notify::new());
        let waiting = Arc::clone(&gate);
        let server = start(false, short_limits(), |metrics| {
            let slow = get_route(move || async move { waiting.notified().await });
            let general = GroupLimits {
                max_in_flight: 1,
                ..GroupLimits::general()
            };
            let general = RouteGroup::new("general", general, metrics)
                .wrap(Router::new().route("/slow", slow));
            general.merge(echo(metrics))
        })
        .await;
        let client = server.client();
        let first = server.ask(&client, get("/slow"));
        let others = async {
            until("the place is taken", || {
                server
                    .rendered_metrics()
                    .contains("requests_in_flight{group=\"general\"} 1")
            })
            .await;
            let refused = server.ask(&client, get("/slow")).await.unwrap();
            assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
            assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
            let reviews = server.ask(&client, get("/hello")).await.unwrap();
            assert!(reviews.ends_with("hello"));
            gate.notify_one();
        };
        let (first, ()) = tokio::join!(first, others);
        assert!(first.unwrap().starts_with("HTTP/1.1 200"));
    })
    .await;
}

#[tokio::test]
async fn no_more_connections_are_open_than_allowed() {
    bounded(async {
        let limits = Limits {
            max_connections: 2,
            header_read_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(20),
            ..short_limits()
        };
        let server = start(false, limits, echo).await;
        let client = server.client();
        let first = server.connect(&client).await.unwrap();
        let _second = server.connect(&client).await.unwrap();
        let waits = server.ask(&client, get("/hello"));
        tokio::pin!(waits);
        let early = tokio::time::timeout(Duration::from_millis(200), waits.as_mut()).await;
        assert!(early.is_err(), "no place yet");
        assert!(
            server
                .rendered_metrics()
                .contains("k3s_daas_http_connections{listener=\"test\"} 2")
        );
        drop(first);
        assert!(waits.await.unwrap().ends_with("hello"));
    })
    .await;
}
