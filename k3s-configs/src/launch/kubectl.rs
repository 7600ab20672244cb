//! How kubectl is called.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// A kubectl: a program of its own, or a subcommand of the control plane's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubectlCommand {
    program: PathBuf,
    /// `kubectl` where the program is another one.
    subcommand: Option<&'static str>,
    /// Where it caches what it discovered. Not in the home folder: another control plane on the
    /// same port would find it there.
    cache: Option<PathBuf>,
}

impl KubectlCommand {
    /// A program of its own.
    pub fn program(program: PathBuf) -> Self {
        Self {
            program,
            subcommand: None,
            cache: None,
        }
    }

    /// The subcommand `kubectl` of a K3s or of the modules.
    pub fn subcommand_of(program: PathBuf) -> Self {
        Self {
            program,
            subcommand: Some("kubectl"),
            cache: None,
        }
    }

    /// The same, with the given cache folder.
    #[must_use]
    pub fn with_cache(mut self, cache: &Path) -> Self {
        self.cache = Some(cache.to_owned());
        self
    }

    /// The program and its first arguments, for commands that people are shown.
    pub fn words(&self) -> impl Iterator<Item = &OsStr> {
        std::iter::once(self.program.as_os_str()).chain(self.subcommand.map(OsStr::new))
    }

    /// A command with this kubeconfig, to which the caller adds arguments. It reads no standard
    /// input and ends with whoever waits for it.
    pub fn command(&self, kubeconfig: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(self.subcommand)
            // In the environment rather than a flag, since K3s's kubectl sets its own there.
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(cache) = &self.cache {
            command.env("KUBECACHEDIR", cache);
        }
        command
    }
}

impl fmt::Display for KubectlCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())?;
        self.subcommand.map_or(Ok(()), |name| write!(f, " {name}"))
    }
}
