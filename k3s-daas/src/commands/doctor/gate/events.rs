//! Whether the gate is told who is connected: audit events, as its metrics count them.

use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, WatchParams};
use kube::{Client, Error};
use tokio::time::Instant;

use super::super::Check;
use super::super::kubernetes::in_time;
use super::super::webhooks::reachable;
use crate::causes::in_one_line;

const NAME: &str = "audit events";
const TIMEOUT: Duration = Duration::from_secs(5);
/// The API server sends them after 200 ms as they are rendered.
const WITHIN: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_millis(100);
/// Longer than it is looked at.
const WATCH_SECONDS: u32 = 30;

const MEND: &str = "`k3s-daas config render` with gate_listen set writes audit-policy-file and the \
                    audit-webhook arguments: put its files in place, see audit_listen and audit_url, \
                    and start K3s anew; its log says when it can't send them";

/// What the metrics say of the gate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Open now.
    pub(super) connections: u64,
    /// Events that told who is on one of its connections.
    pub(super) told: u64,
    /// All events.
    pub(super) events: u64,
}

/// Reads the text of `/metrics`; none where the server has no gate.
pub(super) fn counts(metrics: &str) -> Option<Counts> {
    let mut counts = Counts::default();
    let mut found = false;
    for line in metrics.lines() {
        let Some((series, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let Ok(value) = value.parse::<u64>() else {
            continue;
        };
        match name {
            "k3s_daas_gate_connections" => {
                counts.connections = counts.connections.saturating_add(value);
            }
            "k3s_daas_gate_events_total" => {
                found = true;
                counts.events = counts.events.saturating_add(value);
                let tells = ["attributed", "known"];
                if tells
                    .iter()
                    .any(|one| labels == format!("outcome=\"{one}\"}}"))
                {
                    counts.told = counts.told.saturating_add(value);
                }
            }
            _ => {}
        }
    }
    found.then_some(counts)
}

/// Looks at the counters, and opens a watch through the gate that must make one rise.
pub(super) async fn check(metrics: SocketAddr, through: Option<&Client>) -> Check {
    let url = format!("http://{}/metrics", reachable(metrics));
    let before = match read(&url).await {
        Ok(Some(counts)) => counts,
        Ok(None) => {
            return Check::fail(
                NAME,
                "the server runs without a gate",
                "gate_listen counts from the server's start on: start it anew",
            );
        }
        Err(error) => {
            return Check::warn(
                NAME,
                format!("not looked at, {url} does not answer: {error}"),
                "start `k3s-daas server`; see --metrics-listen",
            );
        }
    };
    let Some(client) = through else {
        return unwatched(
            before,
            "there is no way to ask the API server through the gate",
        );
    };
    let all: Api<Namespace> = Api::all(client.clone());
    let params = WatchParams::default().timeout(WATCH_SECONDS);
    let mut events = match in_time(async { all.watch(&params, "0").await }).await {
        Ok(events) => events.boxed(),
        Err(error) => return unwatched(before, &format!("a watch was not possible: {error}")),
    };
    let until = Instant::now() + WITHIN;
    let mut after = before;
    while after.told <= before.told && Instant::now() < until {
        // The watch has to be read to stay open; that it ends early is seen in the counters.
        let next: Option<Option<Result<_, Error>>> =
            tokio::time::timeout(EVERY, events.next()).await.ok();
        if matches!(next, Some(None | Some(Err(_)))) {
            tokio::time::sleep(EVERY).await;
        }
        if let Ok(Some(counts)) = read(&url).await {
            after = counts;
        }
    }
    watched(before, after)
}

async fn read(url: &str) -> Result<Option<Counts>, String> {
    let asked = async {
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .no_proxy()
            .build()?;
        let answer = client.get(url).send().await?.error_for_status()?;
        answer.text().await
    };
    match asked.await {
        Ok(text) => Ok(counts(&text)),
        Err(error) => Err(in_one_line(&error)),
    }
}

/// After a watch through the gate.
pub(super) fn watched(before: Counts, after: Counts) -> Check {
    if after.told > before.told {
        return Check::ok(
            NAME,
            format!(
                "the gate heard of a watch that was opened through it; {} connections are open",
                after.connections
            ),
        );
    }
    if after.events > before.events {
        return Check::fail(
            NAME,
            "events come, and none told of a watch that was opened through the gate",
            "audit_url must lead from each K3s to the server whose gate is before it; gate_upstream \
             must be K3s itself, with no proxy between",
        );
    }
    let found = if after.events == 0 {
        "no event ever came, not of a watch through the gate either: what is open outlives its seal"
    } else {
        "no event came of a watch that was opened through the gate: what is open outlives its seal"
    };
    Check::fail(NAME, found, MEND)
}

/// Without a watch only what has been can be looked at.
pub(super) fn unwatched(counts: Counts, why: &str) -> Check {
    let Counts {
        connections,
        told,
        events,
    } = counts;
    if told > 0 {
        return Check::ok(
            NAME,
            format!("{told} told of the gate's connections, {connections} are open"),
        );
    }
    let found = match (connections, events) {
        (_, 1..) => format!("{events} came, and none told of a connection of the gate's"),
        (1.., 0) => format!("{connections} connections are open, and no event ever came"),
        (0, 0) => "none yet, and no connection is open".to_owned(),
    };
    Check::warn(NAME, format!("{found} ({why})"), MEND)
}
