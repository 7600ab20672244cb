//! Every known way to more rights than a tier gives, tried with real requests by plain clients
//! against a real API server, each with the proof that the right was not gained.
//!
//! Shape:  [`stage`] sets up one cluster with tenants of each tier; `ways` holds the ways, a small
//!         function each; [`attempt`] notes what stopped a request and what proves it; [`table`]
//!         prints. Ways run several at a time: each makes objects under names of its own.
//! Errors: the test fails when a way succeeds, when something else than expected stops it, and when
//!         a proof fails. With `K3S_DAAS_ESCALATION_TABLE=<path>` the table is written there.
//! Source: Kubernetes documentation, "RBAC good practices", "Privilege escalation prevention and
//!         bootstrapping", "Pod Security Standards"; the threat model in `docs/security.md`.

mod attempt;
mod client;
mod elevated;
mod stage;
mod stopper;
mod table;
mod ways;

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::StreamExt as _;
use k3s_daas::config::Sources;
use k3s_daas::config::keys::{Group as _, LogKeys};
use k3s_daas::logging;
use k3s_daas_tests::e2e::{skipped, workspace};
use seal::Tier;

use crate::attempt::Attempt;
use crate::stage::Stage;
use crate::table::Row;
use crate::ways::Way;

/// How many ways are tried at a time.
const AT_A_TIME: usize = 6;
/// What one way may take.
const WAY_WITHIN: Duration = Duration::from_mins(2);
/// What all of them may take, on a busy machine.
const ALL_WITHIN: Duration = Duration::from_mins(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_tier_finds_a_way_to_more_rights_than_it_gives() {
    let all = tokio::time::timeout(ALL_WITHIN, all());
    let all = all.await.context("the ways took too long");
    if let Err(failure) = all.and_then(|all| all) {
        panic!("{failure}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_sui_buy_no_more_than_two_where_nobody_is_elevated() {
    let tried = tokio::time::timeout(ALL_WITHIN, elevated::nobody_is()).await;
    if let Err(failure) = tried.context("took too long").and_then(|tried| tried) {
        panic!("{failure:#}");
    }
}

async fn all() -> anyhow::Result<()> {
    // `RUST_LOG=info` shows what the server has to say.
    if let Ok(filter) = std::env::var("RUST_LOG") {
        let mut keys = LogKeys::default();
        keys.set("log", &filter);
        logging::start(&keys, &Sources::default())
            .map_err(|failure| anyhow::anyhow!("{failure}"))?;
    }
    let started = Instant::now();
    let Some(stage) = Stage::set().await? else {
        skipped(
            "escalation",
            "no control plane: set K3S_BIN or run `make control-plane`",
        );
        return Ok(());
    };
    let set = started.elapsed();
    let only = std::env::var("K3S_DAAS_ESCALATION_ONLY").unwrap_or_default();
    let tries = ways::all()
        .filter(|(area, way)| area.contains(&only) || way.name.contains(&only))
        .flat_map(|(area, way)| way.tiers.iter().map(move |tier| (area, way, *tier)));
    let rows: Vec<Row> = futures::stream::iter(tries)
        .map(|(area, way, tier)| one(&stage, area, way, tier))
        .buffered(AT_A_TIME)
        .collect()
        .await;
    let kind = stage.cluster.control_plane.kind.label();
    let failed: Vec<String> = rows.iter().flat_map(failures).collect();
    let mut out = std::io::stdout();
    writeln!(out, "{}", table::text(&rows))?;
    let ways = rows
        .iter()
        .map(|row| row.way)
        .collect::<std::collections::BTreeSet<_>>();
    writeln!(
        out,
        "{} ways, {} tries by tier, {} failures; {kind}; {:.1} s, of which {:.1} s to set up",
        ways.len(),
        rows.len(),
        failed.len(),
        started.elapsed().as_secs_f64(),
        set.as_secs_f64(),
    )?;
    stage.cluster.stop().await;
    if let Some(path) = std::env::var_os("K3S_DAAS_ESCALATION_TABLE") {
        std::fs::write(workspace().join(path), table::markdown(&rows))?;
    }
    if failed.is_empty() {
        return Ok(());
    }
    writeln!(std::io::stderr(), "{}", failed.join("\n"))?;
    anyhow::bail!("{} failures", failed.len())
}

async fn one(stage: &Stage, area: &'static str, way: &'static Way, tier: Tier) -> Row {
    let attempt = Attempt::new(stage, tier);
    let tried = tokio::time::timeout(WAY_WITHIN, (way.run)(&attempt)).await;
    let broken = tried.context("took too long").and_then(|tried| tried).err();
    let mut notes = attempt.notes();
    notes
        .failures
        .extend(broken.map(|error| format!("could not be tried: {error:#}")));
    if notes.stopped.is_empty() {
        notes.failures.push("nothing stopped it".to_owned());
    }
    if notes.proofs.is_empty() {
        notes.failures.push("nothing proves that".to_owned());
    }
    Row {
        area,
        way: way.name,
        tier,
        notes,
    }
}

fn failures(row: &Row) -> impl Iterator<Item = String> {
    let failures = row.notes.failures.iter();
    failures.map(|failure| format!("{}: {} ({}): {failure}", row.area, row.way, row.tier))
}

#[test]
fn every_way_has_a_name_of_its_own_and_a_tier() {
    let mut names = std::collections::BTreeSet::new();
    for (_, way) in ways::all() {
        assert!(names.insert(way.name), "{} twice", way.name);
        assert!(!way.tiers.is_empty(), "{}", way.name);
        assert!(!way.name.contains('|'), "{}", way.name);
    }
}

#[test]
fn the_document_has_a_row_for_every_way_and_no_other() {
    let path = workspace().join("docs/escalation.md");
    let document =
        std::fs::read_to_string(path).expect("docs/escalation.md: run `make escalation`");
    let documented: std::collections::BTreeSet<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .filter(|first| !matches!(*first, "way" | "---"))
        .collect();
    let known: std::collections::BTreeSet<&str> = ways::all().map(|(_, way)| way.name).collect();
    assert_eq!(documented, known, "run `make escalation`");
    assert!(!document.contains("NOTHING"));
}
