//! What a tenant meets at a real API server: access that begins with the stake, ends with the
//! seal, is refused while nobody can tell, and comes back by itself.
//!
//! One control plane for the whole file, so the scenarios run one after the other; each is a
//! function named for what it shows.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use k3s_daas_tests::e2e::{Cluster, NODES, home, new_token, skipped, workspace};
use k3s_daas_tests::rig::{slash, stake};
use seal::{CredentialHash, Mist, SealToken};
use sui_ledger::tx::{Call, Wallet};

const DEVELOPER: Mist = Mist(2_000_000_000);
/// Every 20 ms a checkpoint: what is measured here is the way, not the chain.
const INTERVAL: Duration = Duration::from_millis(20);
/// "Within seconds", with room for a busy machine.
const SECONDS: Duration = Duration::from_secs(5);
const MAX_STALENESS_SECONDS: &str = "2";
/// Staleness, the stream's deadline and a busy machine.
const OUTAGE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_reach_as_far_as_their_seals_at_a_real_api_server() {
    let all = tokio::time::timeout(Duration::from_mins(5), all());
    all.await.expect("the scenarios took too long").unwrap();
}

macro_rules! scenarios {
    ($cluster:ident: $($name:ident),+ $(,)?) => {
        $(
            let started = Instant::now();
            $name(&mut $cluster).await.context(stringify!($name))?;
            println!("{} ({} ms)", stringify!($name), started.elapsed().as_millis());
        )+
    };
}

async fn all() -> anyhow::Result<()> {
    let settings = [("max_staleness_seconds", MAX_STALENESS_SECONDS)];
    let Some(mut cluster) = Cluster::start(INTERVAL, &settings).await? else {
        skipped(
            "e2e_control_plane",
            "no control plane: set K3S_BIN or run `make control-plane`",
        );
        return Ok(());
    };
    scenarios!(cluster:
        a_stake_works_at_once_though_its_token_was_just_refused,
        kubectl_says_why_a_tier_may_not,
        tenants_cannot_see_each_others_secrets,
        a_refresh_retires_the_old_token_and_the_new_one_works,
        an_unstake_ends_access,
        a_slash_ends_access_and_a_restake_brings_it_back,
        a_revocation_ends_access_for_good,
        killed_webhooks_mean_refusal_until_they_are_back,
        a_stalled_chain_means_refusal_until_it_moves_again,
        every_metric_that_is_served_is_documented,
    );
    cluster.stop().await;
    Ok(())
}

fn refused(status: u16) -> bool {
    !(200..300).contains(&status)
}

fn allowed(status: u16) -> bool {
    status == 200
}

/// The seal's object, which its owner manages it by.
async fn seal_object(
    cluster: &Cluster,
    wallet: &Wallet,
    hash: CredentialHash,
) -> anyhow::Result<seal::ObjectId> {
    let tokens = wallet.tokens(&cluster.devnet.ids).await?;
    let found = tokens.iter().find(|token| token.hash == hash);
    Ok(found.context("the wallet has no such seal")?.id)
}

/// Access that works, then ends within seconds of `call`; gives the status that it ended with.
async fn ends_by(
    cluster: &Cluster,
    wallet: &Wallet,
    token: &SealToken,
    call: &Call,
) -> anyhow::Result<()> {
    ensure!(allowed(cluster.get(token, NODES).await?));
    wallet.call(&cluster.devnet.ids, call).await?;
    cluster.until(token, NODES, SECONDS, refused).await?;
    let reply = cluster.kubectl(token, "get nodes").await?;
    ensure!(!reply.ok, "kubectl still works: {}", reply.text);
    Ok(())
}

