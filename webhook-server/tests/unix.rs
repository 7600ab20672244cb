//! Listeners on Unix sockets.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use webhook_server::{Limits, ServerMetrics, UnixError, UnixServing, serve_unix};

async fn started(path: &Path, shutdown: &CancellationToken) -> Result<UnixServing, UnixError> {
    let metrics = ServerMetrics::register(&mut Registry::default());
    let router = Router::new().route("/", get(|| async { "here" }));
    let limits = Limits {
        drain: Duration::from_millis(200),
        ..Limits::default()
    };
    serve_unix("test", path, limits, router, &metrics, shutdown.clone()).await
}

async fn ask(path: &Path) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(path).await?;
    let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn private_folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn answers_its_user_alone_and_leaves_nothing_behind() {
    let folder = private_folder();
    let path = folder.path().join("s.sock");
    let shutdown = CancellationToken::new();
    let serving = started(&path, &shutdown).await.unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(ask(&path).await.unwrap().ends_with("here"));
    shutdown.cancel();
    serving.task.await.unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_socket_that_was_left_is_replaced_and_one_that_answers_is_not() {
    let folder = private_folder();
    let path = folder.path().join("s.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let shutdown = CancellationToken::new();
    let _serving = started(&path, &shutdown).await.unwrap();
    let second = started(&path, &shutdown).await.unwrap_err();
    assert!(matches!(second, UnixError::Taken(_)), "{second}");
    assert!(ask(&path).await.unwrap().ends_with("here"));
}

#[tokio::test]
async fn what_is_no_socket_stays() {
    let folder = private_folder();
    let path = folder.path().join("s.sock");
    std::fs::write(&path, "precious").unwrap();
    let refused = started(&path, &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(refused, UnixError::NoSocket(_)), "{refused}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn a_folder_that_others_may_write_to_is_refused() {
    let folder = private_folder();
    let open = folder.path().join("open");
    std::fs::create_dir(&open).unwrap();
    let path = open.join("s.sock");
    for mode in [0o777, 0o770, 0o702, 0o1777] {
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(mode)).unwrap();
        let refused = started(&path, &CancellationToken::new()).await.unwrap_err();
        assert!(
            matches!(refused, UnixError::OpenFolder(_)),
            "{mode:o}: {refused}"
        );
    }
    assert_eq!(std::fs::read_dir(&open).unwrap().count(), 0);
}

#[tokio::test]
async fn a_successor_s_socket_is_left_alone() {
    let folder = private_folder();
    let path = folder.path().join("s.sock");
    let shutdown = CancellationToken::new();
    let serving = started(&path, &shutdown).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let _theirs = std::os::unix::net::UnixListener::bind(&path).unwrap();
    shutdown.cancel();
    serving.task.await.unwrap();
    assert!(path.exists());
}

#[tokio::test]
async fn a_path_that_is_too_long_is_said_to_be() {
    let folder = private_folder();
    let path = folder.path().join("a".repeat(120));
    let refused = started(&path, &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(refused, UnixError::TooLong(_)), "{refused}");
}
