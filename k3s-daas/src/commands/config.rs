//! `config`: what counts and why, whether it is right, and K3s's own files.

use std::path::PathBuf;

use k3s_configs::Profile;
use serde::Serialize;

use super::Context;
use crate::config::keys::{AllKeys, Effective, Group};
use crate::failure::{Failure, Kind, Outcome};
use crate::output;

mod render;

pub use render::RenderArgs;

const EXAMPLES: &str = "\
Examples:
  k3s-daas config show
  K3S_DAAS_GRACE_SECONDS=5 k3s-daas config show -o json
  k3s-daas config check --config ./config.yaml
  k3s-daas config render --to ./rendered";

/// What to do with the configuration.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum ConfigCommand {
    /// Show every key, its value and where it came from
    Show(Box<AllKeys>),
    /// Check the configuration: unknown keys and variables, values out of form, dangerous choices
    Check(Box<AllKeys>),
    /// Render the files that make a stock K3s ask the webhooks
    Render(Box<RenderArgs>),
}

/// Runs `config ...`.
pub fn run(context: &Context, command: ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Show(args) => show(context, &args),
        ConfigCommand::Check(args) => check(context, &args),
        ConfigCommand::Render(args) => render::run(context, &args),
    }
}

fn show(context: &Context, args: &AllKeys) -> Outcome {
    let all = args.effective(&context.global.log.group(), &context.sources);
    output::print(context.format(), &all, |all| {
        let rows = all.iter().map(|key| {
            let value = key.value.clone().unwrap_or_else(|| "-".to_owned());
            [
                key.key.to_owned(),
                value,
                key.source.to_string(),
                key.variable.clone(),
            ]
        });
        output::table(["key", "value", "source", "variable"], rows.collect())
    })
}

/// What `config check` answers.
#[derive(Debug, Serialize)]
struct Checked {
    file: PathBuf,
    file_found: bool,
    ok: bool,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Problem {
    key: String,
    problem: String,
}

fn check(context: &Context, args: &AllKeys) -> Outcome {
    let all = args.effective(&context.global.log.group(), &context.sources);
    let mut problems: Vec<Problem> = all
        .iter()
        .filter_map(|key| {
            let problem = key.problem.clone()?;
            Some(Problem {
                key: key.key.to_owned(),
                problem: format!("{problem} ({})", key.source),
            })
        })
        .collect();
    problems.extend(
        context
            .sources
            .unknown_variables()
            .into_iter()
            .map(|variable| Problem {
                problem: "there is no such key".to_owned(),
                key: variable,
            }),
    );
    // Values that are right each for itself and wrong together.
    if let Ok(server) = args.server.resolve(&context.sources)
        && let Err(failure) = crate::server::validate(&server)
    {
        problems.push(Problem {
            key: "server".to_owned(),
            problem: failure.cause.to_string(),
        });
    }
    let (k3s, server) = (
        args.k3s.resolve(&context.sources),
        args.server.resolve(&context.sources),
    );
    let mismatch = match (&k3s, &server) {
        // Who renders no files of K3s's has no profile: the default says nothing then.
        (Ok(k3s), Ok(server)) if k3s.profile == Profile::Production => {
            crate::rendering::isolation_mismatch(k3s.profile, server.worker_isolation)
        }
        _ => None,
    };
    let checked = Checked {
        file: context.sources.path.clone(),
        file_found: context.sources.file_found,
        ok: problems.is_empty(),
        problems,
        warnings: warnings(&all, mismatch),
    };
    output::print(context.format(), &checked, for_people)?;
    if checked.ok {
        Ok(())
    } else {
        Err(Failure::message(
            Kind::Usage,
            format!("{} keys are wrong", checked.problems.len()),
        )
        .next("`k3s-daas config show` tells where each value came from"))
    }
}

fn for_people(checked: &Checked) -> String {
    let found = if checked.file_found {
        ""
    } else {
        " (not there, defaults count)"
    };
    let mut lines = vec![format!("{}{found}", checked.file.display())];
    for problem in &checked.problems {
        lines.push(format!("wrong    {}: {}", problem.key, problem.problem));
    }
    for warning in &checked.warnings {
        lines.push(format!("warning  {warning}"));
    }
    if checked.ok {
        lines.push("ok".to_owned());
    }
    lines.join("\n")
}

/// What is right in form and still worth a word.
fn warnings(all: &[Effective], mismatch: Option<&str>) -> Vec<String> {
    let value = |name: &str| {
        let key = all.iter().find(|key| key.key == name);
        key.and_then(|key| key.value.as_deref()).unwrap_or_default()
    };
    let mut warnings: Vec<String> = mismatch.map(str::to_owned).into_iter().collect();
    match value("elevated_owners") {
        "" => warnings.push(
            "elevated_owners is not set: the server will not start without any, none or a list"
                .to_owned(),
        ),
        "any" => warnings.push(
            "elevated_owners is any: whoever stakes 10 SUI owns the cluster, and what such a seal \
             installed outlives its slash"
                .to_owned(),
        ),
        _ => {}
    }
    if value("grace_seconds") != "0" {
        warnings.push(
            "grace_seconds is not 0: a slashed seal lives on that long while the chain can't be read"
                .to_owned(),
        );
    }
    warnings
}
