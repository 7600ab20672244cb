//! The end of a server: what is in flight ends well, and nothing stays behind.
// A test's future is polled where it stands, whatever its size.
#![allow(clippy::large_futures)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::get as get_route;
use common::{Fixture, bounded, get, short_limits, start, until};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prometheus_client::registry::Registry;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use webhook_server::{
    Health, Limits, ServeError, ServerConfig, ServerMetrics, Transport, operations, serve,
};

/// Counts handlers that run, by their futures that are not dropped yet.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn start_slow(gate: &Arc<Notify>, running: &Arc<AtomicUsize>) -> Fixture {
    let (gate, running) = (Arc::clone(gate), Arc::clone(running));
    start(false, short_limits(), |_| {
        let slow = get_route(move || async move {
            let _running = Running::new(&running);
            gate.notified().await;
            "done"
        });
        Router::new().route("/slow", slow)
    })
    .await
}

#[tokio::test]
async fn requests_in_flight_end_and_the_port_is_free_at_once() {
    bounded(async {
        let (gate, running) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let mut server = start_slow(&gate, &running).await;
        let client = server.client();
        let idle = server.connect(&client).await.unwrap();
        let asking = server.ask(&client, get("/slow"));
        let stopping = async {
            until("it runs", || running.load(Ordering::SeqCst) == 1).await;
            server.shutdown.cancel();
            let mut refused = false;
            for _ in 0..200 {
                refused = TcpStream::connect(server.serving.address).await.is_err();
                if refused {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            assert!(refused, "the port is closed while a request is in flight");
            gate.notify_one();
        };
        let (answer, ()) = tokio::join!(asking, stopping);
        assert!(answer.unwrap().ends_with("done"));
        drop(idle);
        (&mut server.serving.task).await.unwrap();
        let again = tokio::net::TcpListener::bind(server.serving.address).await;
        assert!(again.is_ok());
    })
    .await;
}

#[tokio::test]
async fn what_does_not_end_is_cut_off_http_2_streams_too() {
    bounded(async {
        let (gate, running) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let mut server = start_slow(&gate, &running).await;
        let client = server.client();
        let h1 = server.ask(&client, get("/slow"));
        let stream = server
            .connect(&server.client().with_alpn(&[b"h2"]))
            .await
            .unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        let connection = tokio::spawn(connection);
        let request = http::Request::get("https://localhost/slow")
            .body(http_body_util::Empty::<Bytes>::new())
            .unwrap();
        let h2 = sender.send_request(request);
        let stopping = async {
            until("both run", || running.load(Ordering::SeqCst) == 2).await;
            server.shutdown.cancel();
        };
        let began = Instant::now();
        let (h1, h2, ()) = tokio::join!(h1, h2, stopping);
        assert!(!h1.unwrap_or_default().contains("done"));
        assert!(h2.is_err());
        (&mut server.serving.task).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(8));
        assert_eq!(running.load(Ordering::SeqCst), 0, "no handler is left");
        assert!(
            server
                .rendered_metrics()
                .contains("k3s_daas_http_connections{listener=\"test\"} 0")
        );
        let _ = connection.await;
    })
    .await;
}

#[tokio::test]
async fn an_aborted_server_leaves_nothing_behind_either() {
    bounded(async {
        let (gate, running) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let server = start_slow(&gate, &running).await;
        let client = server.client();
        let asking = server.ask(&client, get("/slow"));
        let stopping = async {
            until("it runs", || running.load(Ordering::SeqCst) == 1).await;
            server.serving.task.abort();
        };
        let (answer, ()) = tokio::join!(asking, stopping);
        assert!(!answer.unwrap_or_default().contains("done"));
        until("it is gone", || running.load(Ordering::SeqCst) == 0).await;
        until("the port is free", || {
            std::net::TcpListener::bind(server.serving.address).is_ok()
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn operations_answer_on_a_plain_listener() {
    bounded(async {
        let mut registry = Registry::default();
        let metrics = ServerMetrics::register(&mut registry);
        let shutdown = CancellationToken::new();
        let config = ServerConfig {
            name: "operations",
            listen: ([127, 0, 0, 1], 0).into(),
            transport: Transport::Plain,
            limits: Limits::default(),
        };
        let router = operations::router(Health::new(), Arc::new(registry));
        let serving = serve(config.clone(), router.clone(), &metrics, shutdown.clone())
            .await
            .unwrap();
        for (path, expected) in [
            ("/healthz", "ok"),
            ("/readyz?verbose", "readyz check passed"),
            (
                "/metrics",
                "k3s_daas_http_connections{listener=\"operations\"} 1",
            ),
        ] {
            let mut stream = TcpStream::connect(serving.address).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, get(path).as_bytes())
                .await
                .unwrap();
            let answer = common::read_all(&mut stream).await.unwrap();
            assert!(answer.contains(expected), "{answer}");
        }
        let taken = ServerConfig {
            listen: serving.address,
            ..config
        };
        let refused = serve(taken, router, &metrics, shutdown.clone()).await;
        assert!(matches!(refused, Err(ServeError::Bind { .. })));
        shutdown.cancel();
        serving.task.await.unwrap();
    })
    .await;
}
