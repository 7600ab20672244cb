//! What the gate ends, and what it leaves alone: at a real API server, through the server's own
//! gate, with the audit events that the API server sends.

#[path = "gate/faults.rs"]
mod faults;
#[path = "gate/hostile.rs"]
mod hostile;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use http::Method;
use k3s_daas_tests::e2e::{Caller, Cluster, NODES, home, skipped};
use seal::Mist;
use serde_json::json;

const INTERVAL: Duration = Duration::from_millis(50);
const VIEWER: Mist = Mist(500_000_000);
const DEVELOPER: Mist = Mist(2_000_000_000);
const SUPER: Mist = Mist(10_000_000_000);
/// A slash, a checkpoint, a restake: far more than any of them takes.
const SOON: Duration = Duration::from_secs(30);
/// What tells of itself within this time on a busy machine.
const TOLD: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_connections_end_with_the_seal_and_nobody_else_s_do() {
    let all = tokio::time::timeout(Duration::from_mins(8), all());
    all.await.expect("the gate took too long").unwrap();
}

async fn all() -> anyhow::Result<()> {
    let settings = [("max_staleness_seconds", "5")];
    let Some(cluster) = Cluster::start(INTERVAL, &settings).await? else {
        skipped(
            "gate",
            "no control plane: set K3S_BIN or run `make control-plane`",
        );
        return Ok(());
    };
    a_slash_ends_a_watch_and_another_s_goes_on(&cluster).await?;
    what_nobody_was_seen_on_ends_with_its_address(&cluster).await?;
    a_shared_connection_ends_with_the_first(&cluster).await?;
    a_forged_source_names_nobody(&cluster).await?;
    an_impersonator_is_known_by_its_own_seal(&cluster).await?;
    a_refreshed_and_an_unstaked_seal_lose_their_watches(&cluster).await?;
    an_account_s_watch_ends_with_its_owner_s_last_seal(&cluster).await?;
    an_operator_ends_connections_by_hand(&cluster).await?;
    hostile::others_notice_nothing(&cluster).await?;
    told_in_metrics(&cluster).await?;
    faults::a_restart_lets_nobody_in(&cluster).await?;
    faults::a_late_event_ends_what_it_names(&cluster).await?;
    faults::lost_events_leave_open_what_is_told(&cluster).await?;
    faults::a_gate_killed_with_9_lets_nobody_in(&cluster).await?;
    cluster.stop().await;
    Ok(())
}

fn ip(last: u8) -> IpAddr {
    [127, 0, 0, last].into()
}

async fn a_slash_ends_a_watch_and_another_s_goes_on(cluster: &Cluster) -> anyhow::Result<()> {
    let (_, slashed) = cluster.tenant(VIEWER).await?;
    let (_, other) = cluster.tenant(VIEWER).await?;
    let mut ending = cluster.watch_nodes(&slashed, ip(1)).await?;
    let mut staying = cluster.watch_nodes(&other, ip(1)).await?;
    let began = Instant::now();
    cluster.slash(&slashed).await?;
    ending.breaks_off(SOON).await.context("its watch ends")?;
    println!(
        "a watch ended {} ms after the slash was sent",
        began.elapsed().as_millis()
    );
    ensure!(staying.goes_on().await, "another's watch was ended");
    Ok(())
}

