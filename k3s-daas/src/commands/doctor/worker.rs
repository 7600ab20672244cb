//! `doctor --worker`: whether a machine's part is right, from its configuration to kubelet's way.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::time::Duration;

use cri_shim::probe;
use k3s_configs::WorkerFiles;
use seal::UnixMillis;
use sui_ledger::manifest::ContractIds;

use super::Check;
use crate::causes::in_one_line;
use crate::chain::Chain;
use crate::commands::Context;
use crate::commands::stake::read_token;
use crate::commands::worker::{Keep, check, contract_ids, token_file};
use crate::config::keys::{Effective, Group, WorkerConfig, WorkerKeys, effective};
use crate::seals::now;
use crate::secrets::open_to_others;
use crate::worker::Mode;

mod kubelet;
mod reach;

pub(in crate::commands) use kubelet::checks as kubelet_way;

/// Everything on this machine answers at once, or not at all.
const WITHIN: Duration = Duration::from_secs(5);
/// The chain may be far away.
const CHAIN_WITHIN: Duration = Duration::from_secs(15);
/// An operator wants to know before it is over.
const WARN_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// All checks of a worker's machine.
pub(super) async fn checks(context: &Context) -> Vec<Check> {
    const NAME: &str = "configuration";
    let keys = WorkerKeys::default();
    let mut checks: Vec<Check> = effective(&keys, &context.sources)
        .into_iter()
        .filter_map(wrong)
        .collect();
    let path = context.sources.path.display();
    if !context.sources.file_found {
        let found = format!("{path} is not there");
        checks.push(Check::warn(
            NAME,
            found,
            "write it; docs/worker.md has one to begin with",
        ));
    }
    let Ok(config) = keys.resolve(&context.sources) else {
        return checks;
    };
    let contract = match check(&config).await {
        Ok(contract) => {
            checks.push(Check::ok(NAME, format!("{path} is right")));
            contract
        }
        Err(failure) => {
            checks.push(Check::failed(NAME, &failure));
            None
        }
    };
    checks.extend(seal(&config, contract).await);
    checks.extend(reach::checks(&config).await);
    checks.push(answers("containerd", &config.worker_containerd_socket).await);
    if config.worker_mode == Mode::Proxy {
        checks.push(shim(&config.worker_cri_socket).await);
        let files = WorkerFiles {
            binary: "/usr/local/bin/k3s-daas".into(),
            configuration: context.sources.path.clone(),
            cri_socket: config.worker_cri_socket.clone(),
            state_dir: config.worker_state_dir.clone(),
            k3s_config_dir: config.k3s_config_dir.clone(),
            writes: Vec::new(),
            proxy: true,
        };
        checks.extend(kubelet::checks(&files));
    }
    checks.push(readiness(&config).await);
    checks
}

fn wrong(key: Effective) -> Option<Check> {
    let problem = key.problem?;
    let found = format!("{} ({}): {problem}", key.key, key.source);
    Some(Check::fail(
        "configuration",
        found,
        format!("set {} or {}", key.key, key.variable),
    ))
}

/// The token, the chain, and how the seal stands. What the configuration's check has found of the
/// contract is not looked for again.
async fn seal(config: &WorkerConfig, found: Option<ContractIds>) -> Vec<Check> {
    let path = token_file(config);
    let file = path.display();
    let mut checks = Vec::new();
    let token = match read_token(&path) {
        Ok(token) if open_to_others(&path).unwrap_or(false) => {
            let found = format!("{file} can be read by others");
            checks.push(Check::fail(
                "seal token",
                found,
                format!("chmod 600 {file}"),
            ));
            token
        }
        Ok(token) => {
            checks.push(Check::ok("seal token", format!("{file} holds one")));
            token
        }
        Err(failure) => {
            checks.push(Check::fail(
                "seal token",
                in_one_line(failure.cause.as_ref()),
                "stake for this node: docs/worker.md, \"The worker API\"",
            ));
            return checks;
        }
    };
    let Some(contract) = &config.sui_staking_contract else {
        checks.push(Check::warn(
            "seal",
            "no staking_contract is configured: the guard refuses nothing",
            "set staking_contract in the section sui",
        ));
        return checks;
    };
    let ids = match found {
        Some(found) => Ok(found),
        None => contract_ids(contract, config, Keep::Nothing).await,
    };
    let chain = ids.and_then(|ids| Chain::reading(ids, CHAIN_WITHIN));
    let chain = match chain {
        Ok(chain) => chain,
        Err(failure) => {
            checks.push(Check::failed("contract", &failure));
            return checks;
        }
    };
    let known = async {
        let pool = chain.pool().await?;
        Ok((
            chain.record(&token.credential_hash()).await?,
            pool.thresholds,
        ))
    };
    checks.push(match known.await {
        Ok((record, thresholds)) => standing(config, record.as_ref(), &thresholds, now()),
        Err(failure) => Check::failed("seal", &failure),
    });
    checks
}

