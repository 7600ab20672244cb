//! What ten thousand open connections cost while nothing goes over them.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bench::process::{Served, cpu_seconds, resident};
use crate::bench::report::Report;

/// In all. Each takes two files of a gate, and a process may have as few as 20,000.
const CONNECTIONS: usize = 10_000;
const GATES: usize = 2;
/// Dialled at once.
const DIALLING: usize = 64;
/// For how long nothing is said.
const IDLE: Duration = Duration::from_secs(10);
/// As long as the ClientHello of a common client.
const HELLO: usize = 512;

/// Measures and reports.
pub(super) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let server = Served::spawn(&["gate-part", "echo"]).await?;
    let upstream = server.address.to_string();
    let mut gates = Vec::new();
    for _ in 0..GATES {
        gates.push(Served::spawn(&["gate-part", "gate", &upstream]).await?);
    }
    // What comes with the first connections is no connection's.
    for gate in &gates {
        drop(opened(gate).await?);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = memory(&gates)?;
    let connections: Vec<TcpStream> = stream::iter(0..CONNECTIONS)
        .map(|n| opened(&gates[n % GATES]))
        .buffer_unordered(DIALLING)
        .try_collect()
        .await
        .context("opening idle connections")?;
    let cpu = processor(&gates)?;
    tokio::time::sleep(IDLE).await;
    let cpu = (processor(&gates)? - cpu) / IDLE.as_secs_f64();
    let each = memory(&gates)?.saturating_sub(before) as f64 / connections.len() as f64;
    report.plain(
        "gate_idle_connections",
        connections.len() as f64,
        "open at once, in two gates",
        "10,000",
        connections.len() == CONNECTIONS,
    );
    report.plain(
        "gate_idle_connection_memory",
        each,
        "bytes of the gate each, without the kernel's",
        "told",
        true,
    );
    report.plain(
        "gate_idle_core_share",
        cpu,
        "cores of the gates while nothing is said",
        "told",
        true,
    );
    // All of them still work.
    for connection in connections.into_iter().step_by(100) {
        said(connection).await?;
    }
    Ok(())
}

/// A connection over which something went both ways.
async fn opened(gate: &Served) -> anyhow::Result<TcpStream> {
    said(TcpStream::connect(gate.address).await?).await
}

/// Says a hello, and hears it said back.
async fn said(mut connection: TcpStream) -> anyhow::Result<TcpStream> {
    let [high, low] = u16::try_from(HELLO)?.to_be_bytes();
    let mut hello = vec![22, 3, 1, high, low];
    hello.resize(5 + HELLO, 1);
    connection.write_all(&hello).await?;
    let mut back = vec![0; hello.len()];
    connection.read_exact(&mut back).await?;
    ensure!(back == hello, "something else came back");
    Ok(connection)
}

fn memory(gates: &[Served]) -> anyhow::Result<u64> {
    gates.iter().map(|gate| resident(gate.id())).sum()
}

fn processor(gates: &[Served]) -> anyhow::Result<f64> {
    gates.iter().map(|gate| cpu_seconds(gate.id())).sum()
}
