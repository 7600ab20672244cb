//! What the gate costs, and how soon it closes what a slash ends.
//!
//! Shape:  each pair is measured side by side, request by request or round by round, directly and
//!         through the gate. Gate and servers have processes of their own, but for what is measured
//!         at a real API server: there the gate is that of the server's process, which is this one.

mod client;
mod idle;
mod parts;
mod requests;
mod slashes;
mod streams;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::report::Report;
use crate::e2e::Cluster;

pub use parts::serve;

/// The design's checkpoint interval.
const INTERVAL: Duration = Duration::from_millis(250);

/// Measures and reports; gives whether it could measure all. Names of parts: `requests`, `streams`,
/// `idle`, `api-server`, `slash`. Skips the last two loudly where there is no control plane.
pub async fn measure(report: &mut Report, only: &[String]) -> anyhow::Result<bool> {
    const PARTS: [&str; 5] = ["requests", "streams", "idle", "api-server", "slash"];
    if let Some(unknown) = only.iter().find(|one| !PARTS.contains(&one.as_str())) {
        bail!("there is no part {unknown}: {}", PARTS.join(", "));
    }
    let wanted = |name: &str| only.is_empty() || only.iter().any(|one| one == name);
    if wanted("requests") {
        requests::at_a_bare_server(report).await?;
    }
    if wanted("streams") {
        streams::measure(report).await?;
    }
    if wanted("idle") {
        idle::measure(report).await?;
    }
    if !wanted("api-server") && !wanted("slash") {
        return Ok(true);
    }
    let settings = [
        ("gate_new_per_second", "100000"),
        ("gate_max_per_peer", "5000"),
    ];
    let Some(cluster) = Cluster::start(INTERVAL, &settings).await? else {
        crate::e2e::skipped("bench gate", "no control plane was found");
        return Ok(false);
    };
    if wanted("api-server") {
        requests::at_an_api_server(report, &cluster).await?;
    }
    if wanted("slash") {
        slashes::measure(report, &cluster).await?;
    }
    cluster.stop().await;
    Ok(true)
}

/// The host and port of an API server's URL.
fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let host = url.strip_prefix("https://").context("no https URL")?;
    Ok(host.trim_end_matches('/').parse()?)
}

/// Certificates for a part of the benchmark, made once a folder.
fn pki(folder: &Path) -> anyhow::Result<webhook_server::pki::DevPki> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    Ok(webhook_server::pki::DevPki::generate(folder, &names)?)
}
