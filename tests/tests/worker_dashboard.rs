//! The worker's Grafana dashboard: what Grafana wants of it, and each query run against what a
//! worker serves.

#[allow(dead_code, reason = "another test compares what its pods use")]
#[path = "worker_metrics/load.rs"]
mod load;
#[allow(dead_code, reason = "another test compares all that it reads")]
#[path = "worker_metrics/reader.rs"]
mod reader;

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use k3s_daas_tests::cri::{Containerd, LOOK, Shim, WITHIN, run_pod};
use k3s_daas_tests::e2e::{new_token, workspace};
use k3s_daas_tests::promql::{Page, parse};
use k3s_daas_tests::rig::{funded_wallet, slash};
use seal::Mist;
use serde_json::Value;
use sui_devnet::{Devnet, DevnetConfig};
use sui_ledger::keystore::WalletKey;
use sui_ledger::tx::Stake;

fn dashboard() -> anyhow::Result<Value> {
    let path: PathBuf = workspace().join("k3s-configs/dashboards/k3s-daas-worker.json");
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn list<'a>(value: &'a Value, pointer: &str) -> anyhow::Result<&'a Vec<Value>> {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.with_context(|| format!("there is no list {pointer}"))
}

/// Each query with its panel's title, the dashboard's variables filled in as for "all".
fn queries(dashboard: &Value) -> anyhow::Result<Vec<(String, String)>> {
    let mut queries = Vec::new();
    for panel in list(dashboard, "/panels")? {
        for target in panel
            .pointer("/targets")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let query = text(target, "/expr")
                .replace("$__rate_interval", "1m")
                .replace("$instance", ".*")
                .replace("$namespace", ".*")
                .replace("$pod", ".*");
            ensure!(
                !query.contains('$'),
                "{query} has a variable that is not filled in"
            );
            queries.push((text(panel, "/title").to_owned(), query));
        }
    }
    ensure!(queries.len() > 30, "only {} queries", queries.len());
    Ok(queries)
}

/// The words of a query that are metrics.
fn metrics(query: &str) -> BTreeSet<&str> {
    query
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("k3s_daas_"))
        .collect()
}

#[test]
fn grafana_can_import_it() -> anyhow::Result<()> {
    let dashboard = dashboard()?;
    let version = dashboard.pointer("/schemaVersion").and_then(Value::as_u64);
    ensure!(version >= Some(39), "{version:?}");
    ensure!(text(&dashboard, "/uid") == "k3s-daas-worker");
    ensure!(list(&dashboard, "/links")?.is_empty());
    ensure!(
        !dashboard.to_string().contains("http"),
        "a dashboard has no links outside"
    );
    let variables = list(&dashboard, "/templating/list")?;
    let names: Vec<&str> = variables.iter().map(|one| text(one, "/name")).collect();
    ensure!(
        names == ["datasource", "instance", "namespace", "pod"],
        "{names:?}"
    );
    ensure!(text(&variables[0], "/type") == "datasource");
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in list(&dashboard, "/panels")? {
        let title = text(panel, "/title");
        let id = panel.pointer("/id").and_then(Value::as_u64);
        ensure!(
            ids.insert(id.context("an id")?),
            "{title}: a second panel of its id"
        );
        let at = |key: &str| {
            panel
                .pointer(key)
                .and_then(Value::as_u64)
                .context("a place")
        };
        let (x, y) = (at("/gridPos/x")?, at("/gridPos/y")?);
        let (w, h) = (at("/gridPos/w")?, at("/gridPos/h")?);
        ensure!(x + w <= 24, "{title} is wider than the page");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            ensure!(taken.insert(cell), "{title} lies on another panel");
        }
        let kind = text(panel, "/type");
        ensure!(["row", "timeseries", "stat"].contains(&kind), "{kind}");
        if kind == "row" {
            continue;
        }
        let targets = list(panel, "/targets")?;
        let mut letters = BTreeSet::new();
        for target in targets {
            ensure!(
                letters.insert(text(target, "/refId")),
                "{title}: two of a letter"
            );
            ensure!(
                text(target, "/datasource/uid") == "${datasource}",
                "{title}"
            );
        }
        ensure!(text(panel, "/datasource/uid") == "${datasource}", "{title}");
        ensure!(
            !text(panel, "/fieldConfig/defaults/unit").is_empty(),
            "{title} has no unit"
        );
    }
    Ok(())
}

#[test]
fn its_queries_can_be_read_and_their_metrics_are_documented() -> anyhow::Result<()> {
    let document = std::fs::read_to_string(workspace().join("docs/metrics.md"))?;
    for (title, query) in queries(&dashboard()?)? {
        parse(&query).with_context(|| title.clone())?;
        let found = metrics(&query);
        ensure!(
            !found.is_empty(),
            "{title}: {query} asks for nothing of ours"
        );
        for metric in found {
            let family = metric.strip_suffix("_bucket").unwrap_or(metric);
            let row = format!("| `{family}` |");
            ensure!(document.contains(&row), "docs/metrics.md has no row {row}");
        }
    }
    Ok(())
}

