//! The contract's abort codes in words, with what to do about each.
//!
//! Source: `move/LAYOUT.md`, "Abort codes". A code is meant only where module `staking` of our
//! package aborted; the framework's own codes mean other things.

use seal::ObjectId;

use crate::client::Abort;
use crate::contract::MODULE;

macro_rules! abort_codes {
    ($($code:literal $variant:ident $name:literal: $text:literal; $next:literal)+) => {
        /// Why the contract refused a call. A closed set.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum AbortCode {
            $(#[doc = $text] $variant,)+
        }

        impl AbortCode {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Reads the number; none for one this version does not know.
            #[must_use]
            pub const fn from_code(code: u64) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// The number on chain.
            #[must_use]
            pub const fn code(self) -> u64 {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The constant's name in the Move package.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What happened, for a person.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// What the person can do now.
            #[must_use]
            pub const fn next_step(self) -> &'static str {
                match self { $(Self::$variant => $next,)+ }
            }
        }
    };
}

abort_codes! {
    1 Version "EVersion": "the pool belongs to another version of the package";
        "update the contract file's latest_package, or this program"
    2 Paused "EPaused": "the pool is paused: no staking, restaking or refreshing";
        "unstaking and withdrawing still work; ask the operator when the pause ends"
    3 WrongPool "EWrongPool": "the seal belongs to another pool";
        "use the contract file of the pool where it was staked"
    4 Status "EStatus": "the seal's state does not allow this";
        "look at its state with `k3s-daas seal show`"
    5 HashLength "EHashLength": "the credential hash is not 32 bytes";
        "pass the 64 hex digits that `k3s-daas seal derive` prints"
    6 HashSpent "EHashSpent": "this credential hash was used before, and a hash is spent for good";
        "start over with a new seal token"
    7 UnknownHash "EUnknownHash": "no seal has this credential hash";
        "check the hash with `k3s-daas seal list`"
    8 StakeTooLow "EStakeTooLow": "the stake is below the viewer's threshold";
        "stake at least the viewer's threshold, 0.5 SUI by default"
    9 ZeroAmount "EZeroAmount": "the amount is zero";
        "name an amount above zero"
    10 Validity "EValidity": "the validity is shorter or longer than the pool allows";
        "choose one between the pool's limits, 1 hour and 366 days by default"
    11 NodeName "ENodeName": "the node name is malformed";
        "use 1 to 63 lowercase letters, digits and inner hyphens"
    12 NameReserved "ENameReserved": "the node name is reserved";
        "choose another node name"
    13 NodeTaken "ENodeTaken": "the node name has a seal that is not retired";
        "refresh or withdraw that seal first, or choose another node name"
    14 NodeOwner "ENodeOwner": "the node name belongs to another owner for good";
        "choose another node name"
    15 Namespace "ENamespace": "the namespace wish is malformed";
        "use 1 to 63 lowercase letters, digits and inner hyphens"
    16 TooManySeals "ETooManySeals": "the owner has 16 seals that are not retired";
        "withdraw one first, or stake from another address"
    17 Reason "EReason": "the reason is longer than 128 bytes";
        "shorten the reason"
    18 SlashCap "ESlashCap": "the pool does not list this SlashCap";
        "ask the holder of the AdminCap for a valid one"
    19 SlashTooSoon "ESlashTooSoon": "the seal was slashed within the slash interval";
        "wait, or revoke the seal: that needs no interval"
    20 StillUnbonding "EStillUnbonding": "the unbonding has not ended";
        "wait until the time that `k3s-daas seal show` prints"
    21 Config "EConfig": "the announced config is out of bounds";
        "keep to the bounds: rising thresholds, slash of 1 to 20 percent, times within limits"
    22 NoPendingConfig "ENoPendingConfig": "no config is announced";
        "announce one first"
    23 ConfigNotDue "EConfigNotDue": "the announced config is not due yet";
        "wait for the delay to end"
    24 TooManyCaps "ETooManyCaps": "16 SlashCaps are listed";
        "remove one first"
    25 UnknownCap "EUnknownCap": "the pool does not list this cap";
        "check the id"
    26 TooManyNames "ETooManyNames": "64 names are reserved";
        "release one first"
    27 UnknownName "EUnknownName": "the name is not reserved, or has no claim";
        "check the name"
    28 Treasury "ETreasury": "the treasury holds less";
        "ask for less"
}

/// The contract refused a call. The gas is paid, nothing else changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the contract refused ({} in `{}::{}`): {}; {}",
    .code.name(), MODULE, .function.as_deref().unwrap_or("?"), .code.text(), .code.next_step())]
pub struct ContractAbort {
    /// Why.
    pub code: AbortCode,
    /// The function that aborted, where the node knows its name; often a helper of the one
    /// that was called.
    pub function: Option<String>,
}

impl ContractAbort {
    /// Reads an abort as the contract's; none if another package or module aborted, or with a
    /// code this version does not know.
    #[must_use]
    pub fn read(abort: &Abort, packages: &[ObjectId]) -> Option<Self> {
        let ours = abort.module == MODULE
            && abort
                .package
                .is_some_and(|package| packages.contains(&package));
        if !ours {
            return None;
        }
        Some(Self {
            code: AbortCode::from_code(abort.code)?,
            function: abort.function.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abort(package: u8, module: &str, code: u64) -> Abort {
        Abort {
            package: Some(ObjectId::from_bytes([package; 32])),
            module: module.to_owned(),
            function: Some("assert_fresh_hash".to_owned()),
            code,
        }
    }

    #[test]
    fn every_code_has_a_number_a_name_and_a_next_step() {
        assert_eq!(AbortCode::ALL.len(), 28);
        for (at, code) in AbortCode::ALL.iter().enumerate() {
            assert_eq!(code.code(), at as u64 + 1);
            assert_eq!(AbortCode::from_code(code.code()), Some(*code));
            assert!(code.name().starts_with('E'));
            assert!(!code.text().is_empty() && !code.next_step().is_empty());
        }
        assert_eq!(AbortCode::from_code(0), None);
        assert_eq!(AbortCode::from_code(29), None);
    }

    #[test]
    fn only_our_modules_aborts_get_our_names() {
        let ours = [ObjectId::from_bytes([1; 32])];
        let read = ContractAbort::read(&abort(1, "staking", 6), &ours).unwrap();
        assert_eq!(read.code, AbortCode::HashSpent);
        assert!(read.to_string().contains("new seal token"), "{read}");
        // The framework's `dynamic_field::add` aborts with 0, `balance` with 1 and so on.
        assert_eq!(ContractAbort::read(&abort(2, "staking", 6), &ours), None);
        assert_eq!(ContractAbort::read(&abort(1, "names", 6), &ours), None);
        assert_eq!(ContractAbort::read(&abort(1, "staking", 99), &ours), None);
    }
}
