//! A real kubectl: the one on PATH where it works, else K3s's, else the control plane's.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use k3s_configs::launch::{Binary, KubectlCommand, Search, find_kubectl};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::failure::{Failure, Kind, OrFail, Outcome};

/// A kubectl that takes longer is stuck: its own deadline for a request is ten seconds.
const DEADLINE: Duration = Duration::from_secs(30);

/// How kubectl is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubectl(KubectlCommand);

/// What a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Exit code 0.
    Allowed,
    /// The API server said Forbidden or Unauthorized.
    Refused,
    /// Anything else: neither of both.
    Error,
    /// A stream goes on.
    Open,
    /// A stream was ended.
    Ended,
}

impl Answer {
    /// As it stands in the table.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Error => "error",
            Self::Open => "open",
            Self::Ended => "ended",
        }
    }
}

/// A command whose output goes on. It ends when this is dropped.
#[derive(Debug)]
pub struct Following {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Following {
    /// Waits until it has ended; says whether that was in time.
    pub async fn ends(&mut self, within: Duration) -> Outcome<bool> {
        let ended = async {
            // A full pipe would hold it up.
            while self.lines.next_line().await?.is_some() {}
            self.child.wait().await
        };
        match tokio::time::timeout(within, ended).await {
            Ok(ended) => {
                ended.or_fail(Kind::Failed, "kubectl can't be waited for")?;
                Ok(true)
            }
            Err(_elapsed) => Ok(false),
        }
    }
}

/// An answered request.
#[derive(Debug, Clone)]
pub struct Reply {
    /// What it came to.
    pub answer: Answer,
    /// What kubectl printed.
    pub text: String,
    /// How long it took, kubectl's own start included.
    pub took: Duration,
}

impl Kubectl {
    /// The one on PATH where it works, else the control plane's own.
    pub async fn find(control_plane: &Binary, cache: &Path) -> Outcome<Self> {
        let on_path = find_kubectl(&Search::from_environment(), Some(control_plane));
        let own = KubectlCommand::subcommand_of(control_plane.path.clone());
        for command in on_path.into_iter().chain([own]) {
            let kubectl = Self(command.with_cache(cache));
            if kubectl.works().await {
                return Ok(kubectl);
            }
        }
        Err(
            Failure::message(Kind::Failed, "there is no kubectl that works")
                .next("install kubectl: https://kubernetes.io/docs/tasks/tools/"),
        )
    }

    /// The words to type before kubectl's arguments.
    pub fn words(&self) -> String {
        self.0.to_string()
    }

    /// As the control plane's start wants it.
    pub fn command(&self) -> KubectlCommand {
        self.0.clone()
    }

    async fn works(&self) -> bool {
        let mut command = self.0.command(Path::new("/dev/null"));
        command.args(["version", "--client", "--output=json"]);
        let output = tokio::time::timeout(DEADLINE, command.output()).await;
        output.is_ok_and(|output| output.is_ok_and(|output| output.status.success()))
    }

    /// Asks the API server as whoever the kubeconfig says.
    pub async fn ask(&self, kubeconfig: &Path, request: &[String]) -> Outcome<Reply> {
        let mut command = self.0.command(kubeconfig);
        command.args(["--request-timeout", "10s"]).args(request);
        let started = Instant::now();
        let output = tokio::time::timeout(DEADLINE, command.output())
            .await
            .or_fail(
                Kind::Unavailable,
                format!("kubectl did not end within {DEADLINE:?}"),
            )?
            .or_fail(Kind::Failed, format!("can't start {}", self.words()))?;
        let took = started.elapsed();
        let errors = String::from_utf8_lossy(&output.stderr);
        let text = format!("{}{errors}", String::from_utf8_lossy(&output.stdout));
        Ok(Reply {
            answer: classify(output.status.success(), &errors),
            text: text.trim().to_owned(),
            took,
        })
    }
}

impl Kubectl {
    /// Starts a command that goes on, and waits for its first line.
    pub async fn follow(&self, kubeconfig: &Path, request: &[String]) -> Outcome<Following> {
        let mut command = self.0.command(kubeconfig);
        command
            .args(request)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let doing = format!("can't follow {}", request.join(" "));
        let mut child = command.spawn().or_fail(Kind::Failed, doing.clone())?;
        let gone = || Failure::message(Kind::Failed, doing.clone());
        let stdout = child.stdout.take().ok_or_else(gone)?;
        let mut lines = BufReader::new(stdout).lines();
        let first = tokio::time::timeout(DEADLINE, lines.next_line()).await;
        match first {
            Ok(Ok(Some(_))) => Ok(Following { child, lines }),
            _ => Err(gone()),
        }
    }
}

/// `error: failed to create configmap: configmaps is forbidden: ...`,
/// `error: You must be logged in to the server (Unauthorized)`, `Error from server (Forbidden): ...`
fn classify(success: bool, errors: &str) -> Answer {
    if success {
        Answer::Allowed
    } else if ["(Forbidden)", " is forbidden: ", "Unauthorized"]
        .iter()
        .any(|said| errors.contains(said))
    {
        Answer::Refused
    } else {
        Answer::Error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_api_server_refused_counts_as_refused() {
        let forbidden = "Error from server (Forbidden): nodes is forbidden: User ...";
        let unauthorized = "error: You must be logged in to the server (Unauthorized)";
        for (success, errors, answer) in [
            (true, "", Answer::Allowed),
            (
                true,
                "Warning: (Forbidden) is in a warning",
                Answer::Allowed,
            ),
            (false, forbidden, Answer::Refused),
            (
                false,
                "error: failed to create x: x is forbidden: User ...",
                Answer::Refused,
            ),
            (false, unauthorized, Answer::Refused),
            (
                false,
                "Unable to connect to the server: connection refused",
                Answer::Error,
            ),
            (false, "", Answer::Error),
        ] {
            assert_eq!(classify(success, errors), answer, "{errors}");
        }
    }
}
