//! gRPC errors as the node has them.

use prost::Message;
use sui_rpc::proto::google::rpc::bad_request::FieldViolation;
use sui_rpc::proto::google::rpc::{BadRequest, Status as RpcStatus};
use sui_rpc::proto::sui::rpc::v2::ErrorReason;
use tonic::{Code, Status};

use crate::ledger::Rejection;
use crate::node::WriteError;

/// A field that is wrong. The description is the error's text as well.
pub(super) fn invalid(field: impl Into<String>, description: String) -> Status {
    let violation = FieldViolation::new(field)
        .with_description(description.clone())
        .with_reason(ErrorReason::FieldInvalid);
    bad_request(description, violation)
}

/// A field that has to be there.
pub(super) fn missing(field: impl Into<String>) -> Status {
    let violation = FieldViolation::new(field).with_reason(ErrorReason::FieldMissing);
    bad_request(String::new(), violation)
}

/// A field of a message that can't be read, as the SDK's conversions report it.
pub(super) fn unreadable(at: &str, error: sui_rpc::proto::TryFromProtoError) -> Status {
    let error = error.nested(at);
    let violation = error.field_violation().clone();
    bad_request(format!("invalid {at}: {error}"), violation)
}

fn bad_request(message: String, violation: FieldViolation) -> Status {
    let request = BadRequest {
        field_violations: vec![violation],
    };
    let detail = prost_types::Any {
        // Without a host part, unlike what the protobuf guide suggests.
        type_url: "/google.rpc.BadRequest".to_owned(),
        value: request.encode_to_vec(),
    };
    with_details(Code::InvalidArgument, message, vec![detail])
}

/// An error of the node's own: those carry themselves as details, even when there are none.
pub(super) fn plain(code: Code, message: impl Into<String>) -> Status {
    with_details(code, message.into(), Vec::new())
}

/// What is asked for is not there.
pub(super) fn not_found(message: impl Into<String>) -> Status {
    plain(Code::NotFound, message)
}

fn with_details(code: Code, message: String, details: Vec<prost_types::Any>) -> Status {
    let details = RpcStatus {
        code: code.into(),
        message: message.clone(),
        details,
    };
    Status::with_details(code, message, details.encode_to_vec().into())
}

/// An entry of a batch that is an error.
pub(super) fn entry(code: Code, message: String) -> RpcStatus {
    RpcStatus {
        code: code.into(),
        message,
        details: Vec::new(),
    }
}

/// Why a transaction was not executed.
pub(super) fn write_error(error: WriteError) -> Status {
    match error {
        WriteError::Rejected(rejection) => rejected(&rejection),
        WriteError::Stopped => plain(Code::Unavailable, "the ledger can't write"),
        WriteError::Overloaded => plain(Code::ResourceExhausted, "the ledger is overloaded"),
    }
}

/// What a node says about a refused transaction. The same cause has two forms of text in a real
/// network; here a cause has the form it was recorded with.
pub(super) fn rejected(rejection: &Rejection) -> Status {
    match rejection {
        Rejection::Locked { .. } => plain(Code::FailedPrecondition, rejection.to_string()),
        Rejection::NoSharedObject { .. } => timed_out(),
        Rejection::Spent { .. } | Rejection::BudgetTooHigh { .. } => plain(
            Code::InvalidArgument,
            format!(
                "[MFP experimental]: Transaction is rejected as invalid by more than 1/3 of \
                 validators by stake (non-retriable). Non-retriable errors: [{rejection} {{ \
                 k#99f25ef6.. }} with 10000 stake]."
            ),
        ),
        _ => plain(
            Code::InvalidArgument,
            format!(
                "Transaction execution failed due to issues with transaction inputs, please review \
             the errors and try again: {rejection}"
            ),
        ),
    }
}

/// Nobody knows whether the transaction is executed.
pub(super) fn timed_out() -> Status {
    plain(
        Code::Unavailable,
        "timed-out before finality could be reached",
    )
}
