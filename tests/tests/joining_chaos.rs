//! The server killed in the middle of each step of a node's life, the ledger away for long, and two
//! servers at once: nothing joins that should not, nothing that should stay is harmed.
//!
//! Shape:  nodes that are never to be touched are watched the whole time, from the first step to the
//!         last: whatever happens to them or to their pods is a failure, however short it lasts.
//!         Ten minutes without a ledger are made short by the settings: what counts is how often
//!         the staleness that a seal may have fits in.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use k3s_daas_tests::e2e::{Cluster, Process, free_address, skipped};
use k3s_daas_tests::worker::{
    ClientCa, Kubelet, LOOK, Review, Running, Seen, Supervisor, WITHIN, Watched, Worker, is_ready,
    taints, text,
};
use tokio_util::task::AbortOnDropHandle;

const INTERVAL: Duration = Duration::from_millis(20);
const ALL_WITHIN: Duration = Duration::from_mins(10);
/// What is known of the chain grows old after this; ten minutes are forty times the default.
const STALENESS: Duration = Duration::from_secs(2);
const OUTAGE: Duration = Duration::from_secs(20);
/// A chain that stands still for a moment is no outage for long.
const SETTINGS: [(&str, &str); 2] = [
    ("max_staleness_seconds", "2"),
    ("drain_grace_seconds", "600"),
];
/// Kills in the middle of each step: at the n-th so many milliseconds after it began.
const MOMENTS: [u64; 5] = [0, 15, 40, 90, 200];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_outage_or_second_server_lets_anybody_in_or_harms_who_should_stay() {
    let all = tokio::time::timeout(ALL_WITHIN, all()).await;
    if let Err(failure) = all.unwrap_or_else(|_| Err(anyhow::anyhow!("took too long"))) {
        panic!("{failure:#}");
    }
}

async fn all() -> anyhow::Result<()> {
    let Some(cluster) = Cluster::start_without_gate(INTERVAL, &SETTINGS).await? else {
        skipped(
            "joining_chaos",
            "no control plane: set K3S_BIN or run `make control-plane`",
        );
        return Ok(());
    };
    cluster.machines().await?;
    let scene = Scene::set(&cluster).await?;
    scene
        .the_ledger_is_away()
        .await
        .context("the ledger away")?;
    scene.two_servers().await.context("two servers")?;
    cluster.kill_server().await?;
    match cluster.start_process().await? {
        Some(process) => scene.kills(process).await.context("kills")?,
        None => skipped("joining_chaos: kills", "no k3s-daas was built: cargo build"),
    }
    scene.check().await?;
    drop(scene);
    cluster.stop().await;
    Ok(())
}

/// Nodes that stay, and nodes that have ended.
struct Scene<'a> {
    cluster: &'a Cluster,
    ca: ClientCa,
    supervisor: Supervisor,
    watched: Watched,
    stays: Member,
    kept: Vec<Running>,
    uid: String,
    ended: Member,
}

/// A worker with its kubelet, going on.
struct Member {
    worker: Worker,
    kubelet: Arc<Kubelet>,
    _runs: AbortOnDropHandle<()>,
}

impl Member {
    async fn join(cluster: &Cluster, ca: &ClientCa, name: &str) -> anyhow::Result<Self> {
        let worker = cluster.worker(name).await?;
        let kubelet = worker.join(cluster, ca, address(), name).await?;
        let _runs = kubelet.keep();
        Ok(Self {
            worker,
            kubelet,
            _runs,
        })
    }
}

impl<'a> Scene<'a> {
    async fn set(cluster: &'a Cluster) -> anyhow::Result<Self> {
        let ca = ClientCa::of(&cluster.control_plane_folder())?;
        let (stays, ended) = tokio::try_join!(
            Member::join(cluster, &ca, "stays"),
            Member::join(cluster, &ca, "ended"),
        )?;
        cluster.deploy("kept", "stays", 3).await?;
        let kept = cluster.running("kept").await?;
        let node = cluster
            .node_until("stays", |said| is_ready(&said.body))
            .await?;
        let uid = text(&node.body, "/metadata/uid").to_owned();
        cluster.slash(&ended.worker.token).await?;
        cluster.state_is("ended", "Cut").await?;
        cluster.node_gone("ended").await?;
        let scene = Self {
            cluster,
            supervisor: Supervisor::of(cluster)?,
            watched: Watched::start(cluster),
            ca,
            stays,
            kept,
            uid,
            ended,
        };
        scene.check().await?;
        Ok(scene)
    }

