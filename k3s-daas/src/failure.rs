//! What a command ends with when it does not succeed: the causes, a next step and an exit code.
//!
//! Exit codes, for scripts:
//!
//! | code | meaning |
//! | --- | --- |
//! | 0 | done |
//! | 1 | failed: something here is wrong (a file, an answer that makes no sense, a mismatch) |
//! | 2 | usage: a flag, a variable or a key of the configuration is wrong |
//! | 3 | refused: the contract said no (not enough stake, not the owner, wrong state, ...) |
//! | 4 | unavailable: the chain, the API server or a webhook can't be reached in time |
//! | 130 | interrupted |

use std::fmt;

use crate::causes::causes;

/// Which exit code a failure has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something here is wrong.
    Failed,
    /// A flag, a variable or a key of the configuration is wrong.
    Usage,
    /// The contract said no.
    Refused,
    /// Somebody who is needed can't be reached in time.
    Unavailable,
    /// Ctrl-C.
    Interrupted,
}

impl Kind {
    /// The exit code.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Unavailable => 4,
            Self::Interrupted => 130,
        }
    }

    /// The name in JSON output.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Why a command did not succeed, and what its user can do.
#[derive(Debug)]
pub struct Failure {
    /// The exit code's meaning.
    pub kind: Kind,
    /// The causes, outermost first.
    pub cause: anyhow::Error,
    /// What to do next, in one line.
    pub next_step: Option<String>,
}

/// What commands answer.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: Kind, cause: impl Into<anyhow::Error>) -> Self {
        Self {
            kind,
            cause: cause.into(),
            next_step: None,
        }
    }

    /// A failure told in words.
    pub fn message(kind: Kind, message: impl fmt::Display) -> Self {
        Self::new(kind, anyhow::anyhow!("{message}"))
    }

    /// Says what to do next.
    #[must_use]
    pub fn next(mut self, step: impl Into<String>) -> Self {
        self.next_step = Some(step.into());
        self
    }

    /// Puts what was being done in front of the causes.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display + Send + Sync + 'static) -> Self {
        self.cause = self.cause.context(doing);
        self
    }
}

/// `error: a: b: c`, then the next step on a line of its own.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let causes = causes(self.cause.as_ref());
        write!(f, "error: {}", causes.join("\n  because: "))?;
        if let Some(step) = &self.next_step {
            write!(f, "\nnext step: {step}")?;
        }
        Ok(())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(cause: anyhow::Error) -> Self {
        Self::new(Kind::Failed, cause)
    }
}

impl From<std::io::Error> for Failure {
    fn from(cause: std::io::Error) -> Self {
        Self::new(Kind::Failed, cause)
    }
}

/// Turns an error into a failure with a next step, where it happens.
pub trait OrFail<T> {
    /// As a failure of this kind, with what was being done in front.
    fn or_fail(self, kind: Kind, doing: impl fmt::Display + Send + Sync + 'static) -> Outcome<T>;
}

impl<T, E: Into<anyhow::Error>> OrFail<T> for Result<T, E> {
    fn or_fail(self, kind: Kind, doing: impl fmt::Display + Send + Sync + 'static) -> Outcome<T> {
        self.map_err(|error| Failure::new(kind, error).context(doing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_chain_of_causes_and_the_next_step() {
        let cause = anyhow::anyhow!("no such file").context("can't read the keystore");
        let failure = Failure::new(Kind::Usage, cause).next("pass --keystore");
        assert_eq!(
            failure.to_string(),
            "error: can't read the keystore\n  because: no such file\nnext step: pass --keystore"
        );
    }

    #[test]
    fn exit_codes_are_as_documented() {
        let codes = [
            Kind::Failed,
            Kind::Usage,
            Kind::Refused,
            Kind::Unavailable,
            Kind::Interrupted,
        ]
        .map(Kind::exit_code);
        assert_eq!(codes, [1, 2, 3, 4, 130]);
    }
}
