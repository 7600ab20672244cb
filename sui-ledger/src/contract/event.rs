//! The contract's events in the domain's types.

use seal::ObjectId;

use super::domain::credential_hash;
use super::{Config, ConfigChangedBcs, DecodeError, NodeClaimedBcs, SealChangedBcs};
use crate::frame::{ConfigChanged, NodeClaimed, SealChanged};

/// The longest reason of a slash or a revocation.
pub const MAX_REASON_BYTES: usize = 128;

/// What changed a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A new seal.
    Mint,
    /// More stake.
    Restake,
    /// The new row of a rotation.
    RefreshNew,
    /// The old row of a rotation.
    RefreshOld,
    /// The owner asked for the stake.
    Unstake,
    /// The stake was paid out.
    Withdraw,
    /// The operator took a part of the stake.
    Slash,
    /// The operator took the seal away.
    Revoke,
}

impl Cause {
    /// All causes in the order of their numbers on chain.
    pub const ALL: [Self; 8] = [
        Self::Mint,
        Self::Restake,
        Self::RefreshNew,
        Self::RefreshOld,
        Self::Unstake,
        Self::Withdraw,
        Self::Slash,
        Self::Revoke,
    ];

    /// Reads the number on chain; `None` for one this version does not know.
    #[must_use]
    pub fn from_chain(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The number on chain.
    #[must_use]
    pub const fn to_chain(self) -> u8 {
        match self {
            Self::Mint => 0,
            Self::Restake => 1,
            Self::RefreshNew => 2,
            Self::RefreshOld => 3,
            Self::Unstake => 4,
            Self::Withdraw => 5,
            Self::Slash => 6,
            Self::Revoke => 7,
        }
    }

    /// The name in messages and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Mint => "mint",
            Self::Restake => "restake",
            Self::RefreshNew => "refresh_new",
            Self::RefreshOld => "refresh_old",
            Self::Unstake => "unstake",
            Self::Withdraw => "withdraw",
            Self::Slash => "slash",
            Self::Revoke => "revoke",
        }
    }
}

impl TryFrom<SealChangedBcs> for SealChanged {
    type Error = DecodeError;

    fn try_from(event: SealChangedBcs) -> Result<Self, DecodeError> {
        let cause =
            Cause::from_chain(event.cause).ok_or(DecodeError::Cause { found: event.cause })?;
        if event.reason.len() > MAX_REASON_BYTES {
            return Err(DecodeError::Reason {
                found: event.reason.len(),
            });
        }
        // A follower orders records by their own number, so it must be the event's.
        if event.record.seq != event.seq {
            return Err(DecodeError::SeqMismatch {
                event: event.seq,
                record: event.record.seq,
            });
        }
        Ok(Self {
            seq: event.seq,
            cause,
            reason: event.reason,
            hash: credential_hash(&event.hash)?,
            record: event.record.try_into()?,
        })
    }
}

impl SealChanged {
    /// The event as the chain writes it.
    #[must_use]
    pub fn to_layout(&self, pool: ObjectId) -> SealChangedBcs {
        SealChangedBcs {
            pool,
            seq: self.seq,
            cause: self.cause.to_chain(),
            reason: self.reason.clone(),
            hash: self.hash.as_bytes().to_vec(),
            record: (&self.record).into(),
        }
    }
}

impl TryFrom<NodeClaimedBcs> for NodeClaimed {
    type Error = DecodeError;

    fn try_from(event: NodeClaimedBcs) -> Result<Self, DecodeError> {
        Ok(Self {
            seq: event.seq,
            name: event.name.parse().map_err(|_| DecodeError::NodeName)?,
            claim: event.claim.try_into()?,
        })
    }
}

impl NodeClaimed {
    /// The event as the chain writes it.
    #[must_use]
    pub fn to_layout(&self, pool: ObjectId) -> NodeClaimedBcs {
        NodeClaimedBcs {
            pool,
            seq: self.seq,
            name: self.name.to_string(),
            claim: (&self.claim).into(),
        }
    }
}

impl From<ConfigChangedBcs> for ConfigChanged {
    fn from(event: ConfigChangedBcs) -> Self {
        Self {
            seq: event.seq,
            config: event.config,
        }
    }
}

impl ConfigChanged {
    /// The event as the chain writes it.
    #[must_use]
    pub fn to_layout(&self, pool: ObjectId) -> ConfigChangedBcs {
        let config: Config = self.config;
        ConfigChangedBcs {
            pool,
            seq: self.seq,
            config,
        }
    }
}
