//! What ends with an owner's last seal, when, and what comes back: workloads and service accounts
//! of real namespaces at a real API server, through slash, expiry, unstake, revocation, outages and
//! restarts of the server.
//!
//! The grace is 3 s and the retention 25 s: short enough to wait for a life, long enough for the
//! restarts and kills between an end and a return on a busy machine.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use http::Method;
use k3s_daas_tests::e2e::{Caller, Cluster, Process, new_token, skipped};
use k3s_daas_tests::life::{Life, PODS, WITHIN};
use k3s_daas_tests::rig::{slash, stake};
use seal::{Mist, SealToken};
use serde_json::json;
use sui_ledger::tx::{Call, Wallet};

const INTERVAL: Duration = Duration::from_millis(20);
const DEVELOPER: Mist = Mist(2_000_000_000);
const ADMIN: Mist = Mist(5_000_000_000);
const GRACE: Duration = Duration::from_secs(3);
const SETTINGS: [(&str, &str); 3] = [
    ("namespace_grace_seconds", "3"),
    ("namespace_retention_seconds", "25"),
    ("max_staleness_seconds", "2"),
];
/// What the settings say.
const RETENTION: Duration = Duration::from_secs(25);
/// The shortest that the contract allows.
const VALIDITY_MS: u64 = 60_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_seal_carries_ends_with_it_and_comes_back_with_the_next() {
    let all = tokio::time::timeout(Duration::from_mins(6), all());
    all.await.expect("the lives took too long").unwrap();
}

async fn all() -> anyhow::Result<()> {
    let Some(cluster) = Cluster::start(INTERVAL, &SETTINGS).await? else {
        skipped(
            "tenancy",
            "no control plane: set K3S_BIN or run `make control-plane`",
        );
        return Ok(());
    };
    // Seals may expire after a minute from now on.
    cluster.validity_from(VALIDITY_MS).await?;
    let expiring = Life::begin(&cluster, "expiry, refresh", DEVELOPER, VALIDITY_MS).await?;
    let expires = Instant::now() + Duration::from_millis(VALIDITY_MS);
    let mut lines = vec![
        "| what | owner refused | account refused | state ended | pods 0 | stopped | back | account back | its watch |".to_owned(),
    ];
    let (slashed, unstaked, revoked, second, tier) = tokio::try_join!(
        a_slash_ends_and_a_restake_brings_back(&cluster),
        an_unstake_ends_and_a_new_stake_brings_back(&cluster),
        a_revocation_ends_for_good_after_the_retention(&cluster),
        another_seal_keeps_all_alive(&cluster),
        the_quota_goes_by_the_tier(&cluster),
    )?;
    lines.extend([slashed, unstaked, revoked, second, tier]);
    lines.push(an_unreadable_chain_denies_accounts_and_ends_nothing(&cluster).await?);
    lines.push(restarts_change_nothing(&cluster).await?);
    let left = expires.saturating_duration_since(Instant::now());
    tokio::time::sleep(left).await;
    lines.push(an_expiry_ends_and_a_refresh_brings_back(&cluster, expiring, expires).await?);
    cluster.kill_server().await?;
    match cluster.start_process().await? {
        Some(mut process) => {
            process.ready().await?;
            let process = settings_change_without_a_restart(&cluster, process).await?;
            lines.push(kills_change_nothing(&cluster, process).await?);
        }
        None => skipped("tenancy: kill -9", "no k3s-daas was built beside the tests"),
    }
    println!("{}", lines.join("\n"));
    cluster.stop().await;
    Ok(())
}

async fn a_slash_ends_and_a_restake_brings_back(cluster: &Cluster) -> anyhow::Result<String> {
    let mut life = Life::begin(cluster, "slash, restake", DEVELOPER, 0).await?;
    let call = slash(&cluster.devnet.ids, &life.token)?;
    life.ends_by(Some(&cluster.operator), &call).await?;
    life.stops().await?;
    let call = Call::Restake {
        token: life.object().await?,
        amount: DEVELOPER,
    };
    let at = Instant::now();
    life.wallet.call(&cluster.devnet.ids, &call).await?;
    life.is_back(at).await?;
    Ok(life.line())
}

async fn an_unstake_ends_and_a_new_stake_brings_back(cluster: &Cluster) -> anyhow::Result<String> {
    let mut life = Life::begin(cluster, "unstake, new stake", DEVELOPER, 0).await?;
    let call = Call::RequestUnstake {
        token: life.object().await?,
    };
    life.ends_by(None, &call).await?;
    life.stops().await?;
    let at = Instant::now();
    life.stakes_again(DEVELOPER).await?;
    life.is_back(at).await?;
    Ok(life.line())
}