fn standing(
    config: &WorkerConfig,
    record: Option<&seal::SealRecord>,
    thresholds: &seal::Thresholds,
    now: UnixMillis,
) -> Check {
    const NAME: &str = "seal";
    const STAKE: &str = "stake for this node again: docs/worker.md, \"The worker API\"";
    let Some(record) = record else {
        return Check::fail(NAME, "the chain has no seal of this token", STAKE);
    };
    if record.node_id != config.node_id {
        let name = |id: &Option<seal::NodeName>| match id {
            Some(id) => id.to_string(),
            None => "no node".to_owned(),
        };
        let found = format!(
            "it names {}, and this machine is {}",
            name(&record.node_id),
            name(&config.node_id)
        );
        return Check::fail(NAME, found, "give this machine the token of its own seal");
    }
    match record.usable(now, thresholds) {
        Err(why) => Check::fail(NAME, format!("it can't be used: {why}"), STAKE),
        Ok(_) if record.expires_at.0.saturating_sub(now.0) < WARN_MS => {
            let hours = record.expires_at.0.saturating_sub(now.0) / 3_600_000;
            let found = format!("usable, and expires in {hours} hours");
            Check::warn(
                NAME,
                found,
                "`k3s-daas refresh`, then register the machine again",
            )
        }
        Ok(tier) => Check::ok(NAME, format!("usable, tier {tier}")),
    }
}

async fn answers(name: &'static str, socket: &Path) -> Check {
    let at = socket.display();
    match probe::version(socket, WITHIN).await {
        Ok(version) => Check::ok(name, format!("{version} answers at {at}")),
        Err(why) => Check::fail(
            name,
            format!("{at}: {why}"),
            "K3s's agent starts containerd: is it running? `systemctl status k3s-agent`",
        ),
    }
}

/// Kubelet's socket: for root alone, and containerd behind it.
async fn shim(socket: &Path) -> Check {
    const NAME: &str = "shim";
    let at = socket.display();
    let found = match std::fs::symlink_metadata(socket) {
        Ok(found) if found.file_type().is_socket() => found,
        _ => {
            return Check::fail(
                NAME,
                format!("there is no socket {at}"),
                "`k3s-daas worker install`, or `systemctl start k3s-daas-cri.socket`",
            );
        }
    };
    if found.mode() & 0o077 != 0 {
        let found = format!(
            "{at} has mode {:o}: others could start pods",
            found.mode() & 0o777
        );
        return Check::fail(NAME, found, format!("chmod 600 {at}"));
    }
    if let Some(folder) = socket.parent().filter(|folder| others_write(folder)) {
        let folder = folder.display();
        let found = format!("others may write in {folder}: they could put their own socket there");
        return Check::fail(NAME, found, format!("chmod 755 {folder}"));
    }
    match probe::version(socket, WITHIN).await {
        Ok(version) => Check::ok(NAME, format!("{version} answers through {at}")),
        Err(why) => Check::fail(
            NAME,
            format!("{at}: {why}"),
            "`systemctl status k3s-daas-worker`, `journalctl --unit k3s-daas-worker`",
        ),
    }
}

fn others_write(folder: &Path) -> bool {
    std::fs::metadata(folder).is_ok_and(|found| found.mode() & 0o022 != 0)
}

/// What the running worker says of itself.
async fn readiness(config: &WorkerConfig) -> Check {
    const NAME: &str = "worker";
    let url = format!("http://{}/readyz?verbose", config.worker_metrics_listen);
    let asked = async {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(WITHIN)
            .build()?;
        let answer = client.get(&url).send().await?;
        Ok::<_, reqwest::Error>((answer.status().is_success(), answer.text().await?))
    };
    match asked.await {
        Ok((true, _)) => Check::ok(NAME, "it runs and lacks nothing"),
        Ok((false, said)) => {
            let lacks: Vec<&str> = said
                .lines()
                .filter(|line| line.starts_with("[-]"))
                .collect();
            let found = format!("it runs, and {}", lacks.join("; "));
            Check::warn(NAME, found, "the checks above say more")
        }
        Err(_) => Check::fail(
            NAME,
            format!("nobody answers at {url}"),
            "`systemctl start k3s-daas-worker`",
        ),
    }
}

#[cfg(test)]
mod tests;