    /// What holds at every moment.
    async fn check(&self) -> anyhow::Result<()> {
        let harm = self.watched.harm_of("stays");
        ensure!(harm.is_empty(), "who should stay was harmed: {harm:?}");
        ensure!(
            self.cluster.running("kept").await? == self.kept,
            "its pods are not the same"
        );
        let node = self.cluster.node("stays").await?.done()?;
        ensure!(text(&node, "/metadata/uid") == self.uid, "another Node");
        let came = self.watched.of("ended");
        ensure!(came.is_empty(), "who had ended came back: {came:?}");
        let review = self
            .supervisor
            .review(&self.ended.worker.credential())
            .await?;
        ensure!(!review.is_yes(), "who had ended was let in");
        Ok(())
    }

    /// Those who may work and those who may not, as long as the machine needs to know.
    async fn settled(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let stays = self.stays.kubelet.renew().await;
            let lease = stays.is_ok_and(|said| said.ok());
            let credential = self.stays.worker.credential();
            let review = self.supervisor.review(&credential).await?;
            if lease && review == Review::node("stays") {
                return self.check().await;
            }
            ensure!(began.elapsed() < WITHIN, "it never came back");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Nodes work on, nobody joins, and an end that nobody could see is seen afterwards.
    async fn the_ledger_is_away(&self) -> anyhow::Result<()> {
        let cluster = self.cluster;
        let late = Member::join(cluster, &self.ca, "late").await?;
        let fresh = cluster.worker("fresh").await?;
        let unjoined = cluster.worker("unjoined").await?;
        cluster.devnet.faults.silence_streams(true);
        cluster.devnet.faults.fail_reads(true);
        let began = Instant::now();
        // Answers that are fresh still count for so long.
        while self.supervisor.review(&fresh.credential()).await?.is_yes() {
            ensure!(began.elapsed() < WITHIN, "never refused");
            tokio::time::sleep(LOOK).await;
        }
        let away = Instant::now();
        let mut looks = 0;
        while away.elapsed() < OUTAGE || looks < 20 {
            for worker in [&fresh, &unjoined] {
                let review = self.supervisor.review(&worker.credential()).await?;
                ensure!(!review.is_yes(), "joined without a ledger: {review:?}");
            }
            let lease = self.stays.kubelet.renew().await?;
            ensure!(lease.ok(), "a node lost its lease: {lease:?}");
            let ended = self.ended.kubelet.renew().await?;
            ensure!(ended.status == 403, "a node was revived: {ended:?}");
            self.check().await?;
            looks += 1;
            tokio::time::sleep(STALENESS / 10).await;
        }
        ensure!(
            cluster.node("unjoined").await?.status == 404,
            "a Node was made without a ledger"
        );
        // A restart without a ledger forgets no end and harms nobody.
        cluster.kill_server().await?;
        cluster.start_server().await?;
        let restarted = Instant::now();
        while restarted.elapsed() < STALENESS * 3 {
            let ended = self.ended.kubelet.renew().await?;
            let unheard = "the API server asks RBAC where nobody listens, which lets nodes work";
            if ended.status == 403 {
                self.check().await?;
            } else {
                ensure!(ended.status != 201, "{unheard}: {ended:?}");
            }
            tokio::time::sleep(LOOK).await;
        }
        cluster.devnet.faults.fail_reads(false);
        cluster.devnet.faults.silence_streams(false);
        cluster.server_ready().await?;
        self.settled().await?;

        // Ended while nothing was told of it.
        cluster.devnet.faults.silence_streams(true);
        cluster.slash(&late.worker.token).await?;
        cluster.devnet.faults.silence_streams(false);
        cluster.state_is("late", "Cut").await?;
        cluster.node_gone("late").await?;
        fresh.let_in(&self.supervisor).await?;
        self.settled().await
    }

    /// One leads, both answer; the one that leads is killed.
    async fn two_servers(&self) -> anyhow::Result<()> {
        let cluster = self.cluster;
        let other = free_address()?;
        let listen = other.to_string();
        let second = cluster.second_process(&[("listen", &listen)]).await?;
        let Some(mut second) = second else {
            skipped("joining_chaos: two", "no k3s-daas was built: cargo build");
            return Ok(());
        };
        second.ready().await?;
        let supervisors = [
            self.supervisor.clone(),
            Supervisor::at(other, &cluster.pki.ca)?,
        ];
        for round in 0..3 {
            let name = format!("both-{round}");
            let worker = cluster.worker(&name).await?;
            let (one, two) = tokio::join!(
                worker.let_in(&supervisors[0]),
                worker.let_in(&supervisors[1])
            );
            one.and(two)?;
            let member = worker.join(cluster, &self.ca, address(), &name).await?;
            let made = self.watched.of(&name);
            ensure!(made.len() == 1, "made more than once: {made:?}");
            cluster.slash(&worker.token).await?;
            cluster.state_is(&name, "Cut").await?;
            cluster.node_gone(&name).await?;
            for supervisor in &supervisors {
                let review = supervisor.review(&worker.credential()).await?;
                ensure!(!review.is_yes(), "{name}: {review:?}");
            }
            ensure!(member.renew().await?.status == 403, "{name} works on");
            self.check().await?;
            if round == 0 {
                // Whoever leads: the other one goes on.
                cluster.kill_server().await?;
                self.check_with(&supervisors[1]).await?;
                cluster.start_server().await?;
                cluster.server_ready().await?;
            }
        }
        second.kill().await?;
        self.settled().await
    }

    async fn check_with(&self, supervisor: &Supervisor) -> anyhow::Result<()> {
        let worker = self.cluster.worker("alone").await?;
        worker.let_in(supervisor).await?;
        let ended = supervisor.review(&self.ended.worker.credential()).await?;
        ensure!(!ended.is_yes(), "who had ended was let in");
        let harm = self.watched.harm_of("stays");
        ensure!(harm.is_empty(), "{harm:?}");
        Ok(())
    }

    /// Killed at several moments of a join, a cut, a drain and a return; what was begun is finished
    /// by the next one.
    async fn kills(&self, process: Process) -> anyhow::Result<()> {
        let mut process = Some(process);
        if let Some(process) = &mut process {
            process.ready().await?;
        }
        self.settled().await?;
        for (turn, moment) in MOMENTS.into_iter().enumerate() {
            let moment = Duration::from_millis(moment);
            let name = format!("struck-{turn}");
            let worker = self.cluster.worker(&name).await?;

            // A join.
            let credential = worker.credential();
            let review = self.supervisor.review(&credential);
            let (_, struck) = tokio::join!(review, self.strike(&mut process, moment));
            struck?;
            self.check().await?;
            let kubelet = worker
                .join(self.cluster, &self.ca, address(), &name)
                .await
                .context("a join that was interrupted")?;
            let runs = kubelet.keep();

            // A cut.
            self.cluster.slash(&worker.token).await?;
            self.strike(&mut process, moment).await?;
            self.cluster.state_is(&name, "Cut").await?;
            self.cluster.node_gone(&name).await?;
            ensure!(kubelet.renew().await?.status == 403, "{name} works on");
            self.check().await?;

            // A return.
            worker.restake(self.cluster).await?;
            self.strike(&mut process, moment).await?;
            self.cluster.state_is(&name, "Active").await?;
            self.cluster
                .node_until(&name, |said| {
                    said.ok() && !taints(&said.body).iter().any(|key| ours(key))
                })
                .await?;
            self.check().await?;

            // A drain.
            let began = Instant::now();
            while let Err(failure) = kubelet.ready(address(), &name).await {
                ensure!(began.elapsed() < WITHIN, "{failure:#}");
                tokio::time::sleep(LOOK).await;
            }
            self.cluster.completed(&name).await?;
            self.cluster.deploy(&name, &name, 2).await?;
            self.cluster.budget(&name, 0).await?;
            let held = self.cluster.running(&name).await?;
            worker.unstake(self.cluster).await?;
            self.strike(&mut process, moment).await?;
            self.cluster.state_is(&name, "Draining").await?;
            self.cluster
                .node_until(&name, |said| {
                    said.ok() && taints(&said.body).iter().any(|key| ours(key))
                })
                .await?;
            self.strike(&mut process, moment).await?;
            ensure!(
                self.cluster.running(&name).await? == held,
                "a budget was not honoured"
            );
            for pod in &held {
                let (name, node) = (pod.name.clone(), pod.node.clone());
                let ends = Seen::PodEnds { name, node };
                ensure!(
                    self.watched.first(&ends).is_none(),
                    "a budget was not honoured"
                );
            }
            self.cluster.budget(&name, 2).await?;
            self.cluster.state_is(&name, "Cut").await?;
            self.cluster.node_gone(&name).await?;
            drop(runs);
            self.check().await?;
        }
        if let Some(process) = process {
            process.kill().await?;
        }
        self.cluster.start_server().await?;
        self.cluster.server_ready().await?;
        self.settled().await
    }

    /// Kills the process after a moment and starts it anew.
    async fn strike(&self, process: &mut Option<Process>, after: Duration) -> anyhow::Result<()> {
        tokio::time::sleep(after).await;
        if let Some(process) = process.take() {
            process.kill().await?;
        }
        let mut next = self
            .cluster
            .start_process()
            .await?
            .context("the program is gone")?;
        next.ready().await?;
        *process = Some(next);
        Ok(())
    }
}

fn ours(key: &str) -> bool {
    key.starts_with(seal::identity::OUR_PREFIX)
}

/// An address that no other node of this process has (RFC 2544, for benchmarks).
fn address() -> Ipv4Addr {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    Ipv4Addr::from_bits(0xC613_0000 + NEXT.fetch_add(1, Ordering::Relaxed))
}
