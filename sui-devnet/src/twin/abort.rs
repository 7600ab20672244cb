//! The abort codes of the module `staking`.
//!
//! The numbers are part of the contract's interface: never reuse one.

/// Why a call aborted. The names are those of the Move source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Code {
    /// The pool is of another version than the package called.
    Version = 1,
    /// Mint, restake and refresh are paused.
    Paused = 2,
    /// The token belongs to another pool.
    WrongPool = 3,
    /// The seal's status does not allow the call.
    Status = 4,
    /// A hash is not 32 bytes.
    HashLength = 5,
    /// The hash has a row already.
    HashSpent = 6,
    /// The hash has no row.
    UnknownHash = 7,
    /// Less than the viewer threshold.
    StakeTooLow = 8,
    /// Nothing to add or to pay.
    ZeroAmount = 9,
    /// The validity is outside the config's limits.
    Validity = 10,
    /// Not the form of a node name.
    NodeName = 11,
    /// The name is reserved.
    NameReserved = 12,
    /// The name has a seal that is not retired.
    NodeTaken = 13,
    /// The name belongs to another owner.
    NodeOwner = 14,
    /// The namespace wish has not the form of a node name.
    Namespace = 15,
    /// The owner has as many seals as one may have.
    TooManySeals = 16,
    /// The reason is too long.
    Reason = 17,
    /// The cap is not listed.
    SlashCap = 18,
    /// Within the slash interval.
    SlashTooSoon = 19,
    /// Before the end of the unbonding.
    StillUnbonding = 20,
    /// A config out of bounds.
    Config = 21,
    /// No config was announced.
    NoPendingConfig = 22,
    /// The announced config's time has not come.
    ConfigNotDue = 23,
    /// The list of caps is full.
    TooManyCaps = 24,
    /// No such cap in the list.
    UnknownCap = 25,
    /// The list of reserved names is full.
    TooManyNames = 26,
    /// Not reserved, or no claim, or voided already.
    UnknownName = 27,
    /// More than the treasury holds.
    Treasury = 28,
}

impl Code {
    /// The number in the abort.
    #[must_use]
    pub const fn number(self) -> u64 {
        self as u64
    }
}

/// A call that aborted, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("abort {} ({code:?}) in {function}", code.number())]
pub struct Abort {
    /// Why.
    pub code: Code,
    /// The function of the module that stands in the abort's location.
    pub function: &'static str,
}

/// Aborts in `function` unless the condition holds.
pub(super) fn ensure(holds: bool, code: Code, function: &'static str) -> Result<(), Abort> {
    if holds {
        Ok(())
    } else {
        Err(Abort { code, function })
    }
}
