//! A machine joins a cluster and tells it what it uses: a real API server, the built program as its
//! server with the REST API over TLS, and the built program as the worker.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, ensure};
use k3s_configs::access::{CaHash, join_token};
use k3s_daas_tests::e2e::{Caller, Cluster, Process, Said, free_address, skipped};
use k3s_daas_tests::worker::text;
use seal::SealToken;
use serde_json::{Value, json};

use super::machine::{Machine, NODE, WITHIN, mode, now_ms, until};
use crate::passes;

const TEST: &str = "worker_api: a machine joins";
const INTERVAL: Duration = Duration::from_millis(20);
/// A heartbeat comes every 30 s; after an outage a try comes within a minute.
const BEATS_WITHIN: Duration = Duration::from_secs(150);
/// Longer than it takes until two heartbeats wait.
const TWO_BEATS: Duration = Duration::from_secs(68);
/// The machine's address, as it registers (RFC 2544, for benchmarks).
const ADDRESS: &str = "198.18.77.1";
/// The API server as machines would reach it; an agent's own machine is refused.
const MASTER: &str = "https://k3s.example.org:6443";
const FOREIGN: &str = "server: https://elsewhere.example.org:6443\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_joins_and_tells_what_it_uses() {
    passes(async {
        let api = free_address()?.to_string();
        let settings = [("api_listen", api.as_str())];
        let Some(cluster) = Cluster::start_without_gate(INTERVAL, &settings).await? else {
            let why = "no control plane: set K3S_BIN or run `make control-plane`";
            skipped(TEST, why);
            return Ok(());
        };
        cluster.kill_server().await?;
        let ca = cluster.pki.ca.display().to_string();
        let k3s = [
            ("k3s.master_endpoint", MASTER),
            ("k3s.api_endpoint", &format!("https://{api}")),
            ("security.api_ca", &ca),
            ("node.ip", ADDRESS),
        ];
        let Some(mut machine) = Machine::new(TEST, &cluster.devnet, &k3s).await? else {
            return Ok(());
        };
        machine.start().await?;
        let node = json!({"node_id": NODE});
        let early = machine.order("register", &node).await?;
        early.is_problem(409, "not-staked")?;
        let staked = machine.order("staking", &machine.stake()).await?.done()?;
        let token = SealToken::parse(staked["seal_token"].as_str().unwrap())?;
        let away = machine.order("register", &node).await?;
        away.is_problem(503, "cluster-unavailable")?;
        assert!(!machine.path("k3s/config.yaml").exists());

        let mut server = started(&cluster).await?;
        registers(&cluster, &machine, &token)
            .await
            .context("registering")?;
        let rest = Rest::new(&api, &cluster.pki.ca, &token)?;
        beats(&cluster, &machine, &rest)
            .await
            .context("heartbeats")?;
        server = outage(&cluster, &machine, server)
            .await
            .context("an outage")?;

        cluster.slash(&token).await?;
        let ended = machine.health_says(|seal| seal["state"] == "ended").await?;
        assert_eq!(ended["seal"]["reason"], "slashed");
        // No agent of it was ever there: it has nothing to be cut from.
        let path = format!("/apis/k3s-daas.io/v1/sealednodes/{NODE}");
        let slashed = |said: &Said| text(&said.body, "/status/reason") == "slashed";
        let operator = Caller::Operator;
        cluster
            .until_said(&operator, &path, WITHIN, slashed)
            .await?;
        let refused = machine.order("register", &node).await?;
        refused.is_problem(409, "cluster-refused")?;
        assert!(!machine.log().contains(token.reveal().as_str()));
        server.kill().await?;
        cluster.stop().await;
        Ok(())
    })
    .await;
}

async fn started(cluster: &Cluster) -> anyhow::Result<Process> {
    let server = cluster.start_process().await?;
    let mut server = server.context("the program was not built")?;
    server.ready().await?;
    Ok(server)
}

