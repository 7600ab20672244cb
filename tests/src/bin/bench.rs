//! Side-by-side load runs for the figures of the design. `make bench` runs it.
//!
//! Prints one line of JSON a figure and writes `docs/benchmarks.md`. With names of scenarios as
//! arguments it runs these only and writes nothing. `nodes`, `gate` and `cri` run by themselves and
//! write their own lines.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use k3s_daas_tests::bench::load::{Pressure, Sample, Target, push};
use k3s_daas_tests::bench::process::{Served, resident, until_stdin_ends};
use k3s_daas_tests::bench::report::Report;
use k3s_daas_tests::bench::synthetic::{SyntheticChain, token};
use k3s_daas_tests::bench::{
    bare, chain_follow, cri, gate, nodes, ours, reviews, slash, slash_kubectl, tenants,
};
use webhook_server::pki::DevPki;

/// What the figures of nodes begin with: they are measured by themselves.
const NODES: &str = "nodes_";
/// What the figures of the gate begin with: likewise.
const GATE: &str = "gate_";
/// What the figures of the worker begin with: likewise.
const CRI: &str = "cri_";
/// Seals in the directory while the webhooks are measured.
const WARM: u64 = 1_000;
/// Alternating rounds, so that what else the machine does hits both alike.
const ROUNDS: u32 = 5;
/// One round.
const ROUND: Duration = Duration::from_secs(3);
/// As an API server under load: few connections, many requests in flight.
const PRESSURE: Pressure = Pressure {
    connections: 2,
    in_flight: 16,
    duration: ROUND,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("serve-bare") => serve_bare(Path::new(&arguments[1])).await,
        Some("serve-ours") => serve_ours(Path::new(&arguments[1])).await,
        Some("nodes") => measure_nodes(&arguments[1..]).await,
        Some("gate") => measure_gate(&arguments[1..]).await,
        Some("cri") => measure_cri(&arguments[1..]).await,
        Some("gate-part") => gate::serve(&arguments[1..]).await,
        Some("follow") => chain_follow::follow(&arguments[1]).await,
        _ => measure(&arguments).await,
    }
}

async fn measure(only: &[String]) -> anyhow::Result<()> {
    let wanted = |name: &str| only.is_empty() || only.iter().any(|one| one == name);
    let mut report = Report::default();
    if wanted("reviews") || wanted("flood") {
        webhooks(&mut report, wanted("reviews"), wanted("flood")).await?;
    }
    if wanted("memory") {
        memory(&mut report).await?;
    }
    if wanted("slash") {
        slash::measure(&mut report).await?;
    }
    if wanted("slash-kubectl") {
        slash_kubectl::measure(&mut report).await?;
    }
    if wanted("tenants") {
        tenants::measure(&mut report).await?;
    }
    if wanted("busy-chain") {
        chain_follow::measure(&mut report).await?;
    }
    if only.is_empty() {
        let by_themselves = |name: &str| {
            [NODES, GATE, CRI]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        };
        report.write(&summary(), by_themselves)?;
    }
    Ok(())
}

/// `bench nodes [--nodes N] [--slashed N]`: with other numbers than the design's nothing is written.
async fn measure_nodes(arguments: &[String]) -> anyhow::Result<()> {
    let mut counts = nodes::Counts::default();
    for pair in arguments.chunks(2) {
        let [name, value] = pair else {
            bail!("{pair:?} has no value");
        };
        match name.as_str() {
            "--nodes" => counts.nodes = value.parse()?,
            "--slashed" => counts.slashed = value.parse()?,
            _ => bail!("give --nodes or --slashed, not {name}"),
        }
    }
    let mut report = Report::default();
    let measured = nodes::measure(&mut report, counts).await?;
    if measured && counts == nodes::Counts::default() {
        report.write(&summary(), |_| true)?;
    }
    Ok(())
}

/// `bench gate [PART]…`: with parts named nothing is written.
async fn measure_gate(only: &[String]) -> anyhow::Result<()> {
    let mut report = Report::default();
    let measured = gate::measure(&mut report, only).await?;
    if measured && only.is_empty() {
        report.write(&summary(), |_| true)?;
    }
    Ok(())
}

