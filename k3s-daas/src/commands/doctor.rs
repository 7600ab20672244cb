//! `doctor`: what is wrong with an installation, and what to do.

use serde::Serialize;

use super::Context;
use crate::causes::in_one_line;
use crate::config::keys::{AllKeys, Group};
use crate::failure::{Failure, Kind, Outcome};
use crate::output;
use crate::progress::Progress;

mod cluster;
mod gate;
mod kubernetes;
mod ledger;
mod local;
mod nodes;
mod webhooks;
mod worker;

pub(super) use worker::kubelet_way;

const EXAMPLES: &str = "\
Ends with code 1 when a check fails; warnings alone end with 0.

Examples:
  k3s-daas doctor
  k3s-daas doctor --worker                              on a machine that joined with a seal
  k3s-daas doctor -o json | jq '.checks[] | select(.state != \"ok\")'";

/// Options of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DoctorArgs {
    /// K3s's configuration file
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/rancher/k3s/config.yaml"
    )]
    pub k3s_config: std::path::PathBuf,
    /// Check this machine's part as a worker, by /etc/k3s-daas/worker-config.yaml, and nothing else
    #[arg(long)]
    pub worker: bool,
    /// All keys.
    #[command(flatten)]
    pub all: AllKeys,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Right.
    Ok,
    /// Works, and deserves a look.
    Warn,
    /// Wrong.
    Fail,
}

impl State {
    const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// One check.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it ended.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_do: Option<String>,
}

impl Check {
    /// All is well.
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Ok,
            found: found.into(),
            to_do: None,
        }
    }

    /// Not wrong.
    pub fn warn(name: &'static str, found: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Warn,
            found: found.into(),
            to_do: Some(to_do.into()),
        }
    }

    /// Wrong.
    pub fn fail(name: &'static str, found: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self {
            state: State::Fail,
            ..Self::warn(name, found, to_do)
        }
    }

    /// Wrong, with the causes and the next step of a failure.
    pub fn failed(name: &'static str, failure: &Failure) -> Self {
        Self {
            name,
            state: State::Fail,
            found: in_one_line(failure.cause.as_ref()),
            to_do: failure.next_step.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    checks: Vec<Check>,
}

/// Runs all checks.
pub async fn run(context: &Context, args: DoctorArgs) -> Outcome {
    let progress = Progress::start("looking at the configuration");
    let checks = if args.worker {
        worker::checks(context).await
    } else {
        of_server(context, &args, &progress).await
    };
    progress.done();
    let failed = checks
        .iter()
        .filter(|check| check.state == State::Fail)
        .count();
    let report = Report {
        ok: failed == 0,
        checks,
    };
    output::print(context.format(), &report, for_people)?;
    if report.ok {
        Ok(())
    } else {
        Err(Failure::message(
            Kind::Failed,
            format!("{failed} checks failed"),
        ))
    }
}

/// What a cluster's operator wants to know.
async fn of_server(context: &Context, args: &DoctorArgs, progress: &Progress) -> Vec<Check> {
    let mut checks = local::configuration(context, &args.all);
    if let Ok(chain) = args.all.chain.resolve(&context.sources) {
        let server = args.all.server.resolve(&context.sources).ok();
        let k3s = args.all.k3s.resolve(&context.sources).ok();
        let keys = [
            server.and_then(|server| server.tls_key),
            k3s.and_then(|k3s| k3s.webhook_client_key),
        ];
        let keys: Vec<&std::path::Path> = keys.iter().flatten().map(AsRef::as_ref).collect();
        checks.extend(local::file_modes(&chain, &keys));
        progress.now("asking the chain");
        checks.extend(ledger::checks(&chain).await);
    }
    if let (Ok(server), Ok(k3s)) = (
        args.all.server.resolve(&context.sources),
        args.all.k3s.resolve(&context.sources),
    ) {
        checks.extend(local::tiers(&server));
        progress.now("asking the webhooks");
        let state = args.all.state.resolve(&context.sources).ok();
        let state = state.and_then(|state| state.state_dir);
        checks.extend(webhooks::checks(&server, &k3s, state.as_deref()).await);
        let behind_gate = !server.gate_listen.0.is_empty();
        checks.extend(cluster::checks(&args.k3s_config, behind_gate));
        progress.now("asking the API server");
        checks.extend(kubernetes::checks(&server).await);
        progress.now("looking at the gate");
        checks.extend(gate::checks(&server, k3s.advertise_address, &args.k3s_config).await);
    }
    checks
}

fn for_people(report: &Report) -> String {
    let lines = report.checks.iter().map(|check| {
        let to_do = check
            .to_do
            .as_ref()
            .map(|to_do| format!("\n      -> {to_do}"));
        let (state, name, found) = (check.state.label(), check.name, &check.found);
        format!("{state:<5} {name}: {found}{}", to_do.unwrap_or_default())
    });
    lines.collect::<Vec<_>>().join("\n")
}
