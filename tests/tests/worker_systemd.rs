//! The worker's units under a real systemd: installed, rebooted, killed, upgraded, moved, taken away.
//! What stands in for K3s's agent starts containerd and ends where its first call is not answered.
//!
//! Shape: one machine, and what happens to one in its life, in turns. Needs root, systemd and what
//!        `make workers` installs.

#[path = "worker_systemd/k3s.rs"]
mod k3s;
#[path = "worker_systemd/scene.rs"]
mod scene;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::future::join_all;
use k3s_configs::{SERVICE_UNIT, SOCKET_UNIT};
use k3s_daas_tests::systemd::WITHIN;

use scene::{AGENT, DIRECT, SOCKET, Scene};

const NAME: &str = "worker_systemd";
const ALL_WITHIN: Duration = Duration::from_mins(8);
const OTHER: &str = "/run/k3s-daas/other.sock";
const DROP_IN: &str = "/etc/rancher/k3s/config.yaml.d/50-k3s-daas-cri.yaml";
const UNITS: [&str; 2] = [
    "/etc/systemd/system/k3s-daas-cri.socket",
    "/etc/systemd/system/k3s-daas-worker.service",
];
const LINKS: [&str; 2] = [
    "/etc/systemd/system/sockets.target.wants/k3s-daas-cri.socket",
    "/etc/systemd/system/multi-user.target.wants/k3s-daas-worker.service",
];
const INSTALL: [&str; 2] = ["install", "--restart-agent"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_worker_lives_under_systemd() {
    let all = tokio::time::timeout(ALL_WITHIN, all()).await;
    if let Err(failure) = all.unwrap_or_else(|_| Err(anyhow::anyhow!("took too long"))) {
        panic!("{failure:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_k3s_lives_behind_the_shim_under_systemd() {
    let all = k3s::all("a_stock_k3s_lives_behind_the_shim_under_systemd");
    let all = tokio::time::timeout(ALL_WITHIN, all).await;
    if let Err(failure) = all.unwrap_or_else(|_| Err(anyhow::anyhow!("took too long"))) {
        panic!("{failure:#}");
    }
}

async fn all() -> anyhow::Result<()> {
    let Some(mut scene) = Scene::boot(NAME).await? else {
        return Ok(());
    };
    installed(&scene).await.context("installed")?;
    rebooted(&mut scene).await.context("rebooted")?;
    killed(&scene).await.context("killed")?;
    restarted(&scene).await.context("restarted")?;
    started_by_a_call(&scene).await.context("stopped")?;
    confined(&scene).context("confined")?;
    without_its_port(&scene).await.context("without its port")?;
    moved(&scene).await.context("moved")?;
    uninstalled(&scene).await.context("uninstalled")?;
    observed_first(&scene).await.context("observed first")?;
    uninstalled_under_a_failing_agent(&scene)
        .await
        .context("uninstalled under a failing agent")
}

async fn installed(scene: &Scene) -> anyhow::Result<()> {
    let said = scene.worker(&INSTALL)?;
    ensure!(said.contains("containerd v2"), "{said}");
    scene.are_there(true, &UNITS)?;
    scene.are_there(true, &LINKS)?;
    scene.are_there(true, &[DROP_IN])?;
    scene.answered(SOCKET).await?;
    scene.call().await?;
    // Again, nothing is to be done, and nobody notices.
    let agent = scene.machine.property(AGENT, "InvocationID")?;
    let said = scene.worker(&["install"])?;
    ensure!(!said.contains("wrote"), "{said}");
    ensure!(agent == scene.machine.property(AGENT, "InvocationID")?);
    scene.call().await
}

/// The links are those that an image gets too.
async fn rebooted(scene: &mut Scene) -> anyhow::Result<()> {
    for _ in 0..3 {
        scene.machine.reboot().await?;
        scene.answered(SOCKET).await?;
        for unit in [AGENT, SERVICE_UNIT] {
            let restarts = scene.restarts(unit)?;
            ensure!(restarts == 0, "{unit} was started {restarts} times more");
        }
        let at = |unit, property| -> anyhow::Result<u64> {
            Ok(scene.machine.property(unit, property)?.parse()?)
        };
        let socket = at(SOCKET_UNIT, "ActiveEnterTimestampMonotonic")?;
        let agent = at(AGENT, "ExecMainStartTimestampMonotonic")?;
        ensure!(socket <= agent, "the agent was there before its socket");
    }
    Ok(())
}

async fn killed(scene: &Scene) -> anyhow::Result<()> {
    let agents = scene.restarts(AGENT)?;
    for _ in 0..5 {
        let before = join_all((0..20).map(|_| scene.call()));
        let kill = async { scene.systemctl(&["kill", "--signal=KILL", SERVICE_UNIT]) };
        let (before, killed) = tokio::join!(before, kill);
        killed?;
        // Those that were connected are cut off; who comes then is not.
        drop(before);
        for call in join_all((0..20).map(|_| scene.call())).await {
            call.context("a call after the kill")?;
        }
        scene.socket_is_held()?;
    }
    ensure!(scene.restarts(SERVICE_UNIT)? >= 5);
    ensure!(scene.restarts(AGENT)? == agents, "the agent noticed");
    Ok(())
}

/// As after an upgrade of the program.
async fn restarted(scene: &Scene) -> anyhow::Result<()> {
    let calls = async {
        for _ in 0..60 {
            scene.call().await?;
        }
        anyhow::Ok(())
    };
    let restarts = async {
        for _ in 0..2 {
            let restart = scene
                .machine
                .command(&["systemctl", "restart", SERVICE_UNIT]);
            let status = tokio::process::Command::from(restart).status().await?;
            ensure!(status.success(), "{status}");
        }
        anyhow::Ok(())
    };
    let (calls, restarts) = tokio::join!(calls, restarts);
    calls.and(restarts)
}

async fn started_by_a_call(scene: &Scene) -> anyhow::Result<()> {
    scene.systemctl(&["stop", SERVICE_UNIT])?;
    scene.machine.stands(SERVICE_UNIT, "inactive").await?;
    scene.call().await?;
    scene.machine.is_active(SERVICE_UNIT).await
}

fn confined(scene: &Scene) -> anyhow::Result<()> {
    let pid = scene.machine.property(SERVICE_UNIT, "MainPID")?;
    let script = "for folder; do
        if touch \"$folder/.probe\" 2>/dev/null; then echo \"$folder\"; rm -f \"$folder/.probe\"; fi
    done";
    let mut words = vec![
        "nsenter", "--target", &pid, "--mount", "sh", "-c", script, "sh",
    ];
    let closed = [
        "/",
        "/etc",
        "/etc/k3s-daas",
        "/usr",
        "/root",
        "/boot",
        "/opt",
        "/run",
        "/run/k3s",
        "/run/systemd",
        "/var",
        "/var/lib",
        "/dev",
        "/proc/sys/kernel",
        "/sys",
    ];
    let open = [
        "/etc/rancher/k3s",
        "/run/k3s-daas",
        "/var/lib/k3s-daas-worker",
    ];
    words.extend(closed.iter().chain(&open));
    let written = scene.machine.run(&words)?;
    let written: Vec<&str> = written.lines().collect();
    ensure!(written == open, "it writes in {written:?}");
    Ok(())
}

/// Somebody else listens where its metrics are: kubelet is served all the same.
async fn without_its_port(scene: &Scene) -> anyhow::Result<()> {
    let metrics = [
        "curl",
        "--silent",
        "--fail",
        "http://127.0.0.1:9091/healthz",
    ];
    let answers = || anyhow::Ok(scene.machine.command(&metrics).output()?.status.success());
    ensure!(answers()?, "it has its port at first");
    scene.systemctl(&["stop", SERVICE_UNIT])?;
    let take = "--socket-property=ListenStream=127.0.0.1:9091";
    let taker = ["systemd-run", "--unit=taker", take, "sleep", "infinity"];
    scene.machine.run(&taker)?;
    scene.call().await?;
    let restarts = scene.restarts(SERVICE_UNIT)?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.call().await?;
    ensure!(scene.restarts(SERVICE_UNIT)? == restarts, "it gave up");
    scene.systemctl(&["stop", "taker.socket"])?;
    let began = std::time::Instant::now();
    while !answers()? {
        ensure!(began.elapsed() < WITHIN, "it never gets its port");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn moved(scene: &Scene) -> anyhow::Result<()> {
    for (lines, socket) in [
        (format!("  cri_socket: {OTHER}\n"), OTHER),
        (String::new(), SOCKET),
    ] {
        scene.configure(&lines)?;
        let said = scene.worker(&INSTALL)?;
        ensure!(said.contains(&format!("restarted {SOCKET_UNIT}")), "{said}");
        let listens = scene.machine.property(SOCKET_UNIT, "Listen")?;
        ensure!(listens.starts_with(socket), "it listens at {listens}");
        scene.answered(socket).await?;
    }
    Ok(())
}

fn is_gone(scene: &Scene) -> anyhow::Result<()> {
    for paths in [&UNITS[..], &LINKS, &[DROP_IN, SOCKET]] {
        scene.are_there(false, paths)?;
    }
    let units = scene.systemctl(&["list-units", "--all", "--plain", "--no-legend", "k3s-daas*"])?;
    ensure!(units.is_empty(), "systemd still knows {units}");
    Ok(())
}

async fn uninstalled(scene: &Scene) -> anyhow::Result<()> {
    scene.worker(&["uninstall"])?;
    is_gone(scene)?;
    scene.answered(DIRECT).await?;
    let agent = scene.machine.property(AGENT, "InvocationID")?;
    let again = scene.worker(&["uninstall"])?;
    ensure!(again.contains("nothing to remove"), "{again}");
    ensure!(agent == scene.machine.property(AGENT, "InvocationID")?);
    // An agent that is down stays down, and finds its own containerd later.
    scene.worker(&INSTALL)?;
    scene.systemctl(&["stop", AGENT])?;
    scene.worker(&["uninstall"])?;
    is_gone(scene)?;
    scene.machine.stands(AGENT, "inactive").await?;
    scene.systemctl(&["start", AGENT])?;
    scene.answered(DIRECT).await
}

/// A worker that observes takes kubelet's calls once its mode is another one. A configuration that
/// nobody can read any more keeps nobody from taking it away.
async fn observed_first(scene: &Scene) -> anyhow::Result<()> {
    scene.configure("  mode: observe\n")?;
    scene.worker(&["install"])?;
    scene.are_there(false, &[DROP_IN, SOCKET])?;
    scene.machine.is_active(SERVICE_UNIT).await?;
    scene.configure("")?;
    scene.worker(&INSTALL)?;
    scene.answered(SOCKET).await?;
    scene.configure("nonsense: 1\n")?;
    scene.worker(&["uninstall"])?;
    is_gone(scene)?;
    scene.answered(DIRECT).await?;
    scene.configure("")
}

/// Somebody took the units away by hand: the agent ends at each of its starts.
async fn uninstalled_under_a_failing_agent(scene: &Scene) -> anyhow::Result<()> {
    scene.worker(&INSTALL)?;
    scene.answered(SOCKET).await?;
    scene.systemctl(&["disable", "--now", SOCKET_UNIT, SERVICE_UNIT])?;
    let mut words = vec!["rm", SOCKET];
    words.extend(UNITS);
    scene.machine.run(&words)?;
    scene.systemctl(&["daemon-reload"])?;
    scene.systemctl(&["restart", AGENT])?;
    scene.machine.stands(AGENT, "activating").await?;
    scene.worker(&["uninstall"])?;
    is_gone(scene)?;
    scene.answered(DIRECT).await
}
