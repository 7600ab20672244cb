//! What the directory tells its listeners.

use std::sync::Arc;

use seal::{CredentialHash, SealRecord, Tier, UnixMillis, Unusable};

use crate::contract::Cause;

/// Something happened to a seal.
///
/// Cheap to clone. Listeners get them in the order of the chain, ends by expiry in the order of
/// time. A listener that falls too far behind is told so by its channel (`Lagged`) and must look
/// at everything it holds again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub hash: CredentialHash,
    /// The record as it is now.
    pub record: Arc<SealRecord>,
    /// How the directory came to know.
    pub why: Why,
    /// The tier before; none where the seal gave none or nothing was known of it.
    pub before: Option<Tier>,
    /// The tier now, or why there is none.
    pub after: Result<Tier, Unusable>,
}

impl Change {
    /// The seal can't be used any more (or, newly seen, can't be used).
    #[must_use]
    pub const fn end(&self) -> Option<Unusable> {
        match self.after {
            Ok(_) => None,
            Err(how) => Some(how),
        }
    }

    /// The seal gives less than before, or nothing: open connections of it must end.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        match self.after {
            Ok(tier) => self.before.is_some_and(|before| tier < before),
            Err(_) => true,
        }
    }
}

/// How the directory came to know of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// An event on the chain.
    Event(Cause),
    /// The time came; nothing happened on chain.
    Expired,
    /// The pool's thresholds changed.
    Thresholds,
    /// Found by reading the chain, after something was missed.
    Read,
}

impl Why {
    /// One of each, for metrics that start at zero.
    pub const ALL: [Self; 11] = [
        Self::Event(Cause::Mint),
        Self::Event(Cause::Restake),
        Self::Event(Cause::RefreshNew),
        Self::Event(Cause::RefreshOld),
        Self::Event(Cause::Unstake),
        Self::Event(Cause::Withdraw),
        Self::Event(Cause::Slash),
        Self::Event(Cause::Revoke),
        Self::Expired,
        Self::Thresholds,
        Self::Read,
    ];

    /// The name in messages and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Event(cause) => cause.label(),
            Self::Expired => "expired",
            Self::Thresholds => "thresholds",
            Self::Read => "read",
        }
    }
}

/// How and when a seal was last known to have ended. Kept on disk, so that neither an
/// unreachable chain nor a restart revives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The record's number when it was seen to have ended.
    pub seq: u64,
    /// How. A seal that unbonds after a slash or a revocation, or is slashed while it unbonds, ended
    /// by that: a fault is not undone by leaving.
    pub how: Unusable,
    /// When it was seen, or for an expiry the instant of expiry.
    pub at: UnixMillis,
}
