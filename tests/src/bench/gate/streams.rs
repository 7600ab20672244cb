//! Long streams over TLS: as fast as this machine does it, and on links that are slower.

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;

use super::client::{Way, tls_of};
use super::pki;
use crate::bench::process::{Served, cpu_seconds};
use crate::bench::report::Report;

/// Alternating rounds, and how long one lasts.
const ROUNDS: usize = 6;
const ROUND: Duration = Duration::from_secs(2);
/// Streams at once.
const STREAMS: u32 = 4;
const CHUNK: usize = 64 * 1024;
const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// How fast the link of a client is, all its streams together; in bytes a second.
#[derive(Clone, Copy)]
struct Link(Option<f64>);

const GIGABIT: f64 = 1e9 / 8.0;

/// Measures and reports.
pub(super) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ca = pki(folder.path())?.ca;
    let [part, what] = ["gate-part", "stream"].map(OsStr::new);
    let server = Served::spawn(&[part, what, folder.path().as_os_str()]).await?;
    let upstream = server.address.to_string();
    let gate = Served::spawn(&["gate-part", "gate", &upstream]).await?;
    let direct = Way {
        address: server.address,
        tls: tls_of(&ca, &[])?,
        path: String::new(),
        token: None,
    };
    let through = direct.at(gate.address);
    for (name, link) in [
        ("gate_stream_loopback", Link(None)),
        ("gate_stream_10_gbit", Link(Some(10.0 * GIGABIT))),
        ("gate_stream_1_gbit", Link(Some(GIGABIT))),
    ] {
        let mut rates = [0.0, 0.0];
        let (mut cpu, mut bytes) = (0.0, 0.0);
        for round in 0..ROUNDS {
            for which in [round % 2, (round + 1) % 2] {
                let before = cpu_seconds(gate.id())?;
                let rate = rate([&direct, &through][which], link).await?;
                rates[which] += rate / ROUNDS as f64;
                if which == 1 {
                    cpu += cpu_seconds(gate.id())? - before;
                    bytes += rate * ROUND.as_secs_f64();
                }
            }
        }
        let [direct, through] = rates;
        report.compared(
            name,
            (
                through / MEBIBYTE,
                direct / MEBIBYTE,
                "MiB/s of TLS, 4 streams",
            ),
            "at least 0.95 of a direct connection",
            |ratio| ratio >= 0.95,
        );
        if link.0.is_none() {
            report.plain(
                "gate_cpu_a_gibibyte",
                cpu / bytes * MEBIBYTE * 1024.0,
                "s of a core of the gate",
                "told",
                true,
            );
        }
    }
    Ok(())
}

/// Bytes a second of all streams.
async fn rate(way: &Way, link: Link) -> anyhow::Result<f64> {
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(way.dial().await?);
    }
    let began = Instant::now();
    let mut readers = tokio::task::JoinSet::new();
    for mut stream in streams {
        readers.spawn(async move {
            let mut chunk = vec![0; CHUNK];
            let mut bucket = Bucket::new(link);
            let mut bytes = 0_u64;
            while began.elapsed() < ROUND {
                let read = stream.read(&mut chunk).await?;
                anyhow::ensure!(read > 0, "the stream ended");
                bytes += read as u64;
                bucket.take(read).await;
            }
            anyhow::Ok(bytes)
        });
    }
    let mut bytes = 0;
    while let Some(reader) = readers.join_next().await {
        bytes += reader??;
    }
    Ok(bytes as f64 / began.elapsed().as_secs_f64())
}

/// A token bucket: each stream's share of the link, with 5 ms of it at once, since timers are no
/// finer than a millisecond.
struct Bucket {
    rate: Option<f64>,
    left: f64,
    filled: Instant,
}

impl Bucket {
    const DEPTH: f64 = 0.005;

    fn new(link: Link) -> Self {
        Self {
            rate: link.0.map(|rate| rate / f64::from(STREAMS)),
            left: 0.0,
            filled: Instant::now(),
        }
    }

    async fn take(&mut self, bytes: usize) {
        let Some(rate) = self.rate else { return };
        let now = Instant::now();
        let filled = (now - self.filled).as_secs_f64() * rate;
        self.left = (self.left + filled).min(rate * Self::DEPTH) - bytes as f64;
        self.filled = now;
        if self.left < 0.0 {
            tokio::time::sleep(Duration::from_secs_f64(-self.left / rate)).await;
        }
    }
}
