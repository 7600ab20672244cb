//! Over a real socket: root's own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::Ordering;

use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use webhook_server::{Limits, ServerMetrics, serve_unix};

use crate::fakes::*;
use crate::refusals::until;

fn order(body: &str) -> String {
    format!(
        "POST {STAKING} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn sent(path: &Path, request: &str) -> UnixStream {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn orders_come_over_a_socket_of_its_users_alone() {
    let rig = Rig::with(Some(figures()), true, 1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("worker.sock");
    let shutdown = CancellationToken::new();
    let metrics = ServerMetrics::register(&mut Registry::default());
    let router = rig.private.clone();
    let serving = serve_unix(
        "test",
        &path,
        Limits::default(),
        router,
        &metrics,
        shutdown.clone(),
    );
    let serving = serving.await.unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let good = order(&good_stake().to_string());
    let mut told = String::new();
    sent(&path, &good)
        .await
        .read_to_string(&mut told)
        .await
        .unwrap();
    assert!(told.starts_with("HTTP/1.1 200 "), "{told}");
    assert!(told.contains(&"11".repeat(32)), "{told}");

    // The next one hangs up before its order has ended.
    let caller = sent(&path, &good).await;
    until("the second is begun", || rig.work.orders() == 2).await;
    drop(caller);
    rig.work.gate.add_permits(1);
    until("it is ended", || rig.work.ended.load(Ordering::SeqCst) == 2).await;

    let mut told = String::new();
    let long = order(&" ".repeat(5_000));
    sent(&path, &long)
        .await
        .read_to_string(&mut told)
        .await
        .unwrap();
    assert!(told.starts_with("HTTP/1.1 413 "), "{told}");
    shutdown.cancel();
    serving.task.await.unwrap();
    assert!(!path.exists());
}
