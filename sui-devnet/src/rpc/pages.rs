//! Pages of lists.
//!
//! Shape:  a token is the asked-for owner and the key of the next entry; it is opaque to clients.

use sui_sdk_types::Address;
use tonic::Status;

use super::status::invalid;

const DEFAULT_SIZE: usize = 50;
const MAX_SIZE: usize = 1_000;

/// How many entries a page has: 50 unless asked otherwise, at most 1,000.
pub(super) fn size(asked: Option<u32>) -> usize {
    asked.map_or(DEFAULT_SIZE, |asked| {
        usize::try_from(asked)
            .unwrap_or(MAX_SIZE)
            .clamp(1, MAX_SIZE)
    })
}

/// A token for the entry that comes next.
pub(super) fn token(owner: Address, key: &[u8]) -> Vec<u8> {
    let mut token = owner.into_inner().to_vec();
    token.extend_from_slice(key);
    token
}

/// The key in a token, which must be of a list of this owner.
pub(super) fn key(owner: Address, token: Option<&[u8]>) -> Result<Option<Vec<u8>>, Status> {
    let Some(token) = token else {
        return Ok(None);
    };
    match token.split_at_checked(Address::LENGTH) {
        Some((of, key)) if of == owner.into_inner() => Ok(Some(key.to_vec())),
        _ => Err(invalid(
            "page_token",
            "invalid page_token: it is of another list".to_owned(),
        )),
    }
}

/// Takes one page out of a sorted list, and says where the next begins.
pub(super) fn cut<T>(
    sorted: Vec<(Vec<u8>, T)>,
    from: Option<&[u8]>,
    size: usize,
) -> (Vec<T>, Option<Vec<u8>>) {
    let mut rest = sorted
        .into_iter()
        .skip_while(|(key, _)| from.is_some_and(|from| key.as_slice() < from));
    let page = rest.by_ref().take(size).map(|(_, entry)| entry).collect();
    (page, rest.next().map(|(key, _)| key))
}
