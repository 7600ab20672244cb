//! What the tour does on chain, by the same code as the commands of these names.

use std::path::PathBuf;

use seal::{CredentialHash, Mist};
use sui_ledger::tx::Call;

use super::Stage;
use super::tenants::{Tenant, wallet};
use super::workers::Worker;
use crate::chain::Chain;
use crate::commands::seal::no_such;
use crate::commands::stake::{read_token, rotate};
use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::kubeconfig::{Credential, write};
use crate::seals::Seals;

/// The chain with the tenant's wallet.
fn as_tenant(stage: &Stage, tenant: &Tenant) -> Outcome<Chain> {
    let folder = stage.layout.tenant(tenant.tier);
    Ok(stage
        .chain
        .with_wallet(wallet(&folder.join("wallet.keystore"))?))
}

/// Adds to the tenant's stake.
pub async fn restake(stage: &Stage, tenant: &Tenant, amount: &str) -> Outcome {
    let chain = as_tenant(stage, tenant)?;
    restake_seal(&chain, tenant.hash()?, amount).await
}

/// Gives a slashed worker's seal its stake back, as the workers' operator.
pub async fn restore_worker(stage: &Stage, worker: &Worker) -> Outcome {
    let chain = stage
        .chain
        .with_wallet(wallet(&stage.layout.workers_wallet())?);
    // A tenth of its half was taken.
    restake_seal(&chain, worker.seal.hash()?, "0.05").await
}

async fn restake_seal(chain: &Chain, hash: CredentialHash, amount: &str) -> Outcome {
    let record = chain.record(&hash).await?.ok_or_else(|| no_such(&hash))?;
    let amount = Mist::parse_sui(amount).or_fail(Kind::Failed, "the amount is wrong")?;
    let call = Call::Restake {
        token: record.seal_id,
        amount,
    };
    chain.call(&call).await?;
    chain
        .read_back(&hash, |now| now.seq > record.seq)
        .await
        .map(drop)
}

/// Replaces the tenant's token; gives a kubeconfig with the old one.
pub async fn refresh(stage: &Stage, tenant: &Tenant) -> Outcome<PathBuf> {
    let chain = as_tenant(stage, tenant)?;
    let old = read_token(&tenant.token_file)?;
    let kubeconfig = stage.layout.folder().join("kubeconfigs/retired.kubeconfig");
    write(
        &kubeconfig,
        &stage.cluster,
        &Credential::Token(&old),
        "default",
    )?;
    let seals = Seals::new(&stage.layout.tenant(tenant.tier));
    let place = Some(tenant.token_file.clone());
    let minted = rotate(&chain, &seals, &old.credential_hash(), place, 0).await?;
    seals.settle(&minted.token, &minted.pending)?;
    Ok(kubeconfig)
}

/// Slashes the tenant's seal as the operator.
pub async fn slash(stage: &Stage, tenant: &Tenant) -> Outcome {
    slash_seal(stage, tenant.hash()?).await
}

/// Slashes a seal as the operator.
pub async fn slash_seal(stage: &Stage, hash: CredentialHash) -> Outcome {
    let cap = stage
        .chain
        .ids()
        .caps
        .slash
        .ok_or_else(|| Failure::message(Kind::Failed, "the contract file names no SlashCap"))?;
    let reason = "the tour".to_owned();
    stage.chain.call(&Call::Slash { cap, hash, reason }).await?;
    Ok(())
}
