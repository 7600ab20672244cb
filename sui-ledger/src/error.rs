//! Why the chain gave no answer.
//!
//! Shape:  one mapping from gRPC codes, never from texts: a full node words the same input error
//!         in two ways, by the path it happens to take.
//! Errors: `is_retryable` says whether the same *read* may be tried again as it is. For a
//!         transaction, anything retryable means that its outcome is unknown: look it up by its
//!         digest or send the very same bytes again.

use std::time::Duration;

use tonic::{Code, Status};

use crate::chain_id::{ChainHint, ChainId};
use crate::frame::FrameError;

/// What the node, the network or the settings did.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The endpoint in the settings is no address. The operator is to blame.
    #[error("endpoint {endpoint} is no usable http:// or https:// address")]
    Endpoint {
        /// The setting.
        endpoint: String,
        /// What the transport says.
        #[source]
        source: tonic::transport::Error,
    },
    /// No connection, or the node could not finish in time (14). For a transaction that says
    /// nothing of its outcome.
    #[error("the node is unavailable")]
    Unavailable(#[source] Box<Status>),
    /// No answer within the deadline, ours or the node's (4).
    #[error("no answer within {} ms", .after.as_millis())]
    Deadline {
        /// How long we waited.
        after: Duration,
    },
    /// The connection broke in the middle (1, 2, 10, 15): what a stopped node leaves behind.
    #[error("the connection to the node broke")]
    Interrupted(#[source] Box<Status>),
    /// The node failed inside (13).
    #[error("the node failed")]
    Internal(#[source] Box<Status>),
    /// The node or a gateway asks for less (8).
    #[error("the node refuses more requests for now")]
    Exhausted(#[source] Box<Status>),
    /// No such object, transaction or checkpoint (5); removed ones look the same.
    #[error("not found")]
    NotFound(#[source] Box<Status>),
    /// The node refuses the inputs (3).
    #[error("the node refuses the request")]
    Invalid(#[source] Box<Status>),
    /// An input is locked by another transaction (9): two transactions spent one coin version.
    #[error("an input is locked by another transaction of the same owner")]
    Locked(#[source] Box<Status>),
    /// A message over a limit, the node's or ours (11).
    #[error("a message is over its size limit")]
    TooLarge(#[source] Box<Status>),
    /// The node does not know the call (12): not `sui.rpc.v2`, or too old.
    #[error("the node does not know this call: it needs sui.rpc.v2")]
    Unimplemented(#[source] Box<Status>),
    /// A gateway wants credentials or forbids the call (7, 16).
    #[error("the node's gateway refuses us")]
    Refused(#[source] Box<Status>),
    /// The node follows another chain than the contract file says.
    #[error("the node follows chain {found}, the contract is on {want}")]
    OtherChain {
        /// The contract file's chain.
        want: ChainId,
        /// The answer's chain.
        found: ChainHint,
    },
    /// The answer is not what the protocol promises.
    #[error("the node's answer is malformed")]
    Answer(#[from] AnswerError),
    /// No frame in time. A stalled network leaves the stream open and silent.
    #[error("no checkpoint arrived within {} ms", .after.as_millis())]
    StreamSilent {
        /// How long we waited.
        after: Duration,
    },
    /// More in one request than we allow ourselves.
    #[error("{asked} objects in one request, at most {limit} are asked for")]
    BatchTooLarge {
        /// How many.
        asked: usize,
        /// The limit.
        limit: usize,
    },
}

/// What is wrong with an answer. The node is to blame, or its version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// A header that every answer has is missing or malformed.
    #[error("header {name} is missing or malformed")]
    Header {
        /// Its name.
        name: &'static str,
    },
    /// A field that was asked for is missing or malformed.
    #[error("field {field} is missing or malformed")]
    Field {
        /// Its path.
        field: &'static str,
    },
    /// Status OK and nothing in it: what Sui 1.57 answers when it does not know a read mask.
    /// A transaction has been executed all the same.
    #[error("the answer is empty")]
    Empty,
    /// Another number of entries than was asked for.
    #[error("{found} entries where {want} were asked for")]
    Count {
        /// Asked for.
        want: usize,
        /// In the answer.
        found: usize,
    },
    /// An entry about something else than was asked for.
    #[error("the answer is about something else than was asked for")]
    Unasked,
    /// A checkpoint that is no frame.
    #[error("a checkpoint is no frame")]
    Frame(#[from] FrameError),
}

impl LedgerError {
    /// All labels, for metrics that start at zero.
    pub const LABELS: [&'static str; 16] = [
        "endpoint",
        "unavailable",
        "deadline",
        "interrupted",
        "internal",
        "exhausted",
        "not_found",
        "invalid",
        "locked",
        "too_large",
        "unimplemented",
        "refused",
        "other_chain",
        "answer",
        "stream_silent",
        "batch_too_large",
    ];

    /// The one mapping from a gRPC status. `after` is the deadline that was set.
    #[must_use]
    pub fn from_status(status: Status, after: Duration) -> Self {
        let code = status.code();
        let status = Box::new(status);
        match code {
            Code::Unavailable => Self::Unavailable(status),
            Code::DeadlineExceeded => Self::Deadline { after },
            // Ok is no error; a library that makes one of it has lost the real status.
            Code::Cancelled | Code::Unknown | Code::Aborted | Code::DataLoss | Code::Ok => {
                Self::Interrupted(status)
            }
            Code::Internal => Self::Internal(status),
            Code::ResourceExhausted => Self::Exhausted(status),
            Code::NotFound => Self::NotFound(status),
            Code::InvalidArgument | Code::AlreadyExists => Self::Invalid(status),
            Code::FailedPrecondition => Self::Locked(status),
            Code::OutOfRange => Self::TooLarge(status),
            Code::Unimplemented => Self::Unimplemented(status),
            Code::PermissionDenied | Code::Unauthenticated => Self::Refused(status),
        }
    }

    /// Whether the same read may succeed later without anybody doing anything.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_)
            | Self::Deadline { .. }
            | Self::Interrupted(_)
            | Self::Internal(_)
            | Self::Exhausted(_)
            | Self::StreamSilent { .. } => true,
            Self::Endpoint { .. }
            | Self::NotFound(_)
            | Self::Invalid(_)
            | Self::Locked(_)
            | Self::TooLarge(_)
            | Self::Unimplemented(_)
            | Self::Refused(_)
            | Self::OtherChain { .. }
            | Self::Answer(_)
            | Self::BatchTooLarge { .. } => false,
        }
    }

    /// The name in logs and metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Endpoint { .. } => "endpoint",
            Self::Unavailable(_) => "unavailable",
            Self::Deadline { .. } => "deadline",
            Self::Interrupted(_) => "interrupted",
            Self::Internal(_) => "internal",
            Self::Exhausted(_) => "exhausted",
            Self::NotFound(_) => "not_found",
            Self::Invalid(_) => "invalid",
            Self::Locked(_) => "locked",
            Self::TooLarge(_) => "too_large",
            Self::Unimplemented(_) => "unimplemented",
            Self::Refused(_) => "refused",
            Self::OtherChain { .. } => "other_chain",
            Self::Answer(_) => "answer",
            Self::StreamSilent { .. } => "stream_silent",
            Self::BatchTooLarge { .. } => "batch_too_large",
        }
    }
}

impl From<FrameError> for LedgerError {
    fn from(error: FrameError) -> Self {
        Self::Answer(AnswerError::Frame(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_class_and_every_class_a_known_label() {
        for number in 0..=16 {
            let error =
                LedgerError::from_status(Status::new(Code::from(number), "any"), Duration::ZERO);
            assert!(LedgerError::LABELS.contains(&error.label()), "{number}");
        }
    }

    #[test]
    fn only_what_may_pass_by_itself_is_retryable() {
        let retryable: Vec<i32> = (0..=16)
            .filter(|number| {
                LedgerError::from_status(Status::new(Code::from(*number), ""), Duration::ZERO)
                    .is_retryable()
            })
            .collect();
        assert_eq!(retryable, [0, 1, 2, 4, 8, 10, 13, 14, 15]);
    }
}