async fn a_revocation_ends_for_good_after_the_retention(
    cluster: &Cluster,
) -> anyhow::Result<String> {
    let mut life = Life::begin(cluster, "revoke, retention over", DEVELOPER, 0).await?;
    let before = life.uid().await?;
    let call = Call::Revoke {
        cap: cluster.devnet.ids.caps.slash.context("a SlashCap")?,
        hash: life.token.credential_hash(),
        reason: "tested".to_owned(),
    };
    let at = Instant::now();
    life.ends_by(Some(&cluster.operator), &call).await?;
    life.stops().await?;
    let path = life.namespace_path();
    let gone = cluster.until_said(&Caller::Operator, &path, WITHIN, |said| said.status == 404);
    gone.await?;
    let gone = at.elapsed();
    ensure!(
        gone > Duration::from_secs(11),
        "gone after {gone:?} already"
    );
    life.stakes_again(DEVELOPER).await?;
    let again = Instant::now();
    life.active().await?;
    ensure!(life.uid().await? != before, "the old namespace is back");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}});
    let owner = Caller::from(&life.token);
    cluster
        .create(&owner, &format!("{path}/configmaps"), &map)
        .await?;
    Ok(format!(
        "{} gone after {} ms, a new one after {} ms",
        life.line(),
        gone.as_millis(),
        again.elapsed().as_millis()
    ))
}

async fn another_seal_keeps_all_alive(cluster: &Cluster) -> anyhow::Result<String> {
    let mut life = Life::begin(cluster, "slash of one of two", DEVELOPER, 0).await?;
    let first = life.token.credential_hash();
    life.stakes_again(DEVELOPER).await?;
    life.active().await?;
    let call = Call::Revoke {
        cap: cluster.devnet.ids.caps.slash.context("a SlashCap")?,
        hash: first,
        reason: "tested".to_owned(),
    };
    cluster.operator.call(&cluster.devnet.ids, &call).await?;
    life.stays_for(GRACE * 2).await?;
    ensure!(life.watches(), "its account's watch was ended");
    Ok(life.line())
}

async fn the_quota_goes_by_the_tier(cluster: &Cluster) -> anyhow::Result<String> {
    let life = Life::begin(cluster, "tier", DEVELOPER, 0).await?;
    let quota = async |pods: &str| {
        let at = Instant::now();
        life.pods_allowed(pods).await?;
        anyhow::Ok(at.elapsed().as_millis())
    };
    quota("50").await?;
    let call = Call::Restake {
        token: life.object().await?,
        amount: Mist(ADMIN.0 - DEVELOPER.0),
    };
    life.wallet.call(&cluster.devnet.ids, &call).await?;
    let raised = quota("150").await?;
    // Another seal of developer is what is left when this one is given back.
    let other = new_token()?;
    stake(&life.wallet, &cluster.devnet.ids, &other, DEVELOPER).await?;
    let call = Call::RequestUnstake {
        token: life.object().await?,
    };
    life.wallet.call(&cluster.devnet.ids, &call).await?;
    let lowered = quota("50").await?;
    Ok(format!(
        "| tier: quota raised after {raised} ms, lowered after {lowered} ms |"
    ))
}