/// An agent's tunnel, a call that is not audited, an event that was lost: known by the peer alone.
async fn what_nobody_was_seen_on_ends_with_its_address(cluster: &Cluster) -> anyhow::Result<()> {
    let (_, slashed) = cluster.tenant(VIEWER).await?;
    let _seen = cluster.watch_nodes(&slashed, ip(11)).await?;
    let (here, elsewhere) = (cluster.client_at(ip(11))?, cluster.client_at(ip(12))?);
    let (_, other) = cluster.tenant(VIEWER).await?;
    for client in [&here, &elsewhere] {
        // Kept open by the client; a request that is over is never told of.
        let nodes = client.get(format!("{}{NODES}", cluster.control_plane.url));
        let asked = nodes.bearer_auth(other.reveal().as_str()).send().await?;
        asked.error_for_status()?.bytes().await?;
    }
    let open_at = async |at: IpAddr| {
        let all = cluster.connections().await?;
        let open = all.iter().filter(|one| one.peer.ip() == at);
        anyhow::Ok(open.count())
    };
    ensure!(open_at(ip(11)).await? == 2 && open_at(ip(12)).await? == 1);
    cluster.slash(&slashed).await?;
    let began = Instant::now();
    while open_at(ip(11)).await? > 0 {
        ensure!(began.elapsed() < SOON, "its address has open connections");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ensure!(open_at(ip(12)).await? == 1, "another address lost one");
    Ok(())
}

async fn a_shared_connection_ends_with_the_first(cluster: &Cluster) -> anyhow::Result<()> {
    let (_, slashed) = cluster.tenant(VIEWER).await?;
    let (_, innocent) = cluster.tenant(VIEWER).await?;
    let mut one = cluster.watch_nodes(&slashed, ip(13)).await?;
    // HTTP/2: the same client puts both on one connection.
    let client = one.client.clone();
    let token = innocent.reveal();
    let mut other = cluster
        .watch_with(client, token.as_str(), NODES, &[])
        .await?;
    cluster.until_seen(&innocent).await?;
    let of_two = |all: &[api_gate::ConnectionView]| all.iter().any(|one| one.users.len() == 2);
    ensure!(of_two(&cluster.connections().await?), "they share one");
    cluster.slash(&slashed).await?;
    one.breaks_off(SOON)
        .await
        .context("the slashed one's ends")?;
    other
        .breaks_off(SOON)
        .await
        .context("and so does what shares it")?;
    cluster.watch_nodes(&innocent, ip(13)).await?;
    Ok(())
}

async fn a_forged_source_names_nobody(cluster: &Cluster) -> anyhow::Result<()> {
    let (_, victim) = cluster.tenant(VIEWER).await?;
    let (_, forger) = cluster.tenant(VIEWER).await?;
    let mut watched = cluster.watch_nodes(&victim, ip(14)).await?;
    let all = cluster.connections().await?;
    let source = all.iter().find(|one| one.peer.ip() == ip(14));
    let source = source
        .context("the victim's connection")?
        .source
        .to_string();
    let client = cluster.client_at(ip(15))?;
    let headers = [
        ("x-forwarded-for", source.as_str()),
        ("x-real-ip", source.as_str()),
    ];
    let token = forger.reveal();
    let mut forged = cluster
        .watch_with(client, token.as_str(), NODES, &headers)
        .await?;
    cluster.until_seen(&forger).await?;
    cluster.slash(&forger).await?;
    forged
        .breaks_off(SOON)
        .await
        .context("the forger's own ends")?;
    ensure!(watched.goes_on().await, "the victim's watch was ended");
    Ok(())
}

async fn an_impersonator_is_known_by_its_own_seal(cluster: &Cluster) -> anyhow::Result<()> {
    let (_, powerful) = cluster.tenant(SUPER).await?;
    let client = cluster.client_at(ip(16))?;
    let headers = [
        ("impersonate-user", "somebody"),
        ("impersonate-group", "system:masters"),
    ];
    let token = powerful.reveal();
    let mut stream = cluster
        .watch_with(client, token.as_str(), NODES, &headers)
        .await
        .context("the tier super may act as others")?;
    cluster.until_seen(&powerful).await?;
    cluster.slash(&powerful).await?;
    stream.breaks_off(SOON).await.context("its watch ends")?;
    Ok(())
}

async fn a_refreshed_and_an_unstaked_seal_lose_their_watches(
    cluster: &Cluster,
) -> anyhow::Result<()> {
    let mut worker = cluster.worker("gate-ends").await?;
    let mut old = cluster.watch_nodes(&worker.token, ip(17)).await?;
    worker.refresh(cluster).await?;
    old.breaks_off(SOON)
        .await
        .context("the retired token's ends")?;
    let mut new = cluster.watch_nodes(&worker.token, ip(17)).await?;
    worker.unstake(cluster).await?;
    new.breaks_off(SOON)
        .await
        .context("the unstaked seal's ends")?;
    // Slashed and restored: it watches again.
    let worker = cluster.worker("gate-returns").await?;
    let token = &worker.token;
    let mut first = cluster.watch_nodes(token, ip(18)).await?;
    cluster.slash(token).await?;
    first.breaks_off(SOON).await.context("its watch ends")?;
    worker.restake(cluster).await?;
    // For a second what is told of a request counts as told of one from before.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let mut second = cluster.watch_nodes(token, ip(18)).await?;
    ensure!(second.goes_on().await, "a restored seal's watch was ended");
    Ok(())
}

async fn an_account_s_watch_ends_with_its_owner_s_last_seal(
    cluster: &Cluster,
) -> anyhow::Result<()> {
    let (wallet, token) = cluster.tenant(DEVELOPER).await?;
    let namespace = home(&wallet.address());
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    cluster
        .until(&token, &pods, SOON, |status| status == 200)
        .await?;
    let account = cluster.account(&namespace, "watcher", "edit").await?;
    let Caller::Token(of_account) = &account else {
        anyhow::bail!("an account has a token");
    };
    let client = cluster.client_at(ip(19))?;
    let mut watch = cluster.watch_with(client, of_account, &pods, &[]).await?;
    let began = Instant::now();
    while !is_known(cluster, "account").await? {
        ensure!(began.elapsed() < TOLD, "the gate was not told");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cluster.slash(&token).await?;
    watch
        .breaks_off(SOON)
        .await
        .context("the account's watch ends")?;
    Ok(())
}

async fn is_known(cluster: &Cluster, kind: &str) -> anyhow::Result<bool> {
    let all = cluster.connections().await?;
    Ok(all
        .iter()
        .any(|one| one.users.iter().any(|user| user.kind == kind)))
}

async fn an_operator_ends_connections_by_hand(cluster: &Cluster) -> anyhow::Result<()> {
    let (wallet, token) = cluster.tenant(VIEWER).await?;
    let mut watch = cluster.watch_nodes(&token, ip(20)).await?;
    let target = wallet.address().to_string();
    let done = cluster.disconnect(&target).await?;
    ensure!(done.closed == 1, "{done:?}");
    watch.breaks_off(SOON).await.context("it ends")?;
    let mut again = cluster.watch_nodes(&token, ip(20)).await?;
    ensure!(again.goes_on().await, "a usable seal connects again");
    ensure!(cluster.get(&token, NODES).await? == 200);
    Ok(())
}

async fn told_in_metrics(cluster: &Cluster) -> anyhow::Result<()> {
    let metrics = cluster.operations("/metrics").await?;
    let value = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    };
    for name in [
        "k3s_daas_gate_accepted_total",
        "k3s_daas_gate_events_total{outcome=\"attributed\"}",
        "k3s_daas_gate_attribution_delay_seconds_count",
        "k3s_daas_gate_closed_total{reason=\"revoked\"}",
        "k3s_daas_gate_closed_total{reason=\"by_hand\"}",
        "k3s_daas_gate_refused_total{reason=\"not_tls\"}",
    ] {
        ensure!(
            value(name).is_some_and(|value| value > 0.0),
            "{name}: {metrics}"
        );
    }
    let made = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "last"}});
    let path = "/api/v1/namespaces";
    let made = cluster.ask(&Caller::Operator, Method::POST, path, Some(&made));
    ensure!(made.await?.ok(), "the operator comes past the gate");
    Ok(())
}
