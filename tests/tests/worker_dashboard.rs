//! The worker's Grafana dashboard: what Grafana wants of it, and each query run against what a
//! worker serves.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use k3s_daas_tests::e2e::workspace;
use k3s_daas_tests::promql::parse;
use serde_json::Value;

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
