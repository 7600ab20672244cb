//! The command line of K3s-DaaS: one binary that composes everything.
//!
//! Shape:  [`cli`] is what a person types, [`config`] what the program runs on, [`commands`] one
//!         file for each thing it does; [`server`] and [`up`] are the two long-running jobs.
//! Errors: every command ends with a [`failure::Failure`]: causes, a next step, an exit code.

use std::ffi::OsString;
use std::process::ExitCode;

pub mod causes;
pub mod chain;
pub mod cli;
pub mod cli_docs;
pub mod commands;
pub mod config;
pub mod control;
pub mod demo;
pub mod failure;
pub mod kubeconfig;
pub mod logging;
pub mod output;
pub mod progress;
pub mod rendering;
pub mod seals;
pub mod secrets;
pub mod server;
pub mod shutdown;
pub mod tiers;
pub mod up;
pub mod worker;

use config::keys::Group;
use failure::{Failure, Kind, Outcome};

/// Runs the command line and gives the exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match cli::parse(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors: standard output, code 0.
            let code = if error.use_stderr() {
                Kind::Usage.exit_code()
            } else {
                0
            };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let mut runtime = if cli.command.is_small() {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return end(&Failure::new(Kind::Failed, error)),
    };
    let outcome = runtime.block_on(run(cli));
    // A thread that waits for standard input must not keep the program from ending.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => end(&failure),
    }
}

fn end(failure: &Failure) -> ExitCode {
    output::say(&failure.to_string());
    ExitCode::from(failure.kind.exit_code())
}

async fn run(cli: cli::Cli) -> Outcome {
    // The one place that may take the process-wide provider; a second call finds it taken.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sources = config::Sources::read(
        cli.global.config.as_deref(),
        cli.command.default_file(),
        utf8_variables(),
    )?;
    // Only the long-running webhooks narrate.
    let quiet = if cli.command.narrates() {
        "info"
    } else {
        cli::QUIET_LOG
    };
    let log = cli
        .global
        .log
        .group()
        .with_defaults(&sources, &[("log", quiet)]);
    logging::start(&log, &sources)?;
    Box::pin(commands::run(cli, sources)).await
}

/// Variables that are no UTF-8 are nobody's configuration.
fn utf8_variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