/// The agent's files, and what the cluster knows then.
async fn registers(cluster: &Cluster, machine: &Machine, token: &SealToken) -> anyhow::Result<()> {
    let node = json!({"node_id": NODE});
    let (config, agent) = (
        machine.path("k3s/config.yaml"),
        machine.path("k3s/k3s-daas.token"),
    );
    std::fs::create_dir_all(machine.path("k3s"))?;
    std::fs::write(&config, FOREIGN)?;
    let in_the_way = machine.order("register", &node).await?;
    in_the_way.is_problem(409, "file-in-the-way")?;
    ensure!(std::fs::read_to_string(&config)? == FOREIGN);
    ensure!(!agent.exists());
    ensure!(
        cluster.sealed_node(NODE).await?.status == 404,
        "nobody was told"
    );
    std::fs::remove_file(&config)?;

    for (body, status, kind) in [
        (json!({"node_id": "worker-002"}), 403, "other-node"),
        (json!({"node_id": NODE, "more": 1}), 400, "malformed-body"),
        (
            json!({"node_id": NODE, "ip_address": "here"}),
            422,
            "invalid-value",
        ),
        // What only the cluster can know.
        (
            json!({"node_id": NODE, "ip_address": "127.0.0.1"}),
            409,
            "cluster-refused",
        ),
    ] {
        let said = machine.order("register", &body).await?;
        said.is_problem(status, kind)
            .with_context(|| body.to_string())?;
        ensure!(!agent.exists() && !config.exists());
    }

    let registered = machine.order("register", &node).await?.done()?;
    ensure!(registered["success"] == true, "{registered}");
    ensure!(registered["node_id"] == NODE, "{registered}");
    ensure!(registered["api_server"] == MASTER, "{registered}");
    ensure!(registered["config_file"] == json!(config), "{registered}");
    ensure!(registered["token_file"] == json!(agent), "{registered}");
    ensure!(mode(&config)? == 0o600 && mode(&agent)? == 0o600);
    let ca = CaHash::of_bundle(cluster.control_plane.ca_pem.as_bytes(), SystemTime::now())?;
    let wanted = join_token(&ca, &token.join_credential());
    ensure!(std::fs::read_to_string(&agent)? == *wanted, "another token");
    let written = std::fs::read_to_string(&config)?;
    for line in [MASTER, &agent.display().to_string(), NODE] {
        ensure!(written.contains(line), "{line}: {written}");
    }
    for text in [&registered.to_string(), &written] {
        ensure!(
            !text.contains(token.reveal().as_str()),
            "the seal token is told"
        );
        ensure!(!text.contains(wanted.as_str()), "the agent's token is told");
    }
    let sealed = cluster.state_is(NODE, "Pending").await?;
    ensure!(
        text(&sealed, "/status/registration/ipAddress") == ADDRESS,
        "{sealed}"
    );
    // Once more is as good.
    let again = machine.order("register", &node).await?.done()?;
    ensure!(again == registered, "{again}");
    ensure!(std::fs::read_to_string(&agent)? == *wanted);
    Ok(())
}

/// The worker's figures on the cluster's side, marked as what they are.
async fn beats(cluster: &Cluster, machine: &Machine, rest: &Rest) -> anyhow::Result<()> {
    let began_ms = now_ms();
    let beat = beat_after(cluster, 0).await?;
    ensure!(sent_ms(&beat) + 60_000 > began_ms, "{beat}");
    for share in ["/cpuUsage", "/memoryUsage"] {
        let share = beat.pointer(share).and_then(Value::as_f64);
        ensure!(
            share.is_some_and(|share| (0.0..=100.0).contains(&share)),
            "{beat}"
        );
    }
    ensure!(beat.get("networkRx").is_some_and(Value::is_u64), "{beat}");
    // Without containerd nobody knows, which is not none.
    ensure!(beat.get("podCount").is_none(), "{beat}");
    ensure!(sent(machine).await? >= 1.0);

    let page = rest.get("/api/v1/nodes").await?;
    let shown = page.pointer("/nodes/0").context("no node")?;
    ensure!(text(shown, "/node_id") == NODE, "{page}");
    ensure!(text(shown, "/registration/ip_address") == ADDRESS, "{page}");
    ensure!(
        shown
            .pointer("/heartbeat/memory_usage")
            .is_some_and(Value::is_f64),
        "{page}"
    );
    let document = rest.get("/openapi.json").await?;
    for of in [
        "Heartbeat/properties/cpu_usage",
        "Registration/properties/cpu",
    ] {
        let mark = format!("/components/schemas/{of}/x-self-reported");
        ensure!(document.pointer(&mark) == Some(&json!(true)), "{mark}");
    }
    Ok(())
}

