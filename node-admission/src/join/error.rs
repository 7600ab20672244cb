//! Why a node does not join now.

use std::sync::Arc;

/// The cluster, its operator or the name is to blame, never the seal: that was judged before.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The name is the control plane's, or one that its certificates speak for.
    #[error("the name is reserved")]
    Reserved,
    /// A node of that name is there which did not join with a seal of this owner. It is left
    /// alone.
    #[error("a node of this name is there that did not join with a seal of this owner")]
    Taken,
    /// What was there of that name is still being deleted.
    #[error("the node is still being deleted")]
    Ending,
    /// Too many nodes join at once.
    #[error("too many nodes join at once")]
    Overloaded,
    /// Nothing is known of a node of this name.
    #[error("the node is neither registered nor joined")]
    Missing,
    /// What was said of the machine is nothing that can be kept.
    #[error("not valid: {what}")]
    Invalid {
        /// Which field.
        what: &'static str,
    },
    /// Somebody else changed it again and again.
    #[error("changed by others meanwhile")]
    Contended,
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
        source: Arc<kube::Error>,
    },
}

impl JoinError {
    /// Every label, for metrics that start at zero.
    pub const LABELS: [&'static str; 9] = [
        "reserved",
        "taken",
        "ending",
        "overloaded",
        "missing",
        "invalid",
        "contended",
        "late",
        "api",
    ];

    /// The name in messages and metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Taken => "taken",
            Self::Ending => "ending",
            Self::Overloaded => "overloaded",
            Self::Missing => "missing",
            Self::Invalid { .. } => "invalid",
            Self::Contended => "contended",
            Self::Late { .. } => "late",
            Self::Api { .. } => "api",
        }
    }

    /// Whether the same may succeed in a moment.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Reserved | Self::Taken | Self::Missing | Self::Invalid { .. } => false,
            Self::Ending
            | Self::Overloaded
            | Self::Contended
            | Self::Late { .. }
            | Self::Api { .. } => true,
        }
    }

    /// The object was changed or made by somebody else in between.
    pub(crate) fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// The object is not there.
    pub(crate) fn is_missing(&self) -> bool {
        self.code() == Some(404)
    }

    /// The API server said so; anything else is the line's fault.
    pub(crate) fn is_answer(&self) -> bool {
        self.code().is_some()
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
