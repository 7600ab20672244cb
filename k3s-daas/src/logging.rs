//! The log: structured, to standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::Sources;
use crate::config::keys::{Group, LogFormat, LogKeys};
use crate::failure::{Kind, OrFail, Outcome};

/// The client tells of every call that failed, as an error and without what for; who called tells
/// the same with it. Before the configured filter, which may say otherwise.
const QUIET: &str = "kube_client::client::builder=off";

fn filter(log: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    EnvFilter::try_new(format!("{QUIET},{log}"))
}

/// Starts the log as configured. A second start in one process changes nothing.
pub fn start(args: &LogKeys, sources: &Sources) -> Outcome {
    let config = args.resolve(sources)?;
    let filter = filter(&config.log).or_fail(
        Kind::Usage,
        format!(
            "the key log has the value {:?}, which is no filter",
            config.log
        ),
    )?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Colours are for people: in a file or a journal they are noise.
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // Err means that there is a log already, as in tests.
    let _ = match config.log_format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_quiet_unless_it_is_asked_for() {
        let quiet = filter("info").unwrap().to_string();
        assert!(quiet.contains(QUIET) && quiet.contains("info"), "{quiet}");
        let asked = filter("info,kube_client::client::builder=debug").unwrap();
        assert!(!asked.to_string().contains(QUIET), "{asked}");
        assert!(filter("info,=").is_err());
    }
}
