//! From the slash on chain to the first refusal at the webhook.

use std::time::{Duration, Instant};

use anyhow::ensure;
use seal::Mist;
use sui_devnet::{Devnet, DevnetConfig};
use sui_ledger::directory::DirectoryConfig;
use sui_ledger::keystore::WalletKey;
use sui_ledger::tx::Wallet;

use super::report::Report;
use super::synthetic::token;
use crate::rig::{Webhooks, fund, funded_wallet, node, slash, stake};

/// Slashes that are measured.
const SLASHES: u64 = 40;
/// Seals that one owner may have.
const SEALS_PER_OWNER: u64 = 16;
/// The design's checkpoint interval.
const INTERVAL: Duration = Duration::from_millis(250);

/// Measures and reports.
pub async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let config = DevnetConfig {
        checkpoint_interval: INTERVAL,
        ..DevnetConfig::for_tests()
    };
    let devnet = Devnet::start(config).await?;
    let ids = devnet.ids.clone();
    let webhooks =
        Webhooks::start(node(&ids)?, &ids, DirectoryConfig::default(), folder.path()).await?;
    webhooks.ready().await?;
    let operator = funded_wallet(&ids, &devnet.faucet_url, devnet.operator.clone()).await?;
    let mut tenant: Option<Wallet> = None;
    let mut waits = Vec::new();
    for n in 0..SLASHES {
        if n % SEALS_PER_OWNER == 0 {
            let wallet = funded_wallet(&ids, &devnet.faucet_url, WalletKey::generate()?).await?;
            tenant = Some(wallet);
        }
        let token = token(n);
        let Some(wallet) = &tenant else { continue };
        fund_if_poor(wallet, &devnet.faucet_url).await?;
        stake(wallet, &ids, &token, Mist(500_000_000)).await?;
        let text = token.reveal();
        ensure!(
            webhooks.token_review(&text).await?.is_yes(),
            "a fresh stake is refused"
        );
        // From the moment the transaction is sent: what the chain takes is part of it.
        let sent = Instant::now();
        let call = slash(&ids, &token)?;
        let slashing = operator.call(&ids, &call);
        let refused = async {
            while webhooks.token_review(&text).await?.is_yes() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            anyhow::Ok(sent.elapsed())
        };
        let (_, refused) = tokio::try_join!(async { Ok(slashing.await?) }, refused)?;
        waits.push(refused.as_secs_f64() * 1000.0);
    }
    waits.sort_by(f64::total_cmp);
    let p99 = waits[(waits.len() - 1) * 99 / 100];
    report.plain(
        "slash_to_refusal_at_webhook_p99",
        p99,
        "ms from sending, checkpoints every 250 ms",
        "under 500 beyond the checkpoint interval",
        p99 < 750.0,
    );
    webhooks.stop().await?;
    devnet.shutdown().await;
    Ok(())
}

async fn fund_if_poor(wallet: &Wallet, faucet_url: &str) -> anyhow::Result<()> {
    let coins = wallet.client().coins(&wallet.address()).await?.coins;
    let balance: u64 = coins.iter().map(|coin| coin.balance.0).sum();
    if balance < 2 * Mist::PER_SUI {
        fund(faucet_url, wallet.client(), wallet.address()).await?;
    }
    Ok(())
}
