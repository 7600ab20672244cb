//! Read masks: which fields of an answer are wanted.

use prost_types::FieldMask;
use sui_rpc::field::{FieldMaskTree, FieldMaskUtil, MessageFields};
use tonic::Status;

use super::status::invalid;

/// Fields that the proto of this crate has and the recorded node does not know.
const NEWER: [&str; 3] = [
    "display",
    "transaction_index",
    "transactions.transaction_index",
];

/// Reads a mask; without one the method's own is taken. A field that the message does not have
/// is an error.
pub(super) fn checked<M: MessageFields>(
    mask: Option<FieldMask>,
    default: &str,
) -> Result<FieldMaskTree, Status> {
    let mask = mask.unwrap_or_else(|| <FieldMask as FieldMaskUtil>::from_str(default));
    let wrong = match mask.validate::<M>() {
        Err(path) => Some(path),
        Ok(()) => mask
            .paths
            .iter()
            .map(String::as_str)
            .find(|path| NEWER.contains(path)),
    };
    match wrong {
        None => Ok(FieldMaskTree::from(mask)),
        Some(path) => Err(invalid(
            "read_mask",
            format!("invalid read_mask path: {path}"),
        )),
    }
}

/// Reads a mask that is not checked: unknown fields are ignored, none means nothing.
pub(super) fn unchecked(mask: Option<FieldMask>) -> FieldMaskTree {
    mask.map(FieldMaskTree::from).unwrap_or_default()
}
