//! Heartbeats towards a cluster that fails, or that is another one.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod cluster;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cri_shim::heartbeat::{BeatMetrics, Beats, ClusterClient, ClusterTrust, HeartbeatSettings};
use cri_shim::standing::now;
use cri_shim::stats::Summary;
use prometheus_client::registry::Registry;
use seal::SealToken;
use tokio_util::task::AbortOnDropHandle;

use cluster::{Cluster, Does};

const EVERY: Duration = Duration::from_millis(100);
/// An attempt ends after 15 s, of which its connection took some, and there is a pause after it.
const SLOW: Duration = Duration::from_secs(14);

/// A machine that tells its figures.
struct Machine {
    registry: Registry,
    token: Arc<Mutex<Option<SealToken>>>,
    _beats: AbortOnDropHandle<()>,
}

fn token(byte: u8) -> SealToken {
    SealToken::from_bytes([byte; 32])
}

impl Machine {
    fn start(cluster: &Cluster) -> Self {
        Self::of(cluster, &cluster.ca, 20, Some(token(7)))
    }

    fn of(cluster: &Cluster, ca: &[u8], kept: usize, own: Option<SealToken>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let trust = ClusterTrust::Bundle(ca.to_vec());
        let endpoint = format!("https://{}", cluster.address);
        let client = ClusterClient::new(&endpoint, &trust).unwrap();
        let mut registry = Registry::default();
        let metrics = BeatMetrics::register(&mut registry);
        let settings = HeartbeatSettings {
            every: EVERY,
            kept,
            ..HeartbeatSettings::new("worker-001".parse().unwrap())
        };
        // The time of figures is in seconds: each look is at another one, none of them too old.
        let second = AtomicU64::new(now().0 / 1_000 - 200);
        let figures = move || {
            Some(Summary {
                cpu_usage: Some(12.5),
                memory_usage: None,
                pod_count: Some(3),
                container_count: Some(4),
                network_rx: Some(5),
                network_tx: Some(6),
                timestamp: second.fetch_add(1, Ordering::Relaxed),
            })
        };
        let shared = Arc::new(Mutex::new(own));
        let own = Arc::clone(&shared);
        let beats = Beats::new(settings, client, metrics, figures, move || {
            own.lock().unwrap().clone()
        });
        assert!(!format!("{beats:?}").contains("0707"), "{beats:?}");
        Self {
            registry,
            token: shared,
            _beats: AbortOnDropHandle::new(tokio::spawn(beats.run())),
        }
    }

    fn counted(&self, result: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let name = format!("k3s_daas_worker_heartbeats_total{{result=\"{result}\"}} ");
        let found = text.lines().find_map(|line| line.strip_prefix(&name));
        found.unwrap_or("0").parse().unwrap()
    }