async fn a_stake_works_at_once_though_its_token_was_just_refused(
    cluster: &mut Cluster,
) -> anyhow::Result<()> {
    let wallet = cluster.wallet().await?;
    let token = new_token()?;
    ensure!(cluster.get(&token, NODES).await? == 401);
    let reply = cluster.kubectl(&token, "get nodes").await?;
    ensure!(
        !reply.ok && reply.text.contains("must be logged in"),
        "{reply:?}"
    );
    stake(&wallet, &cluster.devnet.ids, &token, DEVELOPER).await?;
    // The API server caches a refusal without error for as long as a success: 10 s and more.
    let took = cluster.until(&token, NODES, SECONDS, allowed).await?;
    ensure!(took < Duration::from_secs(2), "only after {took:?}");
    let reply = cluster.kubectl(&token, "auth whoami").await?;
    let user = format!("seal:{}", wallet.address());
    ensure!(reply.ok && reply.text.contains(&user), "{reply:?}");
    Ok(())
}

async fn kubectl_says_why_a_tier_may_not(cluster: &mut Cluster) -> anyhow::Result<()> {
    let (_, token) = cluster.tenant(DEVELOPER).await?;
    let reply = cluster
        .kubectl(&token, "get secrets -n kube-system")
        .await?;
    ensure!(
        !reply.ok && reply.text.contains("tier developer"),
        "{reply:?}"
    );
    Ok(())
}

async fn tenants_cannot_see_each_others_secrets(cluster: &mut Cluster) -> anyhow::Result<()> {
    let (first, of_first) = cluster.tenant(DEVELOPER).await?;
    let (second, of_second) = cluster.tenant(DEVELOPER).await?;
    // A home comes with the first use.
    for token in [&of_first, &of_second] {
        ensure!(allowed(cluster.get(token, NODES).await?));
    }
    let pairs = [
        (&first, &of_first, &of_second),
        (&second, &of_second, &of_first),
    ];
    for (owner, own, strange) in pairs {
        let home = home(&owner.address());
        let create = format!("create secret generic treasure --from-literal=a=b -n {home}");
        let reply = cluster.kubectl(own, &create).await?;
        ensure!(reply.ok, "an owner's secret: {}", reply.text);
        let one = format!("/api/v1/namespaces/{home}/secrets/treasure");
        let list = format!("/api/v1/namespaces/{home}/secrets");
        for path in [&one, &list] {
            ensure!(allowed(cluster.get(own, path).await?), "{path}");
            ensure!(cluster.get(strange, path).await? == 403, "{path}");
        }
        ensure!(cluster.get(strange, "/api/v1/secrets").await? == 403);
        let steal = format!("get secret treasure -n {home} -o yaml");
        let reply = cluster.kubectl(strange, &steal).await?;
        ensure!(!reply.ok && reply.text.contains("forbidden"), "{reply:?}");
    }
    Ok(())
}

async fn a_refresh_retires_the_old_token_and_the_new_one_works(
    cluster: &mut Cluster,
) -> anyhow::Result<()> {
    let (wallet, old) = cluster.tenant(DEVELOPER).await?;
    let new = new_token()?;
    let call = Call::Refresh {
        token: seal_object(cluster, &wallet, old.credential_hash()).await?,
        new_hash: new.credential_hash(),
        validity_ms: 0,
    };
    ends_by(cluster, &wallet, &old, &call).await?;
    cluster.until(&new, NODES, SECONDS, allowed).await?;
    Ok(())
}

async fn an_unstake_ends_access(cluster: &mut Cluster) -> anyhow::Result<()> {
    let (wallet, token) = cluster.tenant(DEVELOPER).await?;
    let object = seal_object(cluster, &wallet, token.credential_hash()).await?;
    ends_by(
        cluster,
        &wallet,
        &token,
        &Call::RequestUnstake { token: object },
    )
    .await
}

async fn a_slash_ends_access_and_a_restake_brings_it_back(
    cluster: &mut Cluster,
) -> anyhow::Result<()> {
    let (wallet, token) = cluster.tenant(DEVELOPER).await?;
    let call = slash(&cluster.devnet.ids, &token)?;
    ends_by(cluster, &cluster.operator, &token, &call).await?;
    let call = Call::Restake {
        token: seal_object(cluster, &wallet, token.credential_hash()).await?,
        amount: DEVELOPER,
    };
    wallet.call(&cluster.devnet.ids, &call).await?;
    cluster.until(&token, NODES, SECONDS, allowed).await?;
    Ok(())
}

