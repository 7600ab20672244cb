//! SUI coins: the only coins here.

use std::sync::LazyLock;

use sui_sdk_types::{Address, Object, StructTag};

/// `0x2::coin::Coin<0x2::sui::SUI>`
pub(super) static GAS_COIN: LazyLock<StructTag> = LazyLock::new(StructTag::gas_coin);

/// BCS of `Coin<SUI> { id: UID, balance: Balance }`.
pub(super) fn contents(id: Address, value: u64) -> Vec<u8> {
    let mut contents = id.into_inner().to_vec();
    contents.extend_from_slice(&value.to_le_bytes());
    contents
}

/// The value in a coin's contents; 0 for what is no coin.
pub(super) fn value(contents: &[u8]) -> u64 {
    contents
        .get(Address::LENGTH..)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

/// Whether the object is a SUI coin.
#[must_use]
pub fn is_gas_coin(object: &Object) -> bool {
    object
        .as_struct()
        .is_some_and(|coin| *coin.object_type() == *GAS_COIN)
}

/// What a SUI coin holds, MIST; `None` for any other object.
#[must_use]
pub fn balance_of(object: &Object) -> Option<u64> {
    object
        .as_struct()
        .filter(|coin| *coin.object_type() == *GAS_COIN)
        .map(|coin| value(coin.contents()))
}