/// `bench cri [PART]…`: likewise.
async fn measure_cri(only: &[String]) -> anyhow::Result<()> {
    let mut report = Report::default();
    let measured = cri::measure(&mut report, only).await?;
    if measured && only.is_empty() {
        report.write(&summary(), |_| true)?;
    }
    Ok(())
}

fn summary() -> PathBuf {
    k3s_daas_tests::e2e::workspace().join("docs/benchmarks.md")
}

/// Warm TokenReviews and SubjectAccessReviews against the bare handler, then the flood.
async fn webhooks(report: &mut Report, reviews: bool, flood: bool) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let pki = DevPki::generate(
        folder.path(),
        &["localhost".to_owned(), "127.0.0.1".to_owned()],
    )?;
    let tls = ours::client_tls(&pki.ca)?;
    let mut bare = Served::spawn(&[OsStr::new("serve-bare"), folder.path().as_os_str()]).await?;
    let mut ours = Served::spawn(&[OsStr::new("serve-ours"), folder.path().as_os_str()]).await?;
    if reviews {
        let tokens: Arc<Vec<_>> = Arc::new(
            (0..WARM)
                .map(|n| reviews::token_review(&token(n).reveal()))
                .collect(),
        );
        let body = move |n: usize| tokens[n % tokens.len()].clone();
        let pair = side_by_side("/authenticate", &tls, &bare, &ours, body).await?;
        compare(
            report,
            ["token_review_throughput", "token_review_p99"],
            pair,
        );
        let requests: Arc<Vec<_>> = Arc::new((0..WARM).map(reviews::access_review).collect());
        let body = move |n: usize| requests[n % requests.len()].clone();
        let pair = side_by_side("/authorize", &tls, &bare, &ours, body).await?;
        compare(
            report,
            ["access_review_throughput", "access_review_p99"],
            pair,
        );
    }
    if flood {
        self::flood(report, &tls, &ours).await?;
    }
    bare.stop();
    ours.stop();
    Ok(())
}

