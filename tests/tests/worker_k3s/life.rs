//! What a machine goes through while its seal is good.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use k3s_daas_tests::agents::ready;
use k3s_daas_tests::cri::client;
use k3s_daas_tests::worker::{LOOK, WITHIN, is_ready};
use k8s_cri::v1;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::scene::{NODE, Scene, ms, told};

/// How many pods are made while the shim dies.
const LOAD: usize = 20;
/// A node is NotReady when its runtime has been silent for half of this.
const GAP: Duration = Duration::from_secs(60);

/// Pods, logs, exec and port-forward.
pub async fn works(scene: &mut Scene) -> anyhow::Result<()> {
    scene.create("work", &["serve"]).await?;
    scene.runs("work").await?;
    let logs = scene.stream("logs", "logs --follow work").await?;
    logs.goes_on().await?;
    let said = scene.said("exec work -- /bin/busy echo through").await?;
    ensure!(said.trim_end() == "through", "exec: {said}");
    let forward = scene.stream("forward", "port-forward work :8080").await?;
    let text = forward.text();
    let port = text
        .split_once("127.0.0.1:")
        .and_then(|(_, rest)| rest.split(' ').next())
        .with_context(|| text.clone())?;
    let mut connection = TcpStream::connect(("127.0.0.1", port.parse()?)).await?;
    connection
        .write_all(b"GET / HTTP/1.0\r\nHost: work\r\n\r\n")
        .await?;
    let mut answer = String::new();
    tokio::time::timeout(WITHIN, connection.read_to_string(&mut answer)).await??;
    ensure!(answer.contains("work"), "{answer}");
    let metrics = scene.shim.metrics().await?;
    let through = metrics.lines().any(|line| {
        line.starts_with("k3s_daas_cri_calls_total{")
            && line.contains("\"RunPodSandbox\"")
            && line.contains("\"OK\"")
            && !line.ends_with(" 0")
    });
    ensure!(through, "no call of kubelet went through: {metrics}");
    told(&format!("{} KiB resident with one pod", scene.resident()?));
    Ok(())
}

/// The shim is killed again and again while pods come and go; exec goes on.
pub async fn shim_killed(scene: &mut Scene) -> anyhow::Result<()> {
    let exec = scene.stream("exec", "exec work -- /bin/busy tick").await?;
    for index in 0..LOAD {
        scene.create(&format!("load-{index}"), &["sleep"]).await?;
        if index % 5 == 2 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            scene.shim.kill()?;
            tokio::time::sleep(Duration::from_millis(200)).await;
            scene.shim.start()?;
        }
        if index % 3 == 2 {
            scene.delete(&format!("load-{}", index - 2)).await?;
        }
    }
    let tidy = scene.tidy().await?;
    exec.goes_on().await.context("the session")?;
    told(&format!(
        "sandboxes equal pods {} ms after four kills; {} KiB resident with {} pods",
        tidy.as_millis(),
        scene.resident()?,
        scene.pods().await?.len(),
    ));
    Ok(())
}

/// SIGTERM and a new process on the same socket: callers wait, and none is refused.
pub async fn upgraded(scene: &mut Scene) -> anyhow::Result<()> {
    let before = scene.pods().await?;
    let socket = scene.shim.socket();
    let calling = tokio::spawn(async move {
        let began = Instant::now();
        let (mut calls, mut longest) = (0_u32, Duration::ZERO);
        while began.elapsed() < Duration::from_secs(8) {
            let call = Instant::now();
            let mut runtime = client::runtime(&socket);
            runtime.version(v1::VersionRequest::default()).await?;
            longest = longest.max(call.elapsed());
            calls += 1;
        }
        anyhow::Ok((calls, longest))
    });
    for index in 0..2 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        scene.create(&format!("new-{index}"), &["sleep"]).await?;
        let began = Instant::now();
        ensure!(scene.shim.stop().await?, "it did not end in order");
        told(&format!("ended in order after {} ms", ms(began)));
        scene.shim.start()?;
    }
    let (calls, longest) = calling.await?.context("a call was refused")?;
    told(&format!(
        "two upgrades: {calls} calls, none refused, the longest {} ms",
        longest.as_millis()
    ));
    scene.tidy().await?;
    same(scene, &before).await
}

/// A minute without the shim: the Node is NotReady, recovers, and keeps its pods.
pub async fn gap(scene: &mut Scene) -> anyhow::Result<()> {
    let before = scene.pods().await?;
    let began = Instant::now();
    ensure!(scene.shim.stop().await?, "it did not end in order");
    let not_ready = scene.cluster.node_until(NODE, |said| !is_ready(&said.body));
    not_ready.await.context("NotReady")?;
    told(&format!("NotReady {} ms into the gap", ms(began)));
    tokio::time::sleep(GAP.saturating_sub(began.elapsed())).await;
    scene.agent.check()?;
    let began = Instant::now();
    scene.shim.start()?;
    ready(&scene.cluster, &scene.agent).await?;
    told(&format!("Ready {} ms after the gap", ms(began)));
    scene.tidy().await?;
    same(scene, &before).await
}

/// containerd is killed: the shim dials it anew, kubelet's view recovers, pods run on.
pub async fn containerd_killed(scene: &mut Scene) -> anyhow::Result<()> {
    let before = scene.pods().await?;
    let shim = scene.shim.id();
    let pid = containerd_pid(scene)?;
    let began = Instant::now();
    let killed = Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()?;
    ensure!(killed.success(), "containerd can't be killed");
    let mut revived = false;
    while containerd_pid(scene).map_or(true, |now| now == pid) {
        revived |= scene.revive_agent().await?;
        ensure!(began.elapsed() < WITHIN, "{}", scene.agent.log_tail());
        tokio::time::sleep(LOOK).await;
    }
    revived |= scene.revive_agent().await?;
    scene.create("after", &["sleep"]).await?;
    scene.runs("after").await?;
    ready(&scene.cluster, &scene.agent).await?;
    ensure!(scene.shim.id() == shim, "another shim");
    told(&format!(
        "a new pod ran {} ms after containerd was killed; the agent ended with it: {revived}",
        ms(began)
    ));
    scene.tidy().await?;
    same(scene, &before).await
}

/// Each of these pods is there and was not restarted.
pub async fn same(
    scene: &Scene,
    before: &std::collections::BTreeMap<String, crate::scene::Pod>,
) -> anyhow::Result<()> {
    let now = scene.pods().await?;
    for (name, pod) in before {
        ensure!(
            now.get(name) == Some(pod),
            "{name} was {pod:?}, is {:?}",
            now.get(name)
        );
    }
    Ok(())
}

/// The containerd in the machine's mount namespace.
fn containerd_pid(scene: &Scene) -> anyhow::Result<u32> {
    let machine = scene.agent.namespace_pid().context("no machine")?;
    let mounts = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let wanted = mounts(&machine.to_string()).context("no namespace")?;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(pid) = name.parse::<u32>() else {
            continue;
        };
        let command = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if command.trim_end() == "containerd" && mounts(&name) == Some(wanted.clone()) {
            return Ok(pid);
        }
    }
    anyhow::bail!("no containerd")
}
