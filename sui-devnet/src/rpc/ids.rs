//! Ids in requests.

use std::str::FromStr;

use sui_sdk_types::{Address, Digest};
use tonic::Status;

use super::status::{invalid, missing};

/// Reads an object id or an address: with or without `0x`, short forms too.
pub(super) fn address(
    text: Option<&String>,
    field: &str,
    path: impl Fn() -> String,
) -> Result<Address, Status> {
    let text = text.ok_or_else(|| missing(path()))?;
    Address::from_str(text).map_err(|error| invalid(path(), format!("invalid {field}: {error}")))
}

/// Reads a digest.
pub(super) fn digest(text: Option<&String>, path: impl Fn() -> String) -> Result<Digest, Status> {
    let text = text.ok_or_else(|| missing(path()))?;
    Digest::from_str(text).map_err(|error| invalid(path(), format!("invalid digest: {error}")))
}
