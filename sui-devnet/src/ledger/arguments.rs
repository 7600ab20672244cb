//! From a transaction's arguments to a call of the contract.

use seal::{Address, ObjectId};
use sui_ledger::contract::{AdminCap, Config, Layout, SealTokenBcs, SlashCap};
use sui_sdk_types::{Address as SuiAddress, Argument, CommandArgumentError, ExecutionError};

use super::coin;
use super::program::{Program, Value};
use super::signature::Param;
use super::types;
use crate::twin::Call;

/// An argument, read as its parameter wants it.
#[derive(Debug, Clone)]
enum Read {
    /// Pool and Clock: there is one of each.
    Known,
    Coin(u64),
    Token(SealTokenBcs),
    AdminCap(AdminCap),
    SlashCap(SlashCap),
    Bytes(Vec<u8>),
    Text(String),
    OptionText(Option<String>),
    U64(u64),
    Bool(bool),
    Address([u8; 32]),
}

/// The call, and the objects of the transaction that it works on.
pub(super) struct Prepared {
    pub(super) call: Call,
    pub(super) pool: SuiAddress,
    /// Handed over by value, and gone.
    pub(super) consumed: Vec<SuiAddress>,
    /// Where a changed token is written back.
    pub(super) token: Option<SuiAddress>,
}

impl Program<'_> {
    /// Reads all arguments of a call.
    pub(super) fn prepare(
        &mut self,
        function: &str,
        params: &[Param],
        arguments: &[Argument],
    ) -> Result<Prepared, ExecutionError> {
        if params.len() != arguments.len() {
            return Err(ExecutionError::ArityMismatch);
        }
        let mut pool = None;
        let mut consumed = Vec::new();
        let mut token = None;
        let mut reads = Vec::with_capacity(params.len());
        for (place, (param, argument)) in params.iter().zip(arguments).enumerate() {
            let wrong = |kind| ExecutionError::CommandArgumentError {
                argument: u16::try_from(place).unwrap_or(u16::MAX),
                kind,
            };
            let read = match param {
                Param::PoolMut => {
                    let id = self.object(*argument, "Pool").map_err(wrong)?;
                    if !self.is_mutable(*argument) {
                        return Err(wrong(CommandArgumentError::InvalidObjectByMutRef));
                    }
                    pool = Some(id);
                    Read::Known
                }
                Param::Clock => {
                    let id = self.any_object(*argument).map_err(wrong)?;
                    let known = self
                        .session
                        .get(&id)
                        .is_some_and(|object| object.type_ == types::clock());
                    if !known {
                        return Err(wrong(CommandArgumentError::TypeMismatch));
                    }
                    Read::Known
                }
                Param::Coin => {
                    let id = self.any_object(*argument).map_err(wrong)?;
                    let value = self
                        .session
                        .get(&id)
                        .filter(|object| object.type_ == *coin::GAS_COIN)
                        .map(|object| coin::value(&object.contents))
                        .ok_or_else(|| wrong(CommandArgumentError::TypeMismatch))?;
                    self.take(*argument).map_err(wrong)?;
                    consumed.push(id);
                    Read::Coin(value)
                }
                Param::Token | Param::TokenMut | Param::TokenValue => {
                    let id = self.object(*argument, "SealToken").map_err(wrong)?;
                    let read = self.decode(&id, wrong)?;
                    if *param == Param::TokenValue {
                        self.take(*argument).map_err(wrong)?;
                        consumed.push(id);
                    }
                    token = Some(id);
                    Read::Token(read)
                }
                Param::AdminCap => {
                    let id = self.object(*argument, "AdminCap").map_err(wrong)?;
                    Read::AdminCap(self.decode(&id, wrong)?)
                }
                Param::SlashCap => {
                    let id = self.object(*argument, "SlashCap").map_err(wrong)?;
                    Read::SlashCap(self.decode(&id, wrong)?)
                }
                Param::Bytes => Read::Bytes(self.pure(*argument).map_err(wrong)?),
                Param::Text => Read::Text(self.pure(*argument).map_err(wrong)?),
                Param::OptionText => Read::OptionText(self.pure(*argument).map_err(wrong)?),
                Param::U64 => Read::U64(self.pure(*argument).map_err(wrong)?),
                Param::Bool => Read::Bool(self.pure(*argument).map_err(wrong)?),
                Param::Address => Read::Address(self.pure(*argument).map_err(wrong)?),
            };
            reads.push(read);
        }
        let call = call(function, reads).ok_or(ExecutionError::FunctionNotFound)?;
        Ok(Prepared {
            call,
            pool: pool.ok_or(ExecutionError::ArityMismatch)?,
            consumed,
            token,
        })
    }

    fn decode<T: Layout>(
        &self,
        id: &SuiAddress,
        wrong: impl Fn(CommandArgumentError) -> ExecutionError,
    ) -> Result<T, ExecutionError> {
        self.session
            .get(id)
            .and_then(|object| T::decode(&object.contents).ok())
            .ok_or_else(|| wrong(CommandArgumentError::TypeMismatch))
    }

    /// The object behind an argument, of a type of the package.
    fn object(
        &self,
        argument: Argument,
        name: &'static str,
    ) -> Result<SuiAddress, CommandArgumentError> {
        let id = self.any_object(argument)?;
        let wanted = types::contract(&self.session.package, name);
        match self.session.get(&id) {
            Some(object) if object.type_ == wanted => Ok(id),
            _ => Err(CommandArgumentError::TypeMismatch),
        }
    }

    /// A plain value. BCS checks lengths and UTF-8, as the chain does.
    pub(super) fn pure<T: serde::de::DeserializeOwned>(
        &self,
        argument: Argument,
    ) -> Result<T, CommandArgumentError> {
        match self.value(argument)? {
            Value::Pure(bytes) => {
                bcs::from_bytes(bytes).map_err(|_| CommandArgumentError::InvalidBcsBytes)
            }
            Value::Object(_) => Err(CommandArgumentError::TypeMismatch),
            Value::Moved => Err(CommandArgumentError::InvalidValueUsage),
        }
    }
}

