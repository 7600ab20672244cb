//! The worker's figures against what the kernel says: a real containerd, pods under steady load, an
//! independent reader at the same instants, and a transfer of known size. Needs root and what
//! `tests/tools/containerd.sh` and `images.sh` make.

#[path = "worker_metrics/load.rs"]
mod load;
#[path = "worker_metrics/reader.rs"]
mod reader;

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use cri_shim::observe::{self, ObserveMetrics, Topic};
use cri_shim::stats::{ContainerUsage, PodUsage, Snapshot, Source, Stats, StatsSettings};
use k3s_daas_tests::cri::{Containerd, GATEWAY, remove_pod};
use load::Pod;
use prometheus_client::registry::Registry;

const NAME: &str = "worker_metrics";
const EVERY: Duration = Duration::from_millis(500);
const MINUTE: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(60);
const PORT: u16 = 7777;
const SENT: u64 = 200 * 1024 * 1024;
/// Ethernet's, IPv4's and TCP's with its time stamps.
const HEADERS: f64 = 66.0;
const LAYER: u64 = 24 * 1024 * 1024;

/// A third of a CPU, 64 MiB of memory, a layer of 24 MiB, and 4 MiB to and from the disk each half
/// second. Sends what `/data/send` says once that is there.
const LOAD: &str = "
    head -c 25165824 /dev/zero > /layer
    (head -c 67108864 /dev/zero; exec sleep 100000) | tail -c 67108864 &
    (while :; do
        dd if=/dev/zero of=/data/disk bs=1M count=4 oflag=direct conv=notrunc status=none
        dd if=/data/disk of=/dev/null bs=1M iflag=direct status=none
        sleep 0.5
    done) &
    while [ ! -e /data/send ]; do
        for ((i = 0; i < 20000; i++)); do :; done; sleep 0.1
    done
    head -c $(cat /data/send) /dev/zero > /dev/tcp/10.231.77.1/7777
    while :; do for ((i = 0; i < 20000; i++)); do :; done; sleep 0.1; done";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_are_the_kernels() {
    let all = tokio::time::timeout(Duration::from_mins(5), all()).await;
    if let Err(failure) = all.unwrap_or_else(|_| Err(anyhow::anyhow!("took too long"))) {
        panic!("{failure:#}");
    }
}

async fn all() -> anyhow::Result<()> {
    let Some(mut machine) = Containerd::start(NAME).await? else {
        return Ok(());
    };
    reader::count_disks(&machine.group)?;
    let loaded = machine.pod("default", "loaded");
    let loaded = load::run(&machine, loaded, LOAD).await.context("a load")?;
    let host = machine.host_pod("default", "in-host-network");
    let host = load::run(&machine, host, "sleep 100000").await?;

    let figures = stats(&machine, false);
    let polling = tokio::spawn(figures.clone().run());
    compared(&machine, &figures, &loaded).await?;
    polling.abort();
    let figures = stats(&machine, true);
    let polling = tokio::spawn(figures.clone().run());
    observed(&mut machine, &figures, &host).await?;
    polling.abort();
    Ok(())
}

fn stats(machine: &Containerd, tasks: bool) -> Stats {
    let mut settings = StatsSettings::new(machine.socket());
    settings.every = EVERY;
    settings.proc_root = machine.proc_root();
    settings.tasks = tasks;
    Stats::new(settings)
}

