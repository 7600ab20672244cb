//! A real K3s with two stock agents behind the gate: what is open ends with its seal, and nothing
//! else does. Needs root, K3s (`K3S_BIN`) and what `make workers` installs.
//!
//! The times that it prints are from the moment that the slash is sent, the chain's part included;
//! tests only ask that what has to end does.

#[path = "gate_k3s/machines.rs"]
mod machines;
#[path = "gate_k3s/sockets.rs"]
mod sockets;
#[path = "gate_k3s/tenants.rs"]
mod tenants;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, ensure};
use k3s_configs::launch::ControlPlaneKind;
use k3s_configs::launch::agent::{Agent, AgentNetwork};
use k3s_daas_tests::agents::{Machines, goes_on, ready, renewed};
use k3s_daas_tests::e2e::{Cluster, skipped};
use k3s_daas_tests::streams::Stream;
use k3s_daas_tests::worker::{LOOK, WITHIN, Worker};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use machines::{connections_of, settled};
use tenants::{Robot, Tenant};

const NAME: &str = "gate_k3s";
/// What the chain makes of a transaction is the next checkpoint's.
const INTERVAL: Duration = Duration::from_millis(20);
const ALL_WITHIN: Duration = Duration::from_mins(10);
const SETTINGS: [(&str, &str); 1] = [("drain_grace_seconds", "600")];
/// How long something is looked at that must not happen.
const A_WHILE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_open_on_a_real_k3s_ends_with_its_seal_and_nothing_else_does() {
    let all = tokio::time::timeout(ALL_WITHIN, all()).await;
    if let Err(failure) = all.unwrap_or_else(|_| Err(anyhow::anyhow!("took too long"))) {
        panic!("{failure:#}");
    }
}

async fn all() -> anyhow::Result<()> {
    if let Some(missing) = Machines::missing()? {
        skipped(NAME, &missing);
        return Ok(());
    }
    let network = AgentNetwork::create()?;
    let address = network.server_address();
    let cluster = Cluster::start_at(INTERVAL, &SETTINGS, Some(address)).await?;
    let Some(cluster) = cluster else {
        skipped(NAME, "no control plane: set K3S_BIN");
        return Ok(());
    };
    if cluster.control_plane.kind == ControlPlaneKind::K3s {
        nothing_but_loopback_listens(&cluster, address).await?;
    }
    let machines = Machines::of(&cluster, network)?;
    let scene = Scene::begin(cluster, machines).await?;
    scene.a_slash_ends_what_its_tenant_has_open().await?;
    scene.a_drain_ends_nothing_and_a_cut_its_node().await?;
    scene.all_come_back_after_the_gate_was_gone().await?;
    let scene = scene.all_come_back_after_k3s_was_gone().await?;
    scene.end().await;
    Ok(())
}

/// The address that clients are told is the gate's alone.
async fn nothing_but_loopback_listens(cluster: &Cluster, address: Ipv4Addr) -> anyhow::Result<()> {
    let home = cluster.control_plane_folder().join("home");
    let listening = sockets::listening(&home)?;
    let open = |at: &SocketAddr| !at.ip().to_canonical().is_loopback();
    let open: Vec<_> = listening.iter().filter(|at| open(at)).collect();
    ensure!(open.is_empty(), "K3s listens at {open:?}");
    ensure!(!listening.is_empty(), "K3s listens nowhere");
    for at in listening {
        let through = TcpStream::connect((address, at.port())).await;
        let mut doors = cluster.control_plane.doors.iter();
        let is_door = doors.any(|door| door.listen.port() == at.port());
        ensure!(through.is_ok() == is_door, "{address}, port of {at}");
    }
    Ok(())
}

/// Two machines of two owners, two tenants with pods on the first, one of them on both.
struct Scene {
    alice: Tenant,
    bob: Tenant,
    /// Alice's and Bob's watching pods on the first machine, and Bob's on the second.
    robots: [Robot; 3],
    stays: Agent,
    goes: Agent,
    _stays: Worker,
    owner_of_goes: Worker,
    machines: Machines,
    cluster: Cluster,
}

