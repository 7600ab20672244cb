//! `worker`: the process itself.

use std::path::Path;

use cri_shim::guard::GuardSettings;

use super::contract::contract_ids;
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
    let settings = settings(&config).await?;
    let shutdown = shutdown::on_signal()?;
    let mut worker = worker::start(settings).await?;
    let ended = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        failure = worker.ended() => Err(failure),
    };
    worker.stop().await;
    ended
}

/// Says what is wrong with a configuration.
pub(in crate::commands) async fn check(config: &WorkerConfig) -> Outcome {
    settings(config).await.map(drop)
}

/// What a worker runs on by this configuration.
async fn settings(config: &WorkerConfig) -> Outcome<WorkerSettings> {
    let node = config.node_id.as_ref().ok_or_else(|| {
        Failure::message(Kind::Usage, "the node has no name")
            .next("set id in the section node (node_id): the name that its seal is staked for")
    })?;
    let seal = if let Some(contract) = &config.sui_staking_contract {
        Some(SealSettings {
            ids: contract_ids(contract, config).await?,
            token_file: token_file(config),
            every: config.worker_seal_seconds.0,
        })
    } else {
        tracing::warn!("no staking_contract is configured: the machine's seal is not followed");
        None
    };
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
    let contract = seal.as_ref().map(|seal| seal.ids.clone());
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