/// Builds the call out of its arguments. The table of parameters makes the shapes sure.
fn call(function: &str, reads: Vec<Read>) -> Option<Call> {
    use Read::{
        Address as Addr, AdminCap as Admin, Bool, Bytes, Coin, Known, OptionText, SlashCap as Cap,
        Text, Token, U64,
    };
    let mut reads: Vec<Read> = reads
        .into_iter()
        .filter(|read| !matches!(read, Known))
        .collect();
    if function == "announce_config" {
        return announce(&reads);
    }
    Some(match (function, reads.as_mut_slice()) {
        (
            "stake_and_mint_seal",
            [
                Coin(coin),
                Bytes(hash),
                OptionText(node_id),
                OptionText(namespace),
                U64(validity_ms),
            ],
        ) => Call::StakeAndMintSeal {
            coin: *coin,
            hash: std::mem::take(hash),
            node_id: node_id.take(),
            namespace: namespace.take(),
            validity_ms: *validity_ms,
        },
        ("restake", [Token(token), Coin(coin)]) => Call::Restake {
            token: token.clone(),
            coin: *coin,
        },
        ("refresh_seal_token", [Token(token), Bytes(new_hash), U64(validity_ms)]) => {
            Call::RefreshSealToken {
                token: token.clone(),
                new_hash: std::mem::take(new_hash),
                validity_ms: *validity_ms,
            }
        }
        ("request_unstake", [Token(token)]) => Call::RequestUnstake {
            token: token.clone(),
        },
        ("withdraw", [Token(token)]) => Call::Withdraw {
            token: token.clone(),
        },
        ("slash", [Cap(cap), Bytes(hash), Text(reason)]) => Call::Slash {
            cap: *cap,
            hash: std::mem::take(hash),
            reason: std::mem::take(reason),
        },
        ("revoke", [Cap(cap), Bytes(hash), Text(reason)]) => Call::Revoke {
            cap: *cap,
            hash: std::mem::take(hash),
            reason: std::mem::take(reason),
        },
        ("apply_config", [Admin(cap)]) => Call::ApplyConfig { cap: *cap },
        ("add_slash_cap", [Admin(cap), Addr(holder)]) => Call::AddSlashCap {
            cap: *cap,
            holder: Address::from_bytes(*holder),
        },
        ("remove_slash_cap", [Admin(cap), Addr(id)]) => Call::RemoveSlashCap {
            cap: *cap,
            id: ObjectId::from_bytes(*id),
        },
        ("reserve_name", [Admin(cap), Text(name)]) => Call::ReserveName {
            cap: *cap,
            name: std::mem::take(name),
        },
        ("unreserve_name", [Admin(cap), Text(name)]) => Call::UnreserveName {
            cap: *cap,
            name: std::mem::take(name),
        },
        ("void_claim", [Admin(cap), Text(name)]) => Call::VoidClaim {
            cap: *cap,
            name: std::mem::take(name),
        },
        ("set_paused", [Admin(cap), Bool(paused)]) => Call::SetPaused {
            cap: *cap,
            paused: *paused,
        },
        ("withdraw_treasury", [Admin(cap), U64(amount), Addr(recipient)]) => {
            Call::WithdrawTreasury {
                cap: *cap,
                amount: *amount,
                recipient: Address::from_bytes(*recipient),
            }
        }
        ("migrate", [Admin(cap)]) => Call::Migrate { cap: *cap },
        _ => return None,
    })
}

fn announce(reads: &[Read]) -> Option<Call> {
    let [Read::AdminCap(cap), numbers @ ..] = reads else {
        return None;
    };
    let numbers: Vec<u64> = numbers
        .iter()
        .filter_map(|read| match read {
            Read::U64(number) => Some(*number),
            _ => None,
        })
        .collect();
    let [
        viewer,
        developer,
        admin,
        super_,
        slash_pct,
        slash_interval_ms,
        config_delay_ms,
        unbonding_ms,
        validity_min_ms,
        validity_max_ms,
        validity_default_ms,
    ] = *numbers.as_slice()
    else {
        return None;
    };
    Some(Call::AnnounceConfig {
        cap: *cap,
        config: Config {
            viewer,
            developer,
            admin,
            super_,
            slash_pct,
            slash_interval_ms,
            config_delay_ms,
            unbonding_ms,
            validity_min_ms,
            validity_max_ms,
            validity_default_ms,
        },
    })
}
