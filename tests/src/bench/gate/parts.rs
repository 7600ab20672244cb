//! The parts that have a process of their own: the gate, and what it stands in front of.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use api_gate::{Door, Gate, GateMetrics, GateSettings, Limits, Nobody};
use axum::{Router, routing::get};
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{client, pki};
use crate::bench::ours::bare_tls;
use crate::bench::process::until_stdin_ends;

/// What is written at once to a stream.
const CHUNK: usize = 64 * 1024;

/// `bench gate-part gate UPSTREAM`, `… objects FOLDER`, `… stream FOLDER`, `… echo`: prints where it
/// listens, and serves there until its starter ends.
pub async fn serve(arguments: &[String]) -> anyhow::Result<()> {
    let (what, argument) = match arguments {
        [what] => (what, ""),
        [what, argument] => (what, argument.as_str()),
        _ => bail!("give a part and its argument"),
    };
    let folder = Path::new(argument);
    match what.as_str() {
        "gate" => gate(argument.parse()?).await,
        "objects" => objects(folder).await,
        "stream" => stream(folder).await,
        "echo" => echo().await,
        other => bail!("there is no part {other}"),
    }
}

/// The gate, under which nothing ends, with room for everybody.
async fn gate(upstream: SocketAddr) -> anyhow::Result<()> {
    let limits = Limits {
        max_connections: 1_000_000,
        max_per_peer: 1_000_000,
        new_per_second: 1_000_000,
        ..Limits::default()
    };
    let gate = Gate::new(
        Arc::new(Nobody::default()),
        GateSettings { limits },
        GateMetrics::register(&mut Registry::default()),
    );
    let door = Door {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        upstream,
    };
    let relaying = gate.open(&[door])?;
    println!("{}", relaying.addresses.first().context("no door")?);
    until_stdin_ends().await
}

/// A bare axum + rustls server with one small object.
async fn objects(folder: &Path) -> anyhow::Result<()> {
    let object = client::object();
    let router = Router::new().route(client::OBJECT, get(|| async move { object }));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?.into_std()?;
    let address = listener.local_addr()?;
    let tls = bare_tls(&pki(folder)?)?;
    let tls = RustlsConfig::from_config(Arc::new(tls));
    // As the API server does: else the first answer on a connection waits for a delayed
    // acknowledgement, 40 ms.
    let acceptor = RustlsAcceptor::new(tls).acceptor(NoDelayAcceptor::new());
    let server = axum_server::from_tcp(listener)?.acceptor(acceptor);
    tokio::spawn(server.serve(router.into_make_service()));
    println!("{address}");
    until_stdin_ends().await
}

/// Sends over TLS to whoever comes, for as long as it takes something.
async fn stream(folder: &Path) -> anyhow::Result<()> {
    let tls = TlsAcceptor::from(Arc::new(bare_tls(&pki(folder)?)?));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?);
    let sending = async |client: TcpStream, tls: TlsAcceptor| {
        client.set_nodelay(true)?;
        let mut client = tls.accept(client).await?;
        let chunk = vec![7; CHUNK];
        loop {
            client.write_all(&chunk).await?;
        }
    };
    accepting(listener, move |client| sending(client, tls.clone())).await
}

/// Says back what the client says; no TLS of its own.
async fn echo() -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?);
    let echoing = async |mut client: TcpStream| {
        loop {
            let mut said = [0; 1_024];
            let length = client.read(&mut said).await?;
            if length == 0 {
                return Ok(());
            }
            let said = said.get(..length).unwrap_or_default();
            client.write_all(said).await?;
        }
    };
    accepting(listener, echoing).await
}

/// Serves whoever comes, until this process's starter ends.
async fn accepting<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F) -> anyhow::Result<()>
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let accept = async {
        loop {
            let (client, _) = listener.accept().await?;
            // How it ends is the client's to tell.
            tokio::spawn(serve(client));
        }
    };
    tokio::select! {
        failed = accept => failed,
        ended = until_stdin_ends() => ended,
    }
}