    async fn until(&self, result: &str, many: u64) {
        let began = Instant::now();
        while self.counted(result) < many {
            assert!(began.elapsed() < Duration::from_mins(1), "{result}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn times(seen: &[cluster::Seen]) -> Vec<u64> {
    let of = |one: &cluster::Seen| one.body["timestamp"].as_u64().unwrap();
    seen.iter().map(of).collect()
}

#[tokio::test]
async fn a_heartbeat_says_what_the_machine_uses_and_whose_it_is() {
    let cluster = Cluster::start([Does::kept()]).await;
    let machine = Machine::start(&cluster);
    let seen = cluster.requests(3).await;
    let head = seen[0].head.to_lowercase();
    assert!(head.starts_with("post /api/v1/nodes/heartbeat http/1.1\r\n"));
    let bearer = format!("authorization: bearer {}", "07".repeat(32));
    assert!(head.lines().any(|line| line == bearer));
    assert!(
        head.lines()
            .any(|line| line == "content-type: application/json")
    );
    let body = seen[0].body.as_object().unwrap();
    let keys: Vec<&String> = body.keys().collect();
    assert_eq!(keys, ["node_id", "timestamp", "usage"]);
    assert_eq!(body["node_id"], "worker-001");
    let usage = serde_json::json!({
        "cpu_usage": 12.5, "pod_count": 3, "container_count": 4, "network_rx": 5, "network_tx": 6,
    });
    assert_eq!(body["usage"], usage, "what is not known is absent");
    assert!(times(&seen).is_sorted());
    machine.until("sent", 3).await;
    assert_eq!(machine.counted("unreachable"), 0);
}

#[tokio::test]
async fn who_shows_another_cas_certificate_is_told_nothing() {
    let cluster = Cluster::start([Does::kept()]).await;
    let other = Cluster::start([Does::kept()]).await;
    let machine = Machine::of(&cluster, &other.ca, 20, Some(token(7)));
    machine.until("unreachable", 2).await;
    assert!(cluster.seen().is_empty());
    assert_eq!(machine.counted("sent"), 0);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Cluster::start([Does::kept()]).await;
    let to = format!("location: https://{}/\r\n", other.address);
    let cluster = Cluster::start([Does::Answer(307, to, "")]).await;
    // It would trust the other one as much.
    let mut both = cluster.ca.clone();
    both.extend(&other.ca);
    let machine = Machine::of(&cluster, &both, 20, Some(token(7)));
    machine.until("refused", 2).await;
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn answers_that_are_none_are_tried_again() {
    let cluster = Cluster::start([Does::Nonsense, Does::HangUp, Does::kept()]).await;
    let machine = Machine::start(&cluster);
    machine.until("sent", 5).await;
    assert_eq!(machine.counted("unreachable"), 2);
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let cluster = Cluster::start([Does::Flood, Does::kept()]).await;
    let machine = Machine::start(&cluster);
    machine.until("sent", 2).await;
    assert_eq!(machine.counted("unreachable"), 1);
    // What is read is 256 KiB; the rest lies in the buffers of two sockets.
    let taken = cluster.flooded();
    assert!(taken < 32 << 20, "{taken} bytes were taken");
}

/// Whether the next heartbeat goes out once the deadline of this one is over.
async fn is_given_up(does: Does) {
    let cluster = Cluster::start([does, Does::kept()]).await;
    let machine = Machine::start(&cluster);
    let seen = cluster.requests(2).await;
    let after = seen[1].at.duration_since(seen[0].at);
    assert!(after >= SLOW, "after {after:?}");
    machine.until("sent", 2).await;
    assert_eq!(machine.counted("unreachable"), 1);
}

#[tokio::test]
async fn a_cluster_that_says_nothing_is_given_up_on() {
    is_given_up(Does::Silence).await;
}

#[tokio::test]
async fn a_cluster_that_drips_is_given_up_on() {
    is_given_up(Does::Drip).await;
}

#[tokio::test]
async fn what_is_refused_is_not_said_again() {
    let problem = "{\"type\":\"urn:k3s-daas:problem:name-not-held\"}";
    for status in [400, 401, 403, 404, 409, 422] {
        let cluster = Cluster::start([Does::Answer(status, String::new(), problem)]).await;
        let machine = Machine::start(&cluster);
        let seen = cluster.requests(4).await;
        let times = times(&seen);
        let all: BTreeSet<&u64> = times.iter().collect();
        assert_eq!(all.len(), times.len(), "{status}: {times:?}");
        machine.until("refused", 4).await;
        // At the pace of looks, not faster.
        let took = seen[3].at.duration_since(seen[0].at);
        assert!(took > EVERY * 2, "{status}: {took:?}");
    }
}

#[tokio::test]
async fn what_waits_is_dropped_with_a_heartbeat_that_is_refused() {
    let cluster = Cluster::start([Does::Answer(503, String::new(), "")]).await;
    let machine = Machine::start(&cluster);
    machine.until("unreachable", 2).await;
    assert_eq!(machine.counted("dropped"), 0);
    cluster.does(Does::Answer(403, String::new(), ""));
    machine.until("refused", 1).await;
    machine.until("dropped", 1).await;
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_made_and_nonsense_is_none() {
    for (asked, least) in [
        ("2", Duration::from_secs(2)),
        ("Wed, 21 Oct 2026 07:28:00 GMT", Duration::ZERO),
        ("-5", Duration::ZERO),
        ("99999999999999999999999", Duration::ZERO),
    ] {
        for status in [429, 503] {
            let header = format!("retry-after: {asked}\r\n");
            let cluster = Cluster::start([Does::Answer(status, header, ""), Does::kept()]).await;
            let machine = Machine::start(&cluster);
            let seen = cluster.requests(2).await;
            let after = seen[1].at.duration_since(seen[0].at);
            assert!(after >= least, "{asked}: {after:?}");
            machine.until("sent", 1).await;
            assert_eq!(machine.counted("refused"), 0);
        }
    }
}

#[tokio::test]
async fn a_bounded_number_waits_for_a_cluster_that_is_away() {
    const KEPT: usize = 3;
    let cluster = Cluster::start([Does::Answer(500, String::new(), "")]).await;
    let machine = Machine::of(&cluster, &cluster.ca, KEPT, Some(token(7)));
    machine.until("dropped", 5).await;
    let tries = cluster.seen();
    let mut shortest = Duration::from_millis(500);
    for two in tries.windows(2) {
        let pause = two[1].at.duration_since(two[0].at);
        assert!(pause >= shortest, "{pause:?}, not {shortest:?}");
        shortest *= 2;
    }
    cluster.does(Does::kept());
    let before = cluster.seen().len();
    let seen = cluster.requests(before + KEPT).await;
    let waited = times(&seen[before..before + KEPT]);
    // The newest first: it is what the cluster shows.
    assert!(waited[0] > waited[1] && waited[1] > waited[2], "{waited:?}");
    machine.until("sent", 5).await;
}

#[tokio::test]
async fn the_token_that_is_there_by_then_is_sent() {
    let cluster = Cluster::start([Does::kept()]).await;
    let machine = Machine::of(&cluster, &cluster.ca, 20, None);
    machine.until("skipped", 3).await;
    assert!(cluster.seen().is_empty());
    for byte in [1, 2] {
        *machine.token.lock().unwrap() = Some(token(byte));
        let before = cluster.seen().len();
        let seen = cluster.requests(before + 3).await;
        let wanted = format!("0{byte}").repeat(32);
        assert!(seen.last().unwrap().head.contains(&wanted));
    }
    *machine.token.lock().unwrap() = None;
    let skipped = machine.counted("skipped");
    machine.until("skipped", skipped + 2).await;
    let before = cluster.seen().len();
    machine.until("skipped", skipped + 5).await;
    assert_eq!(cluster.seen().len(), before, "nothing is sent without one");
}
