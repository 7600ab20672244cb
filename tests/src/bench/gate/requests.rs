//! What the gate adds to a request, on kept and on new connections, and what it leaves of the
//! throughput.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use seal::Mist;

use super::client::{OBJECT, Way, tls, tls_of};
use super::{address, pki};
use crate::bench::load::Sample;
use crate::bench::process::{Served, cpu_seconds};
use crate::bench::report::Report;
use crate::e2e::{Cluster, NODES};

/// Alternating rounds of throughput, and how long one lasts.
const ROUNDS: usize = 8;
const ROUND: Duration = Duration::from_secs(1);
/// Requests at once: few connections, many requests on each, as controllers have.
const CONNECTIONS: usize = 2;
const IN_FLIGHT: usize = 8;

/// How often each is asked.
#[derive(Clone, Copy)]
struct Counts {
    kept: usize,
    new: usize,
}

/// The names of what is measured.
struct Names {
    kept: &'static str,
    new: &'static str,
    throughput: &'static str,
}

/// Before a bare axum + rustls server.
pub(super) async fn at_a_bare_server(report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ca = pki(folder.path())?.ca;
    let arguments = ["gate-part", "objects"].map(OsStr::new);
    let [part, what] = arguments;
    let server = Served::spawn(&[part, what, folder.path().as_os_str()]).await?;
    let upstream = server.address.to_string();
    let gate = Served::spawn(&["gate-part", "gate", &upstream]).await?;
    let direct = Way {
        address: server.address,
        tls: tls_of(&ca, &["h2"])?,
        path: OBJECT.to_owned(),
        token: None,
    };
    let counts = Counts {
        kept: 6_000,
        new: 2_000,
    };
    let names = Names {
        kept: "gate_kept_connection_p50",
        new: "gate_new_connection_p50",
        throughput: "gate_requests_throughput",
    };
    let before = cpu_seconds(gate.id())?;
    let asked = compare(report, &direct, gate.address, counts, &names).await?;
    let cpu = (cpu_seconds(gate.id())? - before) / asked as f64;
    report.plain(
        "gate_cpu_a_request",
        cpu * 1e6,
        "us of a core of the gate, new connections included",
        "told",
        true,
    );
    Ok(())
}

/// Before a real API server, as a tenant.
pub(super) async fn at_an_api_server(report: &mut Report, cluster: &Cluster) -> anyhow::Result<()> {
    let (_, token) = cluster.tenant(Mist(500_000_000)).await?;
    let direct = Way {
        address: address(&cluster.control_plane.direct_url)?,
        tls: tls(cluster.control_plane.ca_pem.as_bytes(), &["h2"])?,
        path: NODES.to_owned(),
        token: Some(token.reveal().as_str().to_owned()),
    };
    let counts = Counts {
        kept: 1_500,
        new: 600,
    };
    let names = Names {
        kept: "gate_api_server_kept_connection_p50",
        new: "gate_api_server_new_connection_p50",
        throughput: "gate_api_server_throughput",
    };
    let gate = address(&cluster.control_plane.url)?;
    compare(report, &direct, gate, counts, &names).await?;
    Ok(())
}

/// Gives the number of requests that went through the gate.
async fn compare(
    report: &mut Report,
    direct: &Way,
    gate: SocketAddr,
    counts: Counts,
    names: &Names,
) -> anyhow::Result<usize> {
    let through = direct.at(gate);
    ensure!(direct.address != gate, "there is no gate");
    let ways = [direct, &through];
    let mut asked = 0;
    for (name, count, kept) in [
        (names.kept, counts.kept, true),
        (names.new, counts.new, false),
    ] {
        let [direct, through] = latencies(ways, count, kept).await?;
        asked += through.micros.len();
        let (direct, through) = (direct.quantile(0.5), through.quantile(0.5));
        report.compared(
            name,
            (through, direct, "us until all of the answer was read"),
            "at most 100 us more than directly",
            |_| through - direct <= 100.0,
        );
    }
    let [direct, through] = throughput(ways).await?;
    asked += through.micros.len();
    report.compared(
        names.throughput,
        (
            through.throughput(),
            direct.throughput(),
            "requests/s, 16 at once",
        ),
        "at least 0.95 of a direct connection",
        |ratio| ratio >= 0.95,
    );
    Ok(asked)
}

/// One at a time, now here, now there, the order changing each time.
async fn latencies(ways: [&Way; 2], count: usize, kept: bool) -> anyhow::Result<[Sample; 2]> {
    let mut samples = [Sample::default(), Sample::default()];
    let mut connections = [ways[0].connect().await?, ways[1].connect().await?];
    let warm_up = count / 10;
    for n in 0..warm_up + count {
        for which in [n % 2, (n + 1) % 2] {
            let (way, connection) = (ways[which], &mut connections[which]);
            let took = if kept {
                way.get(connection).await?
            } else {
                way.get_anew().await?
            };
            if n >= warm_up {
                samples[which].micros.push(micros(took));
            }
        }
    }
    for sample in &mut samples {
        sample.micros.sort_unstable();
    }
    Ok(samples)
}

/// Many at once, in alternating rounds.
async fn throughput(ways: [&Way; 2]) -> anyhow::Result<[Sample; 2]> {
    let mut samples = [Sample::default(), Sample::default()];
    for round in 0..ROUNDS + 1 {
        for which in [round % 2, (round + 1) % 2] {
            let sample = push(ways[which]).await?;
            // The first is to warm up.
            if round > 0 {
                samples[which].merge(sample);
            }
        }
    }
    Ok(samples)
}

async fn push(way: &Way) -> anyhow::Result<Sample> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(way.connect().await?);
    }
    let began = Instant::now();
    let mut lanes = tokio::task::JoinSet::new();
    for connection in connections {
        for _ in 0..IN_FLIGHT {
            let (way, mut connection) = (way.clone(), connection.clone());
            lanes.spawn(async move {
                let mut taken = Vec::new();
                while began.elapsed() < ROUND {
                    taken.push(micros(way.get(&mut connection).await?));
                }
                anyhow::Ok(taken)
            });
        }
    }
    let mut sample = Sample::default();
    while let Some(lane) = lanes.join_next().await {
        sample.micros.extend(lane??);
    }
    sample.elapsed = began.elapsed();
    Ok(sample)
}

fn micros(took: Duration) -> u32 {
    u32::try_from(took.as_micros()).unwrap_or(u32::MAX)
}