/// The snapshot of a poll that just ended.
async fn fresh(stats: &Stats) -> anyhow::Result<std::sync::Arc<Snapshot>> {
    let before = stats.polls();
    until("a poll", || stats.polls() > before).await?;
    stats.latest().context("no snapshot")
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) -> anyhow::Result<()> {
    let since = Instant::now();
    while !holds() {
        ensure!(since.elapsed() < SOON, "not within {SOON:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

fn pod<'a>(snapshot: &'a Snapshot, name: &str) -> anyhow::Result<&'a PodUsage> {
    let found = snapshot.pods.iter().find(|pod| pod.pod == name);
    found.with_context(|| format!("no pod {name} in {snapshot:?}"))
}

/// Both readers' figures of one instant.
struct Moment {
    pod: PodUsage,
    app: ContainerUsage,
    read: reader::Read,
    read_pod: reader::Read,
}

async fn moment(stats: &Stats, of: &Pod) -> anyhow::Result<Moment> {
    let snapshot = fresh(stats).await?;
    let read = reader::read(&of.group)?;
    let (above, _) = of.group.rsplit_once('/').context("a group in a group")?;
    let read_pod = reader::read(above)?;
    let pod = pod(&snapshot, "loaded")?.clone();
    let app = pod.containers.first().context("no container")?.clone();
    Ok(Moment {
        pod,
        app,
        read,
        read_pod,
    })
}

#[expect(clippy::cast_precision_loss, reason = "figures of a minute")]
fn figure(value: Option<u64>) -> anyhow::Result<f64> {
    Ok(value.context("a figure is missing")? as f64)
}

fn near(what: &str, found: f64, expected: f64, percent: f64) -> anyhow::Result<()> {
    let off = (found - expected).abs() / expected * 100.0;
    eprintln!("{what}: {found:.3}, independent {expected:.3}, off by {off:.3} %");
    ensure!(expected > 0.0, "{what}: the load did nothing");
    ensure!(
        off <= percent,
        "{what}: {found} instead of {expected}, off by {off:.2} %"
    );
    Ok(())
}

/// What the container under load complained of.
fn said(machine: &Containerd) -> String {
    std::fs::read_to_string(machine.path("logs/loaded/app.log")).unwrap_or_default()
}

/// Counters over a minute within 2 %, gauges within 5 %.
async fn compared(machine: &Containerd, stats: &Stats, of: &Pod) -> anyhow::Result<()> {
    // The layer's size comes from containerd, which looks every 10 s.
    let measured = until("the layer is measured", || {
        let layer = stats
            .latest()
            .and_then(|all| pod(&all, "loaded").ok()?.usage.layer);
        layer.is_some_and(|bytes| bytes >= LAYER)
    });
    measured
        .await
        .with_context(|| format!("{:?}\n{}", stats.latest(), said(machine)))?;
    let first = moment(stats, of).await?;
    let packets = reader::packets_sent(&of.group)?;
    let received = transfer(machine, stats).await?;
    tokio::time::sleep(MINUTE).await;
    let last = moment(stats, of).await?;

    let grown = |of: fn(&Moment) -> Option<u64>| -> anyhow::Result<f64> {
        Ok(figure(of(&last))? - figure(of(&first))?)
    };
    let read = |of: fn(&Moment) -> f64| of(&last) - of(&first);
    near(
        "pod CPU",
        grown(|at| at.pod.usage.cpu)? / 1e9,
        read(|at| at.read_pod.cpu),
        2.0,
    )?;
    near(
        "container CPU",
        grown(|at| at.app.usage.cpu)? / 1e9,
        read(|at| at.read.cpu),
        2.0,
    )?;
    let written = |at: &Moment| at.app.usage.io.map(|io| io.written);
    near(
        "written",
        grown(written)?,
        read(|at| at.read.io_written),
        2.0,
    )?;
    let disk = |at: &Moment| at.app.usage.io.map(|io| io.read);
    near("read", grown(disk)?, read(|at| at.read.io_read), 2.0)?;
    let pods = |at: &Moment| at.pod.usage.io.map(|io| io.written);
    near(
        "written by the pod",
        grown(pods)?,
        read(|at| at.read_pod.io_written),
        2.0,
    )?;
    // An interface counts headers too, and how many there are is up to how much goes at once.
    let packets = reader::packets_sent(&of.group)? - packets;
    let known = figure(Some(received))? + packets * HEADERS;
    let sent = |at: &Moment| at.pod.network.map(|all| all.sent);
    near("sent", grown(sent)?, known, 2.0)?;
    near(
        "container memory",
        figure(last.app.usage.memory)?,
        last.read.memory,
        5.0,
    )?;
    near(
        "pod memory",
        figure(last.pod.usage.memory)?,
        last.read_pod.memory,
        5.0,
    )?;
    near(
        "layer",
        figure(last.app.usage.layer)?,
        figure(Some(LAYER))?,
        5.0,
    )?;

    let node = fresh(stats).await?.node;
    near(
        "node memory",
        node.memory.context("no memory")?,
        reader::memory()?,
        5.0,
    )?;
    ensure!(
        node.cpu.is_some() && node.disk.is_some() && node.images.is_some(),
        "{node:?}"
    );
    let snapshot = fresh(stats).await?;
    ensure!(
        pod(&snapshot, "in-host-network")?.network.is_none(),
        "the machine's, not the pod's"
    );
    ensure!(snapshot.pod_count == Some(2) && snapshot.container_count == Some(2));
    for source in Source::ALL {
        ensure!(stats.failures(source) == 0, "{} failed", source.label());
    }
    busy().await
}

/// The CPUs' busy share of the same seconds.
async fn busy() -> anyhow::Result<()> {
    let mut settings = StatsSettings::new("/nonexistent/containerd.sock");
    settings.every = Duration::from_secs(10);
    let stats = Stats::new(settings);
    let polling = tokio::spawn(stats.clone().run());
    until("the first poll", || stats.polls() == 1).await?;
    let before = reader::cpus()?;
    until("the second poll", || stats.polls() == 2).await?;
    let after = reader::cpus()?;
    polling.abort();
    let found = stats
        .latest()
        .and_then(|all| all.node.cpu)
        .context("no CPU share")?;
    near(
        "node CPU",
        found,
        (after.0 - before.0) / (after.1 - before.1) * 100.0,
        5.0,
    )?;
    ensure!(
        stats.latest().is_some_and(|all| all.node.network.is_some()),
        "no network"
    );
    Ok(())
}

/// The pod sends a known number of bytes to the machine; how many came.
async fn transfer(machine: &Containerd, stats: &Stats) -> anyhow::Result<u64> {
    let before = pod(&*fresh(stats).await?, "loaded")?
        .network
        .context("no network")?;
    let mut sink = machine
        .inside(std::env::current_exe()?)
        .args(["--exact", "sink", "--ignored", "--nocapture"])
        .env("K3S_DAAS_SINK", format!("{GATEWAY}:{PORT}"))
        .stdout(Stdio::piped())
        .spawn()?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    std::fs::write(machine.path("data/send"), SENT.to_string())?;
    let done = tokio::task::spawn_blocking(move || {
        let mut said = String::new();
        let read = sink
            .stdout
            .take()
            .map(|mut out| out.read_to_string(&mut said));
        let _ = sink.wait();
        (read, said)
    });
    let (_, said) = tokio::time::timeout(MINUTE, done).await??;
    let line = said
        .lines()
        .find_map(|line| line.split_once("received="))
        .context(said.clone())?;
    let received: u64 = line.1.trim().parse()?;
    ensure!(received == SENT, "{received} of {SENT} bytes came");
    let after = pod(&*fresh(stats).await?, "loaded")?
        .network
        .context("no network")?;
    ensure!(after.sent - before.sent >= SENT, "{before:?} {after:?}");
    Ok(received)
}

/// The other end of [`transfer`], run in the machine's network.
#[test]
#[ignore = "started by the other test"]
fn sink() {
    let Ok(address) = std::env::var("K3S_DAAS_SINK") else {
        return;
    };
    let listener = std::net::TcpListener::bind(address).unwrap();
    let (stream, _) = listener.accept().unwrap();
    let received = std::io::copy(&mut &stream, &mut std::io::sink()).unwrap();
    println!("received={received}");
}

/// Beside the path: the same figures with the tasks' help, events, a pod that ends, and a containerd
/// that is killed and comes back.
async fn observed(machine: &mut Containerd, stats: &Stats, host: &Pod) -> anyhow::Result<()> {
    let metrics = ObserveMetrics::register(&mut Registry::default());
    let observing = observe::spawn(machine.socket(), stats.clone(), metrics.clone())?;
    until("events are read", || metrics.subscribed()).await?;
    until("the pods are seen", || {
        stats
            .latest()
            .is_some_and(|all| all.pods.len() == 2 && all.container_count == Some(2))
    })
    .await?;
    ensure!(page(stats).contains(r#"pod="in-host-network""#));
    remove_pod(&machine.socket(), &host.sandbox).await?;
    until("its end in the events", || {
        // A subscription that has just begun may miss the first one of the two.
        metrics.events(Topic::TaskDelete) >= 1 && metrics.events(Topic::ContainerDelete) >= 1
    })
    .await?;
    until("its end in the figures", || {
        stats.latest().is_some_and(|all| all.pods.len() == 1)
    })
    .await?;
    ensure!(
        !page(stats).contains(r#"pod="in-host-network""#),
        "a series outlives its pod"
    );
    let snapshot = fresh(stats).await?;
    let loaded = pod(&snapshot, "loaded")?;
    ensure!(
        loaded.usage.io.is_some() && loaded.usage.cpu.is_some(),
        "{loaded:?}"
    );
    ensure!(
        stats.failures(Source::Tasks) == 0,
        "the tasks cannot be asked"
    );

    let before = loaded.usage.cpu;
    machine.kill()?;
    until("containerd's end", || {
        !metrics.subscribed() && stats.latest().is_some_and(|all| all.pod_count.is_none())
    })
    .await?;
    ensure!(
        !page(stats).contains(r#"pod="loaded""#),
        "a figure of nobody"
    );
    machine.run().await?;
    until("its return", || {
        metrics.subscribed() && stats.latest().is_some_and(|all| all.pods.len() == 1)
    })
    .await?;
    let snapshot = fresh(stats).await?;
    ensure!(pod(&snapshot, "loaded")?.usage.cpu > before, "{snapshot:?}");
    observing.stop().await;
    Ok(())
}

fn page(stats: &Stats) -> String {
    let mut registry = Registry::default();
    stats.register(&mut registry);
    let mut text = String::new();
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    text
}
