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
mod handover;
pub mod kubeconfig;
pub mod local;
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
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match cli::parse(args.clone()) {
        Ok(cli) => cli,
        Err(error) => return unread(&error),
    };
    if cli.command.is_the_worker() {
        handover::to_the_workers_own(&args);
    }
    let small = cli.command.is_small();
    finish(small, async {
        // Only the long-running ones narrate.
        let quiet = if cli.command.narrates() {
            "info"
        } else {
            cli::QUIET_LOG
        };
        let context = match context(cli.global.clone(), cli.command.default_file(), quiet) {
            Err(failure) if cli.command.goes_without_its_file() => {
                output::warn(&format!("{failure}; going by the defaults"));
                let mut sources = config::Sources::default();
                sources.path = cli.command.default_file().into();
                commands::Context {
                    sources,
                    global: cli.global,
                }
            }
            context => context?,
        };
        Box::pin(commands::run(context, cli.command)).await
    })
}

/// Runs the program that is the worker alone. What it does not use is not in it: a machine has its
/// memory for its pods.
pub fn worker_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match cli::parse_worker(args) {
        Ok(cli) => cli,
        Err(error) => return unread(&error),
    };
    finish(true, async {
        let context = context(cli.global, config::WORKER_FILE, "info")?;
        commands::worker::serve(&context, &cli.keys).await
    })
}

/// Help and version are no errors: standard output, code 0.
fn unread(error: &clap::Error) -> ExitCode {
    let code = if error.use_stderr() {
        Kind::Usage.exit_code()
    } else {
        0
    };
    let _ = error.print();
    ExitCode::from(code)
}

/// Runs to the end; `small` on this thread alone.
fn finish(small: bool, work: impl Future<Output = Outcome>) -> ExitCode {
    let mut runtime = if small {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return end(&Failure::new(Kind::Failed, error)),
    };
    let outcome = runtime.block_on(work);
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

/// Reads the configuration and starts the log.
fn context(global: cli::Global, default_file: &str, quiet: &str) -> Outcome<commands::Context> {
    // The one place that may take the process-wide provider; a second call finds it taken.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = global.config.as_deref();
    let sources = config::Sources::read(config, default_file, utf8_variables())?;
    let log = global
        .log
        .group()
        .with_defaults(&sources, &[("log", quiet)]);
    logging::start(&log, &sources)?;
    for variable in sources.unknown_variables() {
        output::warn(&format!(
            "{variable} is no key of the configuration; see `config show`"
        ));
    }
    Ok(commands::Context { sources, global })
}

/// Variables that are no UTF-8 are nobody's configuration.
fn utf8_variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
