//! Which contract a worker follows: by a file, or found on chain by its package and kept in a file.
//!
//! Errors: what was found once is not looked for again, so that a machine that boots needs no chain;
//!         a machine that never found it can't start without.

use std::path::Path;

use seal::ObjectId;
use sui_ledger::error::LedgerError;
use sui_ledger::manifest::ContractIds;
use sui_ledger::publication::locate;
use sui_ledger::tx::{PublishError, TxError};

use crate::chain::{client, ledger_failure};
use crate::config::keys::{StakingContract, WorkerConfig};
use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::secrets::make_private_folder;

/// In the worker's folder.
const FOUND: &str = "contract.toml";
const GIVE_FILE: &str = "give staking_contract the file that `contract publish` wrote";

/// Whether what the chain said is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Keep {
    /// For the next start, by the worker itself.
    Found,
    /// By whoever only looks.
    Nothing,
}

/// The contract's ids.
pub(in crate::commands) async fn contract_ids(
    contract: &StakingContract,
    config: &WorkerConfig,
    keep: Keep,
) -> Outcome<ContractIds> {
    let mut ids = match contract {
        StakingContract::File(path) => ContractIds::load(path)
            .or_fail(Kind::Usage, "the contract is not known")
            .map_err(|failure| failure.next(GIVE_FILE))?,
        StakingContract::Package(id) => of_package(id, config, keep).await?,
    };
    if let Some(endpoint) = &config.sui_rpc_endpoint {
        ids.endpoint.clone_from(&endpoint.0);
    }
    Ok(ids)
}

/// What was found before, or what the chain says.
async fn of_package(id: &ObjectId, config: &WorkerConfig, keep: Keep) -> Outcome<ContractIds> {
    let path = config.worker_state_dir.join(FOUND);
    match kept(&path, id) {
        Ok(Some(ids)) => return Ok(ids),
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "looking for the contract again"),
    }
    let Some(endpoint) = &config.sui_rpc_endpoint else {
        let text = format!("the package {id} does not tell on which chain it is");
        return Err(Failure::message(Kind::Usage, text)
            .next("set rpc_endpoint in the section sui, or give staking_contract a file"));
    };
    let node = client(&endpoint.0, None)?;
    let ids = locate(&node, id, &endpoint.0)
        .await
        .map_err(|error| not_found(error, &endpoint.0))?;
    tracing::info!(package = %id, pool = %ids.pool, chain = %ids.chain_id, "found the contract");
    if keep == Keep::Found {
        make_private_folder(&config.worker_state_dir)?;
        ids.save(&path)
            .or_fail(Kind::Failed, "what was found can't be kept")?;
    }
    Ok(ids)
}

/// The ids kept before, if they are of this package.
fn kept(
    path: &Path,
    id: &ObjectId,
) -> Result<Option<ContractIds>, sui_ledger::manifest::ManifestError> {
    if !path.exists() {
        return Ok(None);
    }
    let ids = ContractIds::load(path)?;
    Ok((ids.latest_package == *id).then_some(ids))
}

fn not_found(error: TxError, endpoint: &str) -> Failure {
    let said = match error {
        TxError::Ledger(error) => return unanswered(error, endpoint),
        other => other,
    };
    let step = match &said {
        TxError::Publish(PublishError::Forgotten { .. }) => GIVE_FILE,
        _ => {
            "see that rpc_endpoint is of the right chain, or give staking_contract the file that \
              `contract publish` wrote"
        }
    };
    Failure::new(Kind::Usage, said)
        .context("the contract is not known by its package")
        .next(step)
}

fn unanswered(error: LedgerError, endpoint: &str) -> Failure {
    ledger_failure(error, endpoint).context("the contract was never found before")
}

#[cfg(test)]
mod tests {
    use sui_devnet::{Devnet, DevnetConfig};

    use super::*;
    use crate::config::Sources;
    use crate::config::keys::{Group, WorkerKeys};

    fn config(folder: &Path, endpoint: Option<&str>) -> WorkerConfig {
        let keys = WorkerKeys {
            node_id: Some("worker-001".to_owned()),
            sui_rpc_endpoint: endpoint.map(str::to_owned),
            worker_state_dir: Some(folder.join("state").display().to_string()),
            ..WorkerKeys::default()
        };
        keys.resolve(&Sources::default()).unwrap()
    }

    #[tokio::test]
    async fn a_package_is_found_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let devnet = Devnet::start(DevnetConfig::for_tests()).await.unwrap();
        let package = StakingContract::Package(devnet.ids.original_package);
        let nowhere = contract_ids(&package, &config(folder.path(), None), Keep::Found).await;
        assert_eq!(nowhere.unwrap_err().kind, Kind::Usage);

        let there = config(folder.path(), Some(&devnet.rpc_url));
        let looked = contract_ids(&package, &there, Keep::Nothing).await.unwrap();
        assert!(!there.worker_state_dir.exists(), "a look writes nothing");
        let ids = contract_ids(&package, &there, Keep::Found).await.unwrap();
        assert_eq!(looked, ids);
        assert_eq!(ids.pool, devnet.ids.pool);
        assert_eq!(ids.chain_id, devnet.ids.chain_id);
        let pool = StakingContract::Package(devnet.ids.pool);
        let refused = contract_ids(&pool, &there, Keep::Found).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Usage);
        assert!(refused.next_step.unwrap().contains("rpc_endpoint"));

        // A machine that boots while the chain is away.
        devnet.shutdown().await;
        let kept = contract_ids(&package, &there, Keep::Nothing).await;
        assert_eq!(kept.unwrap(), ids);
        // What is kept is another package's by now: it has to be looked for.
        let gone = contract_ids(&pool, &there, Keep::Found).await.unwrap_err();
        assert_eq!(gone.kind, Kind::Unavailable);
    }
}
