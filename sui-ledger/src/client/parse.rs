//! Ids and digests out of the texts of an answer.

use seal::{Address, ObjectId};
use sui_sdk_types::Digest;

use crate::error::AnswerError;

pub(super) fn object_id(text: Option<&str>, field: &'static str) -> Result<ObjectId, AnswerError> {
    text.and_then(|text| text.parse().ok())
        .ok_or(AnswerError::Field { field })
}

pub(super) fn address(text: Option<&str>, field: &'static str) -> Result<Address, AnswerError> {
    text.and_then(|text| text.parse().ok())
        .ok_or(AnswerError::Field { field })
}

/// The decoder fills short texts with zeros, so a text must also be what it decodes to.
pub(super) fn digest(text: Option<&str>, field: &'static str) -> Result<Digest, AnswerError> {
    text.and_then(|text| {
        Digest::from_base58(text)
            .ok()
            .filter(|digest| digest.to_string() == text)
    })
    .ok_or(AnswerError::Field { field })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_digest_is_no_digest() {
        let whole = Digest::new([7; 32]).to_string();
        assert!(digest(Some(&whole), "digest").is_ok());
        assert!(digest(Some(&whole[1..]), "digest").is_err());
        assert!(digest(Some(""), "digest").is_err());
        assert!(digest(None, "digest").is_err());
    }
}