async fn an_unreadable_chain_denies_accounts_and_ends_nothing(
    cluster: &Cluster,
) -> anyhow::Result<String> {
    let life = Life::begin(cluster, "ledger unreachable", DEVELOPER, 0).await?;
    cluster.devnet.faults.stall(true);
    let at = Instant::now();
    let refused = life.account_says(|said| !said.ok()).await?;
    while at.elapsed() < GRACE * 2 {
        ensure!(!life.account_once().await?.ok(), "an account got through");
        ensure!(life.state().await? == "active", "an outage ended it");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    life.all_runs(PODS).await?;
    cluster.devnet.faults.stall(false);
    let again = life.account_says(|said| said.ok()).await?;
    Ok(format!(
        "| ledger unreachable: account refused after {} ms, workloads stay; allowed {} ms after |",
        refused.as_millis(),
        again.as_millis()
    ))
}

/// The server is down at each change of state, and finds the way from what stands there.
async fn restarts_change_nothing(cluster: &Cluster) -> anyhow::Result<String> {
    let mut life = Life::begin(cluster, "restarts", DEVELOPER, 0).await?;
    let ids = cluster.devnet.ids.clone();
    // Down at the end: it is found at the start.
    cluster.kill_server().await?;
    let call = slash(&ids, &life.token)?;
    cluster.operator.call(&ids, &call).await?;
    cluster.start_server().await?;
    life.state_is("ended").await?;
    // Down when the grace is over.
    cluster.kill_server().await?;
    tokio::time::sleep(GRACE).await;
    ensure!(life.state().await? == "ended");
    cluster.start_server().await?;
    life.stops().await?;
    // Down when the owner comes back.
    cluster.kill_server().await?;
    let call = Call::Restake {
        token: life.object().await?,
        amount: DEVELOPER,
    };
    life.wallet.call(&ids, &call).await?;
    cluster.start_server().await?;
    let at = Instant::now();
    life.is_back(at).await?;
    Ok(format!(
        "| restarts at each change: back {} ms after the last start |",
        at.elapsed().as_millis()
    ))
}

async fn an_expiry_ends_and_a_refresh_brings_back(
    cluster: &Cluster,
    mut life: Life<'_>,
    expires: Instant,
) -> anyhow::Result<String> {
    life.ended_since(expires).await?;
    life.stops().await?;
    let token = new_token()?;
    let call = Call::Refresh {
        token: life.object().await?,
        new_hash: token.credential_hash(),
        validity_ms: 0,
    };
    let at = Instant::now();
    life.wallet.call(&cluster.devnet.ids, &call).await?;
    life.token = token;
    life.is_back(at).await?;
    Ok(life.line())
}

/// The server's process is killed in the middle of each pass.
async fn kills_change_nothing(cluster: &Cluster, process: Process) -> anyhow::Result<String> {
    let restarted = async || {
        let process = cluster.start_process().await?;
        process.context("it was there before")
    };
    let mut life = Life::begin(cluster, "kill -9", DEVELOPER, 0).await?;
    let ids = &cluster.devnet.ids;
    let call = slash(ids, &life.token)?;
    let slashed = Instant::now();
    cluster.operator.call(ids, &call).await?;
    life.state_is("ended").await?;
    process.kill().await?;
    let process = restarted().await?;
    life.one_is_scaled_to(0).await?;
    process.kill().await?;
    let process = restarted().await?;
    life.stops().await?;
    let call = Call::Restake {
        token: life.object().await?,
        amount: DEVELOPER,
    };
    life.wallet.call(ids, &call).await?;
    // Later it would be deleted, and rightly so.
    let restaked = slashed.elapsed();
    ensure!(restaked < RETENTION, "restaked only after {restaked:?}");
    life.one_is_scaled_to(3).await?;
    process.kill().await?;
    let mut process = restarted().await?;
    let at = Instant::now();
    life.is_back(at).await?;
    process.ready().await?;
    let line = format!(
        "| kill -9 in each pass: restaked {} ms after the slash, back {} ms after the last start |",
        restaked.as_millis(),
        at.elapsed().as_millis()
    );
    process.kill().await?;
    Ok(line)
}

/// Who may be admin is changed, changed back, and changed to nonsense.
async fn settings_change_without_a_restart(
    cluster: &Cluster,
    mut process: Process,
) -> anyhow::Result<Process> {
    let (_wallet, admin): (Wallet, SealToken) = cluster.tenant(ADMIN).await?;
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "by-an-admin"}});
    let creates = async || {
        let (method, path) = (Method::POST, "/api/v1/namespaces?dryRun=All");
        let admin = Caller::from(&admin);
        let said = cluster.ask(&admin, method, path, Some(&namespace));
        anyhow::Ok(said.await?.status)
    };
    ensure!(creates().await? == 201, "an admin makes namespaces");
    for (owners, wanted) in [("none", 403), ("any", 201), ("none", 403)] {
        process.reconfigure(&[("elevated_owners", owners)]).await?;
        let at = Instant::now();
        while creates().await? != wanted {
            ensure!(at.elapsed() < WITHIN, "{owners}: not {wanted}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        println!(
            "elevated_owners: {owners} after {} ms",
            at.elapsed().as_millis()
        );
    }
    // Nonsense keeps what was there.
    process.reconfigure(&[("elevated_owners", "me")]).await?;
    let rejected = "k3s_daas_config_reloads_total{outcome=\"rejected\"} 1";
    let at = Instant::now();
    while !process.operations("/metrics").await?.1.contains(rejected) {
        ensure!(at.elapsed() < WITHIN, "nothing was rejected");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    ensure!(creates().await? == 403, "nonsense made somebody admin");
    process.reconfigure(&[("elevated_owners", "any")]).await?;
    Ok(process)
}
