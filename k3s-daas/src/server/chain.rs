//! The seal directory behind the webhooks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use sui_ledger::client::{ClientSettings, LedgerClient};
use sui_ledger::directory::chain::NodeChain;
use sui_ledger::directory::{Directory, DirectoryConfig, Running};
use sui_ledger::manifest::ContractIds;
use sui_ledger::metrics::LedgerMetrics;

use crate::config::keys::ServerConfig;
use crate::failure::{Kind, OrFail, Outcome};
use crate::secrets::make_private_folder;

/// Starts to follow the chain; what has ended is remembered below `state_dir`.
pub(super) fn follow(
    config: &ServerConfig,
    ids: &ContractIds,
    state_dir: &Path,
    registry: &mut Registry,
) -> Outcome<(Arc<Directory>, Running)> {
    let chain = NodeChain::new(ledger(ids, registry)?, ids.clone());
    let ends = state_dir.join("ends");
    let doing = format!("can't make the state folder {}", state_dir.display());
    make_private_folder(&ends)
        .or_fail(Kind::Usage, doing)
        .map_err(|failure| failure.next("give --state-dir"))?;
    let (directory, tasks) = Directory::start(chain, ids, directory_config(config, ends), registry)
        .or_fail(Kind::Failed, "the seal directory did not start")
        .map_err(|failure| {
            failure.next(format!(
                "see that no other `k3s-daas server` has the state folder {}, and that this \
                 user may write there",
                state_dir.display()
            ))
        })?;
    Ok((Arc::new(directory), tasks))
}

fn ledger(ids: &ContractIds, registry: &mut Registry) -> Outcome<LedgerClient> {
    let settings = ClientSettings {
        chain: Some(ids.chain_id),
        ..ClientSettings::default()
    };
    LedgerClient::new(&ids.endpoint, settings, LedgerMetrics::register(registry))
        .or_fail(Kind::Usage, "the chain's endpoint can't be used")
}

fn directory_config(config: &ServerConfig, ends: PathBuf) -> DirectoryConfig {
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    DirectoryConfig {
        max_staleness: Duration::from_secs(config.max_staleness_seconds),
        grace: Duration::from_secs(config.grace_seconds),
        max_records: count(config.cached_records),
        max_absences: count(config.cached_absences),
        absence_ttl: Duration::from_secs(config.absence_seconds),
        state_dir: Some(ends),
        ..DirectoryConfig::default()
    }
}
