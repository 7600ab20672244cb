//! Why a namespace is not there, not kept or not given back.

use super::names::InvalidSuffix;

/// The cluster or its operator is to blame, never the owner.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// Somebody else made it. It is left alone.
    #[error("namespace {name} exists without the annotation of its owner")]
    Foreign {
        /// The name.
        name: String,
    },
    /// It is being deleted.
    #[error("namespace {name} is being deleted")]
    Terminating {
        /// The name.
        name: String,
    },
    /// There is none of that name.
    #[error("there is no namespace {name}")]
    Missing {
        /// The name.
        name: String,
    },
    /// The owner has as many as an owner may have.
    #[error("the owner has {count} namespaces already; {most} is the most")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// No suffix.
    #[error(transparent)]
    Suffix(#[from] InvalidSuffix),
    /// Nobody completed it in time: does the server run?
    #[error("namespace {name} was made, but the server has not completed it yet")]
    NotCompleted {
        /// The name.
        name: String,
    },
    /// The API server did not answer in time.
    #[error("the API server did not answer in time: {what}")]
    Late {
        /// What was asked.
        what: &'static str,
    },
    /// The API server did not do it.
    #[error("the API server did not do it: {what}")]
    Api {
        /// What was asked.
        what: &'static str,
        /// What it said.
        #[source]
        source: Box<kube::Error>,
    },
}

impl HomeError {
    /// The name in messages and metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Foreign { .. } => "foreign",
            Self::Terminating { .. } => "terminating",
            Self::Missing { .. } => "missing",
            Self::TooMany { .. } => "too_many",
            Self::Suffix(_) => "suffix",
            Self::NotCompleted { .. } => "not_completed",
            Self::Late { .. } => "late",
            Self::Api { .. } => "api",
        }
    }

    /// The object was changed or made by somebody else in between.
    pub(super) fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// The object is not there.
    pub(super) fn is_missing(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whoever asks may not.
    pub(super) fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// The API server takes no such change.
    pub(super) fn is_invalid(&self) -> bool {
        self.code() == Some(422)
    }

    fn code(&self) -> Option<u16> {
        match self {
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            _ => None,
        }
    }
}
