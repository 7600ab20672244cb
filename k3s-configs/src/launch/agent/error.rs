//! Why a worker can't be had.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Missing;

/// Why no worker was started, or it ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// This machine lacks something.
    #[error("no worker can run here: {}", list(.0))]
    Missing(Vec<Missing>),
    /// A file or folder of ours.
    #[error("{}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A tool of the system said no.
    #[error("{command}: {said}")]
    Tool {
        /// What was run.
        command: String,
        /// What it said.
        said: String,
    },
    /// A tool of the system could not be run.
    #[error("can't run {program}")]
    Spawn {
        /// Which.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Every network is in use.
    #[error("each of the networks 10.99.1.0/24 to 10.99.{last}.0/24 is in use")]
    NoNetwork {
        /// The last one tried.
        last: u8,
    },
    /// A network has only so many addresses.
    #[error("a network has at most {most} workers")]
    TooMany {
        /// How many.
        most: u8,
    },
    /// The name is no node's.
    #[error("{name:?} is no name of a node: lowercase letters, digits, hyphens and dots")]
    Name {
        /// What was given.
        name: String,
    },
    /// The machine's first process did not do its work.
    #[error("the worker's machine did not come up ({what}):\n{tail}")]
    Machine {
        /// What was waited for.
        what: &'static str,
        /// What it said.
        tail: String,
    },
    /// The machine has ended.
    #[error("the worker's machine is gone")]
    MachineGone,
    /// The agent ended by itself.
    #[error("the agent ended with code {code}; the end of {}:\n{tail}", log.display())]
    Ended {
        /// How.
        code: i32,
        /// Its log.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
    /// It did not end when told.
    #[error("the agent did not end within {waited:?}")]
    Stuck {
        /// How long it had.
        waited: Duration,
    },
}

impl AgentError {
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

fn list(missing: &[Missing]) -> String {
    let each = missing.iter().map(ToString::to_string);
    each.collect::<Vec<_>>().join("; ")
}
