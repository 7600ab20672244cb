//! Why a control plane can't be had.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

/// Why no control plane was started, or it ended. None is worth an automatic second try.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// No binary anywhere that was looked.
    #[error(
        "no control plane: no $K3S_BIN, no k3s on PATH, and none built from the Kubernetes modules; \
         install K3s (https://docs.k3s.io/installation), or Go 1.26 or later and run \
         tests/control-plane/build.sh"
    )]
    NoControlPlane,
    /// No `kubectl` anywhere that was looked.
    #[error(
        "no kubectl: none on PATH and no control plane that brings one; \
         install it (https://kubernetes.io/docs/tasks/tools/)"
    )]
    NoKubectl,
    /// `$K3S_BIN` names something that can't be run.
    #[error("$K3S_BIN names {}, which is no executable file", path.display())]
    NotExecutable {
        /// What it names.
        path: PathBuf,
    },
    /// A file or folder of ours.
    #[error("{}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No port was free.
    #[error("no free ports between {first} and {last} on 127.0.0.1")]
    NoPort {
        /// The first port tried.
        first: u16,
        /// The last one.
        last: u16,
    },
    /// The port that was asked for is taken.
    #[error("port {port} on 127.0.0.1 is taken; stop what uses it or choose another")]
    PortTaken {
        /// Which one.
        port: u16,
    },
    /// The child could not be made.
    #[error("can't run {}", program.display())]
    Spawn {
        /// What was to run.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It ended by itself: before it was ready, or later.
    #[error("the control plane ended ({status}); the end of {}:\n{tail}", log.display())]
    Ended {
        /// How.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
    /// It runs and does not answer.
    #[error("the control plane was not ready within {waited:?} ({last}); the end of {}:\n{tail}", log.display())]
    NotReady {
        /// How long it had.
        waited: Duration,
        /// The last answer.
        last: String,
        /// Its log.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
}

impl LaunchError {
    pub(super) fn file(path: &Path, source: io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            source,
        }
    }
}
