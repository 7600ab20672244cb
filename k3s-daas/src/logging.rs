//! The log: structured, to standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::Sources;
use crate::config::keys::{Group, LogFormat, LogKeys};
use crate::failure::{Kind, OrFail, Outcome};

/// Starts the log as configured. A second start in one process changes nothing.
pub fn start(args: &LogKeys, sources: &Sources) -> Outcome {
    let config = args.resolve(sources)?;
    let filter = EnvFilter::try_new(&config.log).or_fail(
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
