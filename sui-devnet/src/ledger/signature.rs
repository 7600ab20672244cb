//! The parameters of the module's public functions.

/// What a function takes in one place. `TxContext` is not passed by a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Param {
    PoolMut,
    Coin,
    Token,
    TokenMut,
    TokenValue,
    AdminCap,
    SlashCap,
    Clock,
    Bytes,
    Text,
    OptionText,
    U64,
    Bool,
    Address,
}

/// The parameters of a function; `None` when there is no such function.
pub(super) fn params(function: &str) -> Option<&'static [Param]> {
    use Param::{
        Address, AdminCap, Bool, Bytes, Clock, Coin, OptionText, PoolMut, SlashCap, Text, Token,
        TokenMut, TokenValue, U64,
    };
    Some(match function {
        "stake_and_mint_seal" => &[PoolMut, Coin, Bytes, OptionText, OptionText, U64, Clock],
        "restake" => &[PoolMut, Token, Coin, Clock],
        "refresh_seal_token" => &[PoolMut, TokenMut, Bytes, U64, Clock],
        "request_unstake" => &[PoolMut, Token, Clock],
        "withdraw" => &[PoolMut, TokenValue, Clock],
        "slash" | "revoke" => &[PoolMut, SlashCap, Bytes, Text, Clock],
        "announce_config" => &[
            PoolMut, AdminCap, U64, U64, U64, U64, U64, U64, U64, U64, U64, U64, U64, Clock,
        ],
        "apply_config" => &[PoolMut, AdminCap, Clock],
        "add_slash_cap" | "remove_slash_cap" => &[PoolMut, AdminCap, Address],
        "reserve_name" | "unreserve_name" | "void_claim" => &[PoolMut, AdminCap, Text],
        "set_paused" => &[PoolMut, AdminCap, Bool],
        "withdraw_treasury" => &[PoolMut, AdminCap, U64, Address],
        "migrate" => &[PoolMut, AdminCap],
        _ => return None,
    })
}
