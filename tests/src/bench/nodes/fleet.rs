//! The nodes: their seals, their registrations, their kubelets.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use tokio::sync::Mutex;

use crate::e2e::Cluster;
use crate::worker::{ClientCa, Kubelet, LOOK, Supervisor, WITHIN, Worker};

/// Seals that one owner may have.
const PER_OWNER: usize = 16;
/// How many do the same at once.
const AT_A_TIME: usize = 16;
/// As kubelet: `nodeLeaseDurationSeconds` 40, renewed each quarter.
const RENEW: Duration = Duration::from_secs(10);
/// As `POST /api/v1/nodes/heartbeat` is to be called.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// The first address: RFC 2544, for benchmarks.
const FIRST: u32 = 0xC612_0001;

/// All of them, in the order of their names.
pub(super) struct Fleet {
    pub(super) workers: Vec<Worker>,
    pub(super) kubelets: Vec<Arc<Kubelet>>,
}

/// How long one join took, ms.
pub(super) struct Joined {
    pub(super) review: f64,
}

/// What the nodes did while they only went on.
pub(super) struct Kept {
    pub(super) leases: usize,
    pub(super) refused: usize,
    /// Of the leases, ms, sorted.
    pub(super) took: Vec<f64>,
}

impl Fleet {
    /// Stakes for all.
    pub(super) async fn stake(cluster: &Cluster, nodes: usize) -> anyhow::Result<Self> {
        let began = Instant::now();
        let owners = (0..nodes).step_by(PER_OWNER).map(async |first| {
            let wallet = Arc::new(cluster.wallet().await?);
            let mut workers = Vec::new();
            for number in first..nodes.min(first + PER_OWNER) {
                let name = format!("sim-{number:04}");
                workers.push(cluster.worker_of(&wallet, &name, 0).await?);
            }
            anyhow::Ok(workers)
        });
        let workers: Vec<Vec<Worker>> = stream::iter(owners)
            .buffered(AT_A_TIME * 2)
            .try_collect()
            .await?;
        let workers: Vec<Worker> = workers.into_iter().flatten().collect();
        progress(&format!("{} seals", workers.len()), began);
        Ok(Self {
            workers,
            kubelets: Vec::new(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.workers.len()
    }

    /// Registers all over the REST API; gives what each took, ms, sorted.
    pub(super) async fn register(&self, cluster: &Cluster, api: &str) -> anyhow::Result<Vec<f64>> {
        let began = Instant::now();
        let client = client(cluster)?;
        let url = format!("https://{api}/api/v1/register-worker");
        let calls = self
            .workers
            .iter()
            .enumerate()
            .map(async |(number, worker)| {
                let token = worker.token.reveal();
                let body = json!({
                    "node_id": worker.name.as_str(), "seal_token": token.as_str(),
                    "ip_address": address(number)?.to_string(),
                    "capacity": {"cpu": "4", "memory": "16Gi", "storage": "100Gi"},
                });
                let asked = Instant::now();
                let answer = client
                    .post(&url)
                    .bearer_auth(token.as_str())
                    .header("content-type", "application/json")
                    .body(body.to_string())
                    .send()
                    .await?;
                let (status, body) = (answer.status(), answer.text().await?);
                ensure!(status.is_success(), "{}: {status} {body}", worker.name);
                anyhow::Ok(milliseconds(asked.elapsed()))
            });
        let took: Vec<f64> = stream::iter(calls)
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await?;
        progress("all registered", began);
        Ok(sorted(took))
    }

    /// Joins all.
    pub(super) async fn join(
        &mut self,
        cluster: &Cluster,
        ca: &ClientCa,
    ) -> anyhow::Result<Vec<Joined>> {
        let began = Instant::now();
        let supervisor = Supervisor::of(cluster)?;
        let done = AtomicUsize::new(0);
        let joins = self
            .workers
            .iter()
            .enumerate()
            .map(async |(number, worker)| {
                let asked = Instant::now();
                worker.let_in(&supervisor).await?;
                let review = milliseconds(asked.elapsed());
                let kubelet = Kubelet::of(cluster, ca, worker.name.as_str())?;
                kubelet.adopt().await?;
                kubelet.ready(address(number)?, "sim").await?;
                kubelet.renew().await?.done()?;
                let so_far = done.fetch_add(1, Ordering::Relaxed) + 1;
                if so_far.is_multiple_of(100) {
                    progress(&format!("{so_far} joined"), began);
                }
                anyhow::Ok((Joined { review }, Arc::new(kubelet)))
            });
        let joined: Vec<(Joined, Arc<Kubelet>)> = stream::iter(joins)
            .buffered(AT_A_TIME)
            .try_collect()
            .await?;
        let (joins, kubelets) = joined.into_iter().unzip();
        self.kubelets = kubelets;
        Ok(joins)
    }

    /// Renews leases and sends heartbeats for a while.
    pub(super) async fn keep(
        &self,
        cluster: &Cluster,
        api: &str,
        time: Duration,
    ) -> anyhow::Result<Kept> {
        let began = Instant::now();
        let client = client(cluster)?;
        let url = format!("https://{api}/api/v1/nodes/heartbeat");
        let kept = Mutex::new(Kept {
            leases: 0,
            refused: 0,
            took: Vec::new(),
        });
        let renewing = self
            .kubelets
            .iter()
            .enumerate()
            .map(async |(number, kubelet)| {
                // Spread over the interval, as a thousand machines are.
                tokio::time::sleep(share(RENEW, number, self.len())).await;
                while began.elapsed() < time {
                    let asked = Instant::now();
                    let said = kubelet.renew().await;
                    let mut kept = kept.lock().await;
                    kept.leases += 1;
                    kept.took.push(milliseconds(asked.elapsed()));
                    kept.refused += usize::from(!said.is_ok_and(|said| said.ok()));
                    drop(kept);
                    tokio::time::sleep(RENEW.saturating_sub(asked.elapsed())).await;
                }
            });
        let beating = self
            .workers
            .iter()
            .enumerate()
            .map(async |(number, worker)| {
                tokio::time::sleep(share(HEARTBEAT, number, self.len())).await;
                while began.elapsed() < time {
                    let asked = Instant::now();
                    let beat = heartbeat(&client, &url, worker).await;
                    kept.lock().await.refused += usize::from(beat.is_err());
                    if let Err(failure) = beat {
                        progress(&format!("heartbeat: {failure:#}"), began);
                    }
                    tokio::time::sleep(HEARTBEAT.saturating_sub(asked.elapsed())).await;
                }
            });
        let going_on = futures::future::join(
            futures::future::join_all(renewing),
            futures::future::join_all(beating),
        );
        // Whatever is under way then is left out.
        let _ = tokio::time::timeout(time, going_on).await;
        progress("went on for a while", began);
        let mut kept = kept.into_inner();
        kept.took.sort_by(f64::total_cmp);
        Ok(kept)
    }
}

async fn heartbeat(client: &reqwest::Client, url: &str, worker: &Worker) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let body = json!({
        "node_id": worker.name.as_str(), "timestamp": u64::try_from(now.as_millis())?,
        "usage": {
            "cpu_usage": 12.5, "memory_usage": 40.0, "pod_count": 3, "container_count": 4,
            "network_rx": 1_000_000, "network_tx": 2_000_000,
        },
    });
    let answer = client
        .post(url)
        .bearer_auth(worker.token.reveal().as_str())
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status.is_success(), "{status} {text}");
    Ok(())
}

fn client(cluster: &Cluster) -> anyhow::Result<reqwest::Client> {
    let tls = super::super::ours::client_tls(&cluster.pki.ca)?;
    Ok(reqwest::Client::builder()
        .use_preconfigured_tls((*tls).clone())
        .timeout(WITHIN)
        .no_proxy()
        .build()?)
}

fn address(number: usize) -> anyhow::Result<Ipv4Addr> {
    let number = u32::try_from(number)?;
    let address = FIRST.checked_add(number).context("too many nodes")?;
    Ok(Ipv4Addr::from_bits(address))
}

fn share(of: Duration, number: usize, all: usize) -> Duration {
    of.mul_f64(number as f64 / all.max(1) as f64)
}

pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

pub(super) fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The value that this share of the sorted ones does not exceed.
pub(super) fn at(sorted: &[f64], share: f64) -> f64 {
    let index = (sorted.len() as f64 * share).ceil() as usize;
    let found = sorted.get(index.saturating_sub(1));
    found.copied().unwrap_or(f64::NAN)
}

/// A histogram's buckets, all its series together: upper bound and how many lie below.
pub(super) fn buckets(metrics: &str, name: &str) -> Vec<(f64, f64)> {
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    for line in metrics.lines() {
        let Some(rest) = line
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix("_bucket{"))
        else {
            continue;
        };
        let bound = rest
            .split_once("le=\"")
            .and_then(|(_, rest)| rest.split_once('"'));
        let bound = bound.and_then(|(bound, _)| match bound {
            "+Inf" => Some(f64::INFINITY),
            bound => bound.parse().ok(),
        });
        let count = rest
            .rsplit(' ')
            .next()
            .and_then(|count| count.parse::<f64>().ok());
        let (Some(bound), Some(count)) = (bound, count) else {
            continue;
        };
        match buckets.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, sum)) => *sum += count,
            None => buckets.push((bound, count)),
        }
    }
    buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    buckets
}

/// The bound of the bucket in which this share lies.
pub(super) fn quantile(buckets: &[(f64, f64)], share: f64) -> f64 {
    let all = buckets.last().map_or(0.0, |(_, count)| *count);
    let found = buckets.iter().find(|(_, count)| *count >= all * share);
    found.map_or(f64::NAN, |(bound, _)| *bound)
}

/// For whoever waits.
pub(super) fn progress(what: &str, since: Instant) {
    use std::io::Write as _;
    let line = format!("nodes: {what} ({:.1} s)", since.elapsed().as_secs_f64());
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Waits a moment between two looks.
pub(super) async fn look() {
    tokio::time::sleep(LOOK).await;
}
