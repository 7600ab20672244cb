//! `worker`: the process itself.

use std::path::Path;

use cri_shim::guard::GuardSettings;
use sui_ledger::manifest::ContractIds;

use super::contract::{Keep, contract_ids};
use crate::commands::Context;
use crate::config::keys::{Group, WorkerConfig, WorkerKeys};
use crate::failure::{Failure, Kind, Outcome};
use crate::shutdown;
use crate::worker::{self, SealSettings, WorkerSettings};

mod api;

pub(in crate::commands) use api::cluster;

/// Runs a worker until SIGTERM.
pub(super) async fn run(context: &Context, keys: &WorkerKeys) -> Outcome {
    let config = keys.resolve(&context.sources)?;
    let contract = contract(&config, Keep::Found).await?;
    let settings = settings(&config, contract)?;
    let shutdown = shutdown::on_signal()?;
    let mut worker = worker::start(settings).await?;
    let ended = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        failure = worker.ended() => Err(failure),
    };
    worker.stop().await;
    ended
}

/// Says what is wrong with a configuration, and which contract it names. Writes nothing.
pub(in crate::commands) async fn check(config: &WorkerConfig) -> Outcome<Option<ContractIds>> {
    let contract = contract(config, Keep::Nothing).await?;
    settings(config, contract.clone())?;
    Ok(contract)
}

/// The contract that the seal is followed in, where one is configured.
async fn contract(config: &WorkerConfig, keep: Keep) -> Outcome<Option<ContractIds>> {
    match &config.sui_staking_contract {
        Some(contract) => Ok(Some(contract_ids(contract, config, keep).await?)),
        None => Ok(None),
    }
}

/// What a worker runs on by this configuration.
fn settings(config: &WorkerConfig, contract: Option<ContractIds>) -> Outcome<WorkerSettings> {
    let node = config.node_id.as_ref().ok_or_else(|| {
        Failure::message(Kind::Usage, "the node has no name")
            .next("set id in the section node (node_id): the name that its seal is staked for")
    })?;
    let seal = contract.clone().map(|ids| SealSettings {
        ids,
        token_file: token_file(config),
        every: config.worker_seal_seconds.0,
    });
    if seal.is_none() {
        tracing::warn!("no staking_contract is configured: the machine's seal is not followed");
    }
    for (key, every) in [
        ("worker_seal_seconds", config.worker_seal_seconds.0),
        ("worker_stats_seconds", config.worker_stats_seconds.0),
    ] {
        if every.is_zero() {
            let text = format!("{key} is 0, and nothing can be looked at without a pause");
            return Err(Failure::message(Kind::Usage, text).next(format!("give {key} 1 or more")));
        }
    }
    let guard = config.worker_guard.then(|| GuardSettings {
        grace: config.worker_guard_grace_seconds.0,
        exempt: config
            .worker_guard_exempt_namespaces
            .0
            .iter()
            .cloned()
            .collect(),
        node: node.to_string(),
    });
    Ok(WorkerSettings {
        api: api::settings(config, node, contract)?,
        mode: config.worker_mode,
        cri_socket: absolute("worker_cri_socket", &config.worker_cri_socket)?,
        containerd_socket: config.worker_containerd_socket.clone(),
        state_dir: config.worker_state_dir.clone(),
        seal,
        guard,
        stats_every: config.worker_stats_seconds.0,
        metrics_listen: config.worker_metrics_listen,
    })
}

/// The file of the machine's seal token.
pub(in crate::commands) fn token_file(config: &WorkerConfig) -> std::path::PathBuf {
    let own = || config.worker_state_dir.join("seal.token");
    config.node_token_file.clone().unwrap_or_else(own)
}

fn absolute(key: &str, path: &Path) -> Outcome<std::path::PathBuf> {
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let text = format!(
        "{key} is {}, and kubelet is started in another folder",
        path.display()
    );
    Err(Failure::message(Kind::Usage, text).next(format!("give {key} a path that begins with /")))
}