impl Scene {
    async fn begin(cluster: Cluster, machines: Machines) -> anyhow::Result<Self> {
        let (stays, goes) = (
            cluster.worker("stays").await?,
            cluster.worker("goes").await?,
        );
        let first = machines.sealed(&stays, "stays", 10).await?;
        ready(&cluster, &first).await?;
        let second = machines.sealed(&goes, "goes", 11).await?;
        ready(&cluster, &second).await?;
        let folder = machines.folder().to_owned();
        let alice = Tenant::begin(&cluster, "alice", &folder).await?;
        let bob = Tenant::begin(&cluster, "bob", &folder).await?;
        for tenant in [&alice, &bob] {
            let work = ("work", "default");
            tenant.pod(&cluster, work, &first.name, &["serve"]).await?;
        }
        let robots = [
            alice.robot(&cluster, "robot", &first).await?,
            bob.robot(&cluster, "robot", &first).await?,
            bob.robot(&cluster, "robot-too", &second).await?,
        ];
        Ok(Self {
            alice,
            bob,
            robots,
            stays: first,
            goes: second,
            _stays: stays,
            owner_of_goes: goes,
            machines,
            cluster,
        })
    }

    async fn a_slash_ends_what_its_tenant_has_open(&self) -> anyhow::Result<()> {
        let alice = &self.alice;
        let [robot, of_bob, _] = &self.robots;
        let theirs = self.bob.streams().await?;
        let mut hers = Vec::from(alice.streams().await?);
        hers.push(alice.stream("attach", "attach work").await?);
        let forward = alice
            .stream("port-forward", "port-forward pod/work :8080")
            .await?;
        let mut through = forwarded(&forward).await?;
        hers.push(forward);
        let machines = [&self.stays, &self.goes];
        let before = [
            settled(&self.cluster, machines[0]).await?,
            settled(&self.cluster, machines[1]).await?,
        ];

        let (sent, at) = (Instant::now(), SystemTime::now());
        self.cluster.slash(&alice.token).await?;
        told(&format!(
            "the slash was executed after {} ms",
            sent.elapsed().as_millis()
        ));
        for stream in &hers {
            let ended = stream.end().await?;
            let took = ended.saturating_duration_since(sent).as_millis();
            let last = stream.text().lines().last().unwrap_or_default().to_owned();
            told(&format!(
                "{} ended {took} ms after the slash was sent: {last}",
                stream.name
            ));
        }
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(WITHIN, through.read_to_end(&mut rest)).await;
        ensure!(closed.is_ok(), "what was forwarded is open");
        let ended = robot.says("ended", at).await.context("a pod's own watch")?;
        let took = ended.duration_since(at)?.as_millis();
        told(&format!(
            "a pod's own watch ended {took} ms after the slash was sent"
        ));
        robot
            .says("refused", ended)
            .await
            .context("and is refused")?;

        self.go_on(&theirs).await?;
        tokio::time::sleep(A_WHILE).await;
        self.go_on(&theirs).await?;
        ensure!(
            !of_bob.has_said("ended", at),
            "another tenant's pod was cut"
        );
        ensure!(!robot.has_said("watching", ended), "the pod watches again");
        // Kubelets reconnect for reasons of their own, but lose nothing that they had.
        let [of_stays, _] = &before;
        let robots_own = 1;
        let now = connections_of(&self.cluster, self.stays.address).await?;
        let lost = of_stays.difference(&now).count();
        ensure!(
            lost <= robots_own,
            "{lost} connections of a machine were closed"
        );
        Ok(())
    }

    /// Another tenant's streams say more, and its watch shows what happens now.
    async fn go_on(&self, [watch, logs, exec]: &[Stream; 3]) -> anyhow::Result<()> {
        let lines = watch.lines();
        self.bob.touch(&self.cluster, "work").await?;
        watch.says_more_than(lines).await?;
        logs.goes_on().await?;
        exec.goes_on().await
    }