/// Without a server heartbeats wait; with one they come, the newest first.
async fn outage(cluster: &Cluster, machine: &Machine, server: Process) -> anyhow::Result<Process> {
    let before = sent(machine).await?;
    let failed = async || machine.metric(&beats_that("unreachable")).await;
    let unreachable = failed().await?;
    server.kill().await?;
    let (killed, killed_ms) = (Instant::now(), now_ms());
    until("a heartbeat waits", BEATS_WITHIN, async || {
        Ok(failed().await? > unreachable)
    })
    .await?;
    tokio::time::sleep(TWO_BEATS.saturating_sub(killed.elapsed())).await;
    ensure!(sent(machine).await? == before, "to nobody");
    // The worker and its API do not depend on it.
    machine.open("GET", "/health", None).await?.done()?;

    let server = started(cluster).await?;
    until("what waited comes", BEATS_WITHIN, async || {
        Ok(sent(machine).await? >= before + 2.0)
    })
    .await?;
    let beat = beat_after(cluster, killed_ms).await?;
    // The newest of the two is shown, whichever came last.
    ensure!(
        sent_ms(&beat) > killed_ms + 30_000,
        "{beat}, killed at {killed_ms}"
    );
    for lost in ["dropped", "refused"] {
        let lost = machine.metric(&beats_that(lost)).await?;
        ensure!(lost == 0.0, "{lost} were lost");
    }
    Ok(server)
}

/// The SealedNode's heartbeat, once it is one of after this time.
async fn beat_after(cluster: &Cluster, ms: u64) -> anyhow::Result<Value> {
    let path = format!("/apis/k3s-daas.io/v1/sealednodes/{NODE}");
    let of = |body: &Value| {
        body.pointer("/status/heartbeat")
            .cloned()
            .unwrap_or_default()
    };
    let (_, said) = cluster
        .until_said(&Caller::Operator, &path, BEATS_WITHIN, |said| {
            sent_ms(&of(&said.body)) > ms
        })
        .await?;
    Ok(of(&said.body))
}

fn sent_ms(beat: &Value) -> u64 {
    beat.get("sentMs")
        .and_then(Value::as_u64)
        .unwrap_or_default()
}

async fn sent(machine: &Machine) -> anyhow::Result<f64> {
    machine.metric(&beats_that("sent")).await
}

fn beats_that(result: &str) -> String {
    format!("k3s_daas_worker_heartbeats_total{{result=\"{result}\"}}")
}

/// The cluster's REST API as the machine's owner sees it.
struct Rest {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Rest {
    fn new(address: &str, ca: &Path, token: &SealToken) -> anyhow::Result<Self> {
        let ca = reqwest::Certificate::from_pem_bundle(&std::fs::read(ca)?)?;
        Ok(Self {
            http: reqwest::Client::builder()
                .tls_certs_only(ca)
                .timeout(WITHIN)
                .no_proxy()
                .build()?,
            url: format!("https://{address}"),
            token: token.reveal().as_str().to_owned(),
        })
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.http.get(format!("{}{path}", self.url));
        let answer = request.bearer_auth(&self.token).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}
