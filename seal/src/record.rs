//! The seal record as the chain keeps it, and whether it can be used now.

use std::fmt;

use crate::{Address, CredentialHash, Mist, NodeName, ObjectId, Thresholds, Tier, UnixMillis};

/// The state of a record. Expiry is no state: it is a matter of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SealStatus {
    /// Usable until it expires.
    Active,
    /// Its owner asked for the stake; it is paid out when the unbonding ends.
    Unbonding,
    /// Lost stake by a slash and has not been restored.
    Slashed,
    /// Taken away by the operator.
    Revoked,
    /// Rotated away or withdrawn. The row stays for good.
    Retired,
}

impl SealStatus {
    /// All states in the order of their numbers on chain.
    pub const ALL: [Self; 5] = [
        Self::Active,
        Self::Unbonding,
        Self::Slashed,
        Self::Revoked,
        Self::Retired,
    ];

    /// Reads the number that stands on chain; `None` for a number this version does not know.
    #[must_use]
    pub fn from_chain(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The number that stands on chain.
    #[must_use]
    pub const fn to_chain(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Unbonding => 1,
            Self::Slashed => 2,
            Self::Revoked => 3,
            Self::Retired => 4,
        }
    }

    /// The name in messages and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Unbonding => "unbonding",
            Self::Slashed => "slashed",
            Self::Revoked => "revoked",
            Self::Retired => "retired",
        }
    }
}

impl fmt::Display for SealStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// What the chain knows of one seal.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SealRecord {
    /// The pool's sequence number of the change that made this record what it is.
    pub seq: u64,
    /// The owner's `SealToken` object.
    pub seal_id: ObjectId,
    /// Who staked.
    pub owner: Address,
    /// What is staked now.
    pub stake: Mist,
    /// The stake that ends a slashed state; 0 while there is none.
    pub restore_at: Mist,
    /// The machine this seal may join, if any. `None` also where the chain's text is no node name.
    pub node_id: Option<NodeName>,
    /// A wish, never an authority: nothing may be decided by it.
    pub namespace_wish: Option<String>,
    /// When the seal was minted, or last rotated.
    pub issued_at: UnixMillis,
    /// From this instant on the seal is dead.
    pub expires_at: UnixMillis,
    /// When the stake can be withdrawn; 0 while not unbonding.
    pub unbonding_ends_at: UnixMillis,
    /// The state.
    pub status: SealStatus,
    /// All that slashes have taken.
    pub slashed_total: Mist,
    /// The last slash; 0 when there was none.
    pub last_slashed_at: UnixMillis,
    /// How often the seal was rotated.
    pub generation: u64,
}

/// Why a record can't be used. A closed set: metric label, log field and test name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unusable {
    /// Unbonding, or withdrawn after it.
    Unbonding,
    /// Slashed and not restored.
    Slashed,
    /// Revoked by the operator.
    Revoked,
    /// Rotated away or withdrawn.
    Retired,
    /// Its time is over.
    Expired,
    /// Active, but its stake is below the viewer's threshold.
    StakeTooLow,
}

impl Unusable {
    /// All reasons.
    pub const ALL: [Self; 6] = [
        Self::Unbonding,
        Self::Slashed,
        Self::Revoked,
        Self::Retired,
        Self::Expired,
        Self::StakeTooLow,
    ];

    /// The name in messages and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unbonding => "unbonding",
            Self::Slashed => "slashed",
            Self::Revoked => "revoked",
            Self::Retired => "retired",
            Self::Expired => "expired",
            Self::StakeTooLow => "stake_too_low",
        }
    }

    /// Whether the seal ended in the course of things and nobody is to blame: only then may what it
    /// held go on for a grace.
    #[must_use]
    pub const fn is_without_fault(self) -> bool {
        match self {
            Self::Unbonding | Self::Retired | Self::Expired => true,
            Self::Slashed | Self::Revoked | Self::StakeTooLow => false,
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl SealRecord {
    /// The tier this record gives at `now`, or why it gives none.
    ///
    /// `now` is the later of local time and the newest checkpoint's. At its expiry
    /// instant a seal is already dead; the Move package agrees.
    pub fn usable(&self, now: UnixMillis, thresholds: &Thresholds) -> Result<Tier, Unusable> {
        match self.status {
            SealStatus::Active => {}
            SealStatus::Unbonding => return Err(Unusable::Unbonding),
            SealStatus::Slashed => return Err(Unusable::Slashed),
            SealStatus::Revoked => return Err(Unusable::Revoked),
            SealStatus::Retired => return Err(Unusable::Retired),
        }
        if self.expires_at <= now {
            return Err(Unusable::Expired);
        }
        thresholds.tier(self.stake).ok_or(Unusable::StakeTooLow)
    }
}

/// Who holds a node's name, and by which seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NodeClaim {
    /// The name belongs to this owner for good.
    pub owner: Address,
    /// The seal that holds it now.
    pub hash: CredentialHash,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::active_record as active;

    #[test]
    fn an_active_record_gives_the_tier_of_its_stake() {
        assert_eq!(
            active().usable(UnixMillis(999), &Thresholds::default()),
            Ok(Tier::Developer)
        );
    }

    #[test]
    fn is_dead_at_the_instant_it_expires() {
        let thresholds = Thresholds::default();
        assert_eq!(
            active().usable(UnixMillis(1_000), &thresholds),
            Err(Unusable::Expired)
        );
    }

    #[test]
    fn no_other_state_is_usable() {
        for status in SealStatus::ALL {
            let record = SealRecord { status, ..active() };
            let usable = record.usable(UnixMillis(0), &Thresholds::default());
            assert_eq!(usable.is_ok(), status == SealStatus::Active, "{status}");
        }
    }

    #[test]
    fn too_little_stake_gives_nothing() {
        let record = SealRecord {
            stake: Mist(499_999_999),
            ..active()
        };
        let usable = record.usable(UnixMillis(0), &Thresholds::default());
        assert_eq!(usable, Err(Unusable::StakeTooLow));
    }

    #[test]
    fn numbers_on_chain_round_trip_and_unknown_ones_are_refused() {
        for status in SealStatus::ALL {
            assert_eq!(SealStatus::from_chain(status.to_chain()), Some(status));
        }
        assert_eq!(SealStatus::from_chain(5), None);
    }
}