    async fn a_drain_ends_nothing_and_a_cut_its_node(&self) -> anyhow::Result<()> {
        let (cluster, goes, stays) = (&self.cluster, &self.goes, &self.stays);
        let [_, _, robot] = &self.robots;
        let theirs = self.bob.streams().await?;
        let had = settled(cluster, goes).await?;
        let others = settled(cluster, stays).await?;

        let at = SystemTime::now();
        self.bob.keep(cluster, "robot-too").await?;
        self.owner_of_goes.unstake(cluster).await?;
        cluster.state_is(&goes.name, "Draining").await?;
        tokio::time::sleep(A_WHILE).await;
        let has = connections_of(cluster, goes.address).await?;
        ensure!(
            has.is_superset(&had),
            "a drain closed {:?}",
            had.difference(&has)
        );
        ensure!(!robot.has_said("ended", at), "a drain ended a pod's watch");
        let had = settled(cluster, goes).await?;

        let (sent, at) = (Instant::now(), SystemTime::now());
        cluster.slash(&self.owner_of_goes.token).await?;
        told(&format!(
            "the slash was executed after {} ms",
            sent.elapsed().as_millis()
        ));
        loop {
            let has = connections_of(cluster, goes.address).await?;
            if has.is_disjoint(&had) {
                break;
            }
            ensure!(
                sent.elapsed() < WITHIN,
                "open: {:?}",
                has.intersection(&had)
            );
            tokio::time::sleep(LOOK).await;
        }
        told(&format!(
            "{} connections of a node were closed {} ms after the slash was sent",
            had.len(),
            sent.elapsed().as_millis()
        ));
        let ended = robot
            .says("ended", at)
            .await
            .context("a watch of its pod")?;
        let took = ended.duration_since(at)?.as_millis();
        told(&format!(
            "a watch of its pod ended {took} ms after the slash was sent"
        ));
        cluster.state_is(&goes.name, "Cut").await?;
        self.go_on(&theirs).await?;
        let now = connections_of(cluster, stays.address).await?;
        ensure!(
            now.is_superset(&others),
            "the other node lost {:?}",
            others.difference(&now)
        );
        Ok(())
    }

    async fn all_come_back_after_the_gate_was_gone(&self) -> anyhow::Result<()> {
        let [_, robot, _] = &self.robots;
        let before = renewed(&self.cluster, &self.stays.name).await?;
        let at = SystemTime::now();
        let gone = Instant::now();
        self.cluster.restart_server(&[]).await?;
        told(&format!(
            "the server was back after {} ms",
            gone.elapsed().as_millis()
        ));
        let ended = robot.says("ended", at).await?;
        robot.says("watching", ended).await?;
        told(&format!(
            "a pod's watch was back after {} ms",
            gone.elapsed().as_millis()
        ));
        self.all_come_back(gone, &before).await
    }

    async fn all_come_back_after_k3s_was_gone(self) -> anyhow::Result<Self> {
        let before = renewed(&self.cluster, &self.stays.name).await?;
        let at = SystemTime::now();
        let gone = Instant::now();
        let cluster = self.cluster.restart_control_plane().await?;
        let scene = Self { cluster, ..self };
        told(&format!(
            "K3s was back after {} ms",
            gone.elapsed().as_millis()
        ));
        let [_, robot, _] = &scene.robots;
        let ended = robot.says("ended", at).await?;
        robot.says("watching", ended).await?;
        scene.all_come_back(gone, &before).await?;
        Ok(scene)
    }

    /// The machine and another tenant's streams, which nobody helps.
    async fn all_come_back(&self, gone: Instant, before: &str) -> anyhow::Result<()> {
        goes_on(&self.cluster, &self.stays, before, 1).await?;
        told(&format!(
            "the node renewed its lease after {} ms",
            gone.elapsed().as_millis()
        ));
        loop {
            let logs = self.bob.stream("logs", "logs --follow work").await;
            match logs {
                Ok(logs) => break logs.goes_on().await?,
                Err(failure) if gone.elapsed() > WITHIN => return Err(failure),
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
        told(&format!(
            "logs were back after {} ms",
            gone.elapsed().as_millis()
        ));
        let theirs = self.bob.streams().await?;
        self.go_on(&theirs).await
    }

    async fn end(self) {
        self.stays.stop().await;
        self.goes.stop().await;
        self.cluster.stop().await;
        drop(self.machines);
    }
}

/// Asks what is forwarded for a page, and leaves the connection open.
async fn forwarded(forward: &Stream) -> anyhow::Result<TcpStream> {
    let text = forward.text();
    let port = text.split_once("127.0.0.1:").map(|(_, rest)| rest);
    let port = port.and_then(|rest| rest.split(' ').next());
    let port: u16 = port.context(text.clone())?.parse()?;
    let mut through = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    through
        .write_all(b"GET / HTTP/1.1\r\nHost: work\r\n\r\n")
        .await?;
    let mut answer = [0; 12];
    tokio::time::timeout(WITHIN, through.read_exact(&mut answer)).await??;
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    Ok(through)
}

fn told(what: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{NAME}: {what}");
}