async fn serve_bare(folder: &Path) -> anyhow::Result<()> {
    let pki = DevPki::generate(folder, &["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    println!("{}", bare::serve(ours::bare_tls(&pki)?).await?);
    until_stdin_ends().await
}

async fn serve_ours(folder: &Path) -> anyhow::Result<()> {
    let pki = DevPki::generate(folder, &["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let chain = SyntheticChain::new(WARM, Duration::from_millis(5));
    let ours = ours::start(chain.clone(), WARM, &pki).await?;
    println!("{}", ours.address);
    until_stdin_ends().await
}

async fn side_by_side<B>(
    path: &'static str,
    tls: &Arc<rustls::ClientConfig>,
    bare: &Served,
    ours: &Served,
    body: B,
) -> anyhow::Result<(Sample, Sample)>
where
    B: Fn(usize) -> bytes::Bytes + Clone + Send + Sync + 'static,
{
    let target = |served: &Served| Target {
        address: served.address,
        path,
        tls: tls.clone(),
    };
    let short = Pressure {
        duration: Duration::from_millis(700),
        ..PRESSURE
    };
    for served in [bare, ours] {
        push(&target(served), short, body.clone()).await?;
    }
    let (mut of_bare, mut of_ours) = (Sample::default(), Sample::default());
    for round in 0..ROUNDS {
        // The order changes with each round.
        for first in [round % 2 == 0, round % 2 != 0] {
            let (served, sample) = if first {
                (bare, &mut of_bare)
            } else {
                (ours, &mut of_ours)
            };
            sample.merge(push(&target(served), PRESSURE, body.clone()).await?);
        }
    }
    ensure!(
        of_ours.refused == 0,
        "{} reviews were refused",
        of_ours.refused
    );
    Ok((of_bare, of_ours))
}

fn compare(report: &mut Report, names: [&'static str; 2], (bare, ours): (Sample, Sample)) {
    let [throughput, p99] = names;
    report.compared(
        throughput,
        (ours.throughput(), bare.throughput(), "reviews/s"),
        "at least 0.9 of a bare handler",
        |ratio| ratio >= 0.9,
    );
    report.compared(
        p99,
        (ours.quantile(0.99), bare.quantile(0.99), "us"),
        "at most 1.25 of a bare handler's",
        |ratio| ratio <= 1.25,
    );
}

/// Valid tokens at a steady rate, alone and while random ones flood in.
async fn flood(
    report: &mut Report,
    tls: &Arc<rustls::ClientConfig>,
    ours: &Served,
) -> anyhow::Result<()> {
    let target = Target {
        address: ours.address,
        path: "/authenticate",
        tls: tls.clone(),
    };
    let tokens: Arc<Vec<_>> = Arc::new(
        (0..WARM)
            .map(|n| reviews::token_review(&token(n).reveal()))
            .collect(),
    );
    let valid = {
        let tokens = tokens.clone();
        move |n: usize| tokens[n % tokens.len()].clone()
    };
    let flooding = Pressure {
        connections: 2,
        in_flight: 8,
        duration: Duration::from_secs(8),
    };
    let steady = Pressure {
        connections: 1,
        in_flight: 8,
        duration: Duration::from_secs(8),
    };
    let calm = push(&target, steady, valid.clone()).await?;
    let random = |n: usize| {
        // Never seen before, well formed: the most expensive kind.
        let token = token(u64::MAX - u64::try_from(n).unwrap_or(0));
        reviews::token_review(&token.reveal())
    };
    let (stormy, flood) = tokio::try_join!(
        push(&target, steady, valid),
        push(&target, flooding, random)
    )?;
    report.compared(
        "flood_valid_token_p99",
        (stormy.quantile(0.99), calm.quantile(0.99), "us"),
        "within 2x of the p99 without random tokens",
        |ratio| ratio <= 2.0,
    );
    report.plain(
        "flood_random_tokens",
        flood.micros.len() as f64 / flood.elapsed.as_secs_f64(),
        "reviews/s refused",
        "none lets a valid token fail",
        stormy.refused == 0,
    );
    Ok(())
}

/// What a cached seal costs, by the growth of this process.
async fn memory(report: &mut Report) -> anyhow::Result<()> {
    const SEALS: u64 = 100_000;
    let mut registry = prometheus_client::registry::Registry::default();
    let chain = SyntheticChain::new(SEALS, Duration::ZERO);
    let (directory, _running) = ours::directory(chain.clone(), &mut registry).await?;
    let directory = Arc::new(directory);
    let before = resident(std::process::id())?;
    let mut readers = tokio::task::JoinSet::new();
    for part in 0..64 {
        let directory = directory.clone();
        readers.spawn(async move {
            use sui_ledger::directory::SealDirectory as _;
            for n in (part..SEALS).step_by(64) {
                directory.seal(token(n).credential_hash()).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(reader) = readers.join_next().await {
        reader??;
    }
    let cached = directory.status().records;
    ensure!(cached as u64 == SEALS, "only {cached} records are cached");
    let bytes = (resident(std::process::id())?.saturating_sub(before)) as f64 / SEALS as f64;
    report.plain(
        "memory_per_cached_seal",
        bytes,
        "bytes",
        "under 1024",
        bytes < 1024.0,
    );
    // A flood of strangers: reads are batched and bounded, whatever the number of tokens.
    let reads_before = chain.reads();
    let mut flood = tokio::task::JoinSet::new();
    for part in 0..64u64 {
        let directory = directory.clone();
        flood.spawn(async move {
            use sui_ledger::directory::SealDirectory as _;
            for n in (part..100_000).step_by(64) {
                let _ = directory.seal(token(u64::MAX - n).credential_hash()).await;
            }
        });
    }
    while let Some(done) = flood.join_next().await {
        done?;
    }
    let reads = chain.reads() - reads_before;
    report.plain(
        "flood_chain_reads_per_100k_tokens",
        reads as f64,
        "reads",
        "bounded: under 100,000",
        reads < 100_000,
    );
    Ok(())
}
