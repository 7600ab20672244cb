//! What became of a transaction.
//!
//! A Move call that aborts is a gRPC success: the transaction is executed, its gas is paid, and
//! the failure stands in the effects.

use bytes::Bytes;
use seal::{ObjectId, UnixMillis};
use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_rpc::proto::sui::rpc::v2::changed_object::{IdOperation, OutputObjectState};
use sui_rpc::proto::sui::rpc::v2::execution_error::{ErrorDetails, ExecutionErrorKind};
use sui_sdk_types::{Digest, ObjectReference};

use super::object::Owner;
use super::parse;
use crate::error::AnswerError;
use crate::frame::to_millis;
use crate::ids;

/// An executed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// Its digest.
    pub digest: Digest,
    /// Why it failed; none when it succeeded.
    pub failure: Option<Failure>,
    /// The checkpoint that holds it. ExecuteTransaction never fills it: reads don't show the
    /// changes before that checkpoint.
    pub checkpoint: Option<u64>,
    /// That checkpoint's time.
    pub timestamp: Option<UnixMillis>,
    /// What it cost.
    pub gas_used: GasUsed,
    /// The gas coin as it is now: what the next transaction must name.
    pub gas_object: Option<ObjectReference>,
    /// All objects it made, changed or removed.
    pub changed: Vec<Changed>,
    /// What it said.
    pub events: Vec<RawEvent>,
}

/// Why a transaction failed after it was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The class.
    pub kind: FailureKind,
    /// The command that failed, from 0.
    pub command: Option<u64>,
    /// Where and how Move code aborted, for [`FailureKind::MoveAbort`].
    pub abort: Option<Abort>,
}

/// Classes of failures, as far as somebody acts on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// Move code refused.
    MoveAbort,
    /// The budget was too small.
    InsufficientGas,
    /// A coin held less than was to be taken from it.
    InsufficientCoinBalance,
    /// Cancelled because too many transactions wanted the same shared object: bid more.
    Congestion,
    /// The function is not in the package.
    FunctionNotFound,
    /// Anything else, by the protocol's number.
    Other(i32),
}

impl FailureKind {
    /// The name in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::MoveAbort => "move_abort",
            Self::InsufficientGas => "insufficient_gas",
            Self::InsufficientCoinBalance => "insufficient_coin_balance",
            Self::Congestion => "congestion",
            Self::FunctionNotFound => "function_not_found",
            Self::Other(_) => "other_failure",
        }
    }
}

/// An abort of Move code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abort {
    /// The package that aborted.
    pub package: Option<ObjectId>,
    /// Its module.
    pub module: String,
    /// The function, where the node knows its name.
    pub function: Option<String>,
    /// The code.
    pub code: u64,
}

/// Gas in MIST.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GasUsed {
    /// For running.
    pub computation: u64,
    /// For storing.
    pub storage: u64,
    /// Given back for what was stored before.
    pub rebate: u64,
}

impl GasUsed {
    /// What the coin lost; negative when the rebate was larger.
    #[must_use]
    pub fn net(&self) -> i128 {
        i128::from(self.computation) + i128::from(self.storage) - i128::from(self.rebate)
    }
}

/// What became of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Which.
    pub id: ObjectId,
    /// What it is now; none when it is gone (or a package).
    pub now: Option<ObjectReference>,
    /// Who may use it now; none when it is gone.
    pub owner: Option<Owner>,
    /// Made by this transaction.
    pub created: bool,
    /// A published package.
    pub package: bool,
}

/// An event as the node gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEvent {
    /// Its type as the node writes it.
    pub event_type: String,
    /// BCS of the event.
    pub contents: Bytes,
}

impl Executed {
    /// The objects this transaction made, packages included.
    pub fn created(&self) -> impl Iterator<Item = &Changed> {
        self.changed.iter().filter(|changed| changed.created)
    }

