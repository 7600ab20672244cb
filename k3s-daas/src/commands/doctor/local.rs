//! What can be seen without asking anybody: the configuration, the modes of files.

use std::path::Path;

use super::Check;
use crate::commands::Context;
use crate::config::keys::{AllKeys, ChainConfig, ServerConfig};
use crate::seals::Seals;
use crate::secrets::open_to_others;
use crate::tiers::{self, Line};

/// The file, every key and every variable.
pub(super) fn configuration(context: &Context, args: &AllKeys) -> Vec<Check> {
    const NAME: &str = "configuration";
    let sources = &context.sources;
    let mut checks: Vec<Check> = args
        .effective(&context.global.log.group(), sources)
        .into_iter()
        .filter_map(|key| {
            let problem = key.problem?;
            let found = format!("{} ({}): {problem}", key.key, key.source);
            Some(Check::fail(
                NAME,
                found,
                format!("set {} or {}", key.key, key.variable),
            ))
        })
        .collect();
    checks.extend(sources.unknown_variables().into_iter().map(|variable| {
        Check::warn(
            NAME,
            format!("{variable} is no key"),
            "`k3s-daas config show` lists all keys",
        )
    }));
    if checks.is_empty() {
        let path = sources.path.display();
        checks.push(if sources.file_found {
            Check::ok(NAME, format!("{path} is readable and right"))
        } else {
            Check::ok(NAME, format!("{path} is not there, defaults count"))
        });
    }
    checks
}

/// Files that hold secrets: tokens, the wallet, and the private `keys` of certificates.
pub(super) fn file_modes(config: &ChainConfig, keys: &[&Path]) -> Vec<Check> {
    const NAME: &str = "file modes";
    let seals = Seals::new(&config.seals_dir);
    let tokens = seals.known().unwrap_or_default();
    let mut paths: Vec<&Path> = tokens.iter().map(|known| known.path.as_path()).collect();
    paths.push(&config.keystore);
    paths.extend(keys);
    let open: Vec<String> = paths
        .iter()
        .filter(|path| open_to_others(path).unwrap_or(false))
        .map(|path| path.display().to_string())
        .collect();
    let mut checks = if open.is_empty() {
        vec![Check::ok(NAME, "secrets are readable by their owner alone")]
    } else {
        let to_do = format!("chmod 600 {}", open.join(" "));
        vec![Check::fail(
            NAME,
            format!("others can read {}", open.join(", ")),
            to_do,
        )]
    };
    if let Ok(pending) = seals.pending()
        && !pending.is_empty()
    {
        checks.push(Check::warn(
            "unfinished transactions",
            format!("{} tokens are pending", pending.len()),
            "`k3s-daas seal list --recover`",
        ));
    }
    checks
}

/// What the configuration makes of the tiers, in words.
pub(super) fn tiers(config: &ServerConfig) -> Vec<Check> {
    let check = |line: Line| match line.care {
        None => Check::ok(line.key, line.means),
        Some(care) if config.elevated_owners.is_none() && line.key == "elevated_owners" => {
            Check::fail(line.key, line.means, care)
        }
        Some(care) => Check::warn(line.key, line.means, care),
    };
    tiers::explain(config).into_iter().map(check).collect()
}