/// Reads and writes that no cache takes.
const DISK: &str = "while :; do
    dd if=/dev/zero of=/data/disk bs=1M count=1 oflag=direct conv=notrunc status=none
    dd if=/data/disk of=/dev/null bs=1M iflag=direct status=none
    sleep 0.2
done";

/// Pods, calls of which one fails, a seal, and a pod that the guard refuses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_queries_have_answers_on_a_real_worker() -> anyhow::Result<()> {
    let Some(containerd) = Containerd::start("worker_dashboard").await? else {
        return Ok(());
    };
    let devnet = Devnet::start(DevnetConfig::for_tests()).await?;
    let ids = devnet.ids.clone();
    let wallet = funded_wallet(&ids, &devnet.faucet_url, WalletKey::generate()?).await?;
    let operator = funded_wallet(&ids, &devnet.faucet_url, devnet.operator.clone()).await?;
    let token = new_token()?;
    let stake = Stake {
        amount: Mist(500_000_000),
        hash: token.credential_hash(),
        node: Some("worker-001".parse()?),
        namespace: None,
        validity_ms: 0,
    };
    wallet.stake(&ids, stake).await?;
    let file = |name: &str, text: &str| -> anyhow::Result<String> {
        let path = containerd.path(name);
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(path.display().to_string())
    };
    let token_file = file("seal.token", token.reveal().as_str())?;
    let contract = file("contract.toml", "")?;
    ids.save(Path::new(&contract))?;

    let mut shim = Shim::hold(&containerd.path("shim"), &containerd.socket())?;
    shim.more = vec![
        format!("--sui-staking-contract={contract}"),
        format!("--node-token-file={token_file}"),
        "--k3s-master-endpoint=https://127.0.0.1:1".to_owned(),
        "--worker-seal-seconds=1".to_owned(),
        "--worker-stats-seconds=1".to_owned(),
    ];
    // Where processes have the numbers that containerd knows them by.
    let root = containerd.proc_root();
    let first = root.components().nth(2).context("a first process")?;
    let target = format!("--target={}", first.as_os_str().display());
    shim.within = ["nsenter", &target, "--pid", "--mount", "--"]
        .map(str::to_owned)
        .to_vec();
    ensure!(shim.start()?, "k3s-daas was not built: cargo build");
    shim.answers().await?;
    let socket = shim.socket();
    reader::count_disks(&containerd.group)?;
    let pod = containerd.pod("default", "web");
    run_pod(&socket, &pod, &["pause"]).await?;
    let pod = containerd.pod("default", "disk");
    load::run(&containerd, pod, DISK).await?;
    let has = |page: &str, series: &str| page.contains(series);
    let queries = queries(&dashboard()?)?;
    let asked: BTreeSet<&str> = queries
        .iter()
        .flat_map(|(_, query)| metrics(query))
        .collect();
    let begun = |page: &str| {
        let is = |name: &&str| page.contains(&format!("\n{name}"));
        asked.iter().all(is)
    };
    let first = until(&shim, |page| {
        begun(page) && has(page, "k3s_daas_worker_seal_usable 1")
    })
    .await?;
    let first = Page::parse(&first, now())?;

    operator.call(&ids, &slash(&ids, &token)?).await?;
    until(&shim, |page| has(page, "k3s_daas_worker_seal_usable 0")).await?;
    let refused = run_pod(&socket, &containerd.pod("default", "late"), &["pause"]).await;
    ensure!(refused.is_err(), "a pod starts on a slashed seal");
    let second = until(&shim, |page| {
        has(
            page,
            "k3s_daas_cri_pods_refused_total{reason=\"slashed\"} 1",
        )
    })
    .await?;
    let second = Page::parse(&second, now())?;

    let pages = [first, second];
    for (title, query) in queries {
        let value = parse(&query)?.value(&pages);
        let value = value.with_context(|| format!("{title}: {query}"))?;
        ensure!(!value.is_empty(), "{title}: {query} has no answer");
    }
    devnet.shutdown().await;
    Ok(())
}

/// The worker's page once it is as wanted.
async fn until(shim: &Shim, wanted: impl Fn(&str) -> bool) -> anyhow::Result<String> {
    let began = Instant::now();
    loop {
        let page = shim.metrics().await?;
        if wanted(&page) {
            return Ok(page);
        }
        ensure!(began.elapsed() < WITHIN, "{page}\n{}", shim.log());
        tokio::time::sleep(LOOK).await;
    }
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