    /// Reads an answer. Nothing at all in it is [`AnswerError::Empty`].
    pub(crate) fn read(transaction: proto::ExecutedTransaction) -> Result<Self, AnswerError> {
        let Some(effects) = transaction.effects else {
            return Err(if transaction.digest.is_none() {
                AnswerError::Empty
            } else {
                AnswerError::Field { field: "effects" }
            });
        };
        // Effects alone have the digest too, should the transaction's own field be left out.
        let digest = transaction
            .digest
            .as_deref()
            .or(effects.transaction_digest.as_deref());
        let status = effects.status.as_ref().ok_or(AnswerError::Field {
            field: "effects.status",
        })?;
        let gas = effects.gas_used.as_ref();
        Ok(Self {
            digest: parse::digest(digest, "digest")?,
            failure: Failure::read(status)?,
            checkpoint: transaction.checkpoint,
            timestamp: transaction.timestamp.as_ref().and_then(to_millis),
            gas_used: GasUsed {
                computation: gas.and_then(|gas| gas.computation_cost).unwrap_or_default(),
                storage: gas.and_then(|gas| gas.storage_cost).unwrap_or_default(),
                rebate: gas.and_then(|gas| gas.storage_rebate).unwrap_or_default(),
            },
            gas_object: effects
                .gas_object
                .as_ref()
                .map(Changed::read)
                .transpose()?
                .and_then(|changed| changed.now),
            changed: effects
                .changed_objects
                .iter()
                .map(Changed::read)
                .collect::<Result<_, _>>()?,
            events: transaction
                .events
                .into_iter()
                .flat_map(|events| events.events)
                .map(RawEvent::read)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Failure {
    fn read(status: &proto::ExecutionStatus) -> Result<Option<Self>, AnswerError> {
        // A missing `success` must not read as a success.
        if status.success.ok_or(AnswerError::Field {
            field: "effects.status.success",
        })? {
            return Ok(None);
        }
        let error = status.error.as_ref();
        let number = error.and_then(|error| error.kind).unwrap_or_default();
        let kind = match ExecutionErrorKind::try_from(number) {
            Ok(ExecutionErrorKind::MoveAbort) => FailureKind::MoveAbort,
            Ok(ExecutionErrorKind::InsufficientGas) => FailureKind::InsufficientGas,
            Ok(ExecutionErrorKind::InsufficientCoinBalance) => FailureKind::InsufficientCoinBalance,
            Ok(ExecutionErrorKind::ExecutionCanceledDueToConsensusObjectCongestion) => {
                FailureKind::Congestion
            }
            Ok(ExecutionErrorKind::FunctionNotFound) => FailureKind::FunctionNotFound,
            _ => FailureKind::Other(number),
        };
        let abort = match error.and_then(|error| error.error_details.as_ref()) {
            Some(ErrorDetails::Abort(abort)) => Some(Abort::read(abort)?),
            _ => None,
        };
        Ok(Some(Self {
            kind,
            command: error.and_then(|error| error.command),
            abort,
        }))
    }
}

impl Abort {
    fn read(abort: &proto::MoveAbort) -> Result<Self, AnswerError> {
        let location = abort.location.as_ref();
        Ok(Self {
            package: location
                .and_then(|location| location.package.as_deref())
                .and_then(|text| text.parse().ok()),
            module: location
                .and_then(|location| location.module.clone())
                .unwrap_or_default(),
            function: location.and_then(|location| location.function_name.clone()),
            code: abort.abort_code.ok_or(AnswerError::Field {
                field: "abort.abort_code",
            })?,
        })
    }
}

impl Changed {
    fn read(changed: &proto::ChangedObject) -> Result<Self, AnswerError> {
        let id = parse::object_id(changed.object_id.as_deref(), "changed_objects.object_id")?;
        let state = changed
            .output_state
            .and_then(|state| OutputObjectState::try_from(state).ok());
        let written = state == Some(OutputObjectState::ObjectWrite);
        Ok(Self {
            id,
            now: if written {
                Some(ObjectReference::new(
                    ids::to_sui(id.as_bytes()),
                    changed.output_version.ok_or(AnswerError::Field {
                        field: "changed_objects.output_version",
                    })?,
                    parse::digest(
                        changed.output_digest.as_deref(),
                        "changed_objects.output_digest",
                    )?,
                ))
            } else {
                None
            },
            owner: changed.output_owner.as_ref().map(Owner::read).transpose()?,
            created: changed
                .id_operation
                .is_some_and(|operation| operation == IdOperation::Created as i32),
            package: state == Some(OutputObjectState::PackageWrite),
        })
    }
}

impl RawEvent {
    fn read(event: proto::Event) -> Result<Self, AnswerError> {
        Ok(Self {
            event_type: event.event_type.ok_or(AnswerError::Field {
                field: "events.event_type",
            })?,
            contents: event.contents.and_then(|contents| contents.value).ok_or(
                AnswerError::Field {
                    field: "events.contents",
                },
            )?,
        })
    }
}