async fn a_revocation_ends_access_for_good(cluster: &mut Cluster) -> anyhow::Result<()> {
    let (_, token) = cluster.tenant(DEVELOPER).await?;
    let call = Call::Revoke {
        cap: cluster.devnet.ids.caps.slash.context("a SlashCap")?,
        hash: token.credential_hash(),
        reason: "tested".to_owned(),
    };
    ends_by(cluster, &cluster.operator, &token, &call).await
}

async fn killed_webhooks_mean_refusal_until_they_are_back(
    cluster: &mut Cluster,
) -> anyhow::Result<()> {
    let (_, known) = cluster.tenant(DEVELOPER).await?;
    ensure!(allowed(cluster.get(&known, NODES).await?));
    cluster.kill_server().await?;
    // The API server still knows who this is, and nobody allows anything.
    cluster.until(&known, NODES, SECONDS, refused).await?;
    let (_, fresh) = cluster.tenant(DEVELOPER).await?;
    ensure!(refused(cluster.get(&fresh, NODES).await?));
    cluster.start_server().await?;
    for token in [&known, &fresh] {
        cluster.until(token, NODES, OUTAGE, allowed).await?;
    }
    cluster.server_ready().await
}

async fn a_stalled_chain_means_refusal_until_it_moves_again(
    cluster: &mut Cluster,
) -> anyhow::Result<()> {
    let (_, token) = cluster.tenant(DEVELOPER).await?;
    ensure!(allowed(cluster.get(&token, NODES).await?));
    cluster.devnet.faults.stall(true);
    let took = cluster.until(&token, NODES, OUTAGE, refused).await?;
    // Not at once: a late checkpoint is no outage.
    ensure!(
        took > Duration::from_secs(1),
        "refused after {took:?} already"
    );
    let ready = cluster.operations("/readyz?verbose").await?;
    ensure!(ready.contains("[-]directory"), "{ready}");
    let reply = cluster.kubectl(&token, "get nodes").await?;
    ensure!(!reply.ok, "kubectl works on a stale view: {}", reply.text);
    cluster.devnet.faults.stall(false);
    cluster.until(&token, NODES, OUTAGE, allowed).await?;
    Ok(())
}

async fn every_metric_that_is_served_is_documented(cluster: &mut Cluster) -> anyhow::Result<()> {
    let served = cluster.operations("/metrics").await?;
    let families: BTreeSet<(&str, &str)> = served
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split_once(' '))
        .collect();
    ensure!(families.len() > 20, "only {} families", families.len());
    let document = std::fs::read_to_string(workspace().join("docs/metrics.md"))?;
    for (name, kind) in families {
        // Their samples bear a suffix that the family does not.
        let name = match kind {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        };
        let row = format!("| `{name}` | {kind} |");
        ensure!(document.contains(&row), "docs/metrics.md has no row {row}");
    }
    for value in label_values(&served) {
        let quoted = format!("`{value}`");
        ensure!(document.contains(&quoted), "docs/metrics.md lacks {quoted}");
    }
    Ok(())
}

/// The values of all labels but the bounds of histograms' buckets and what each build has of
/// its own.
fn label_values(served: &str) -> BTreeSet<&str> {
    let samples = served.lines().filter(|line| !line.starts_with('#'));
    samples
        .filter_map(|line| line.split_once('{')?.1.split_once('}'))
        .flat_map(|(labels, _)| labels.split(','))
        .filter_map(|label| label.split_once('='))
        .filter(|(name, _)| !["le", "version", "revision"].contains(name))
        .map(|(_, value)| value.trim_matches('"'))
        .collect()
}
