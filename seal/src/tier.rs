//! Stake tiers: what an amount of stake makes of its owner.

use std::fmt;
use std::str::FromStr;

use crate::Mist;

/// The four tiers, from least to most. The order is the order of rights.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Reads.
    Viewer,
    /// Works in its own namespaces.
    Developer,
    /// Works in every namespace that is not protected.
    Admin,
    /// Everything.
    Super,
}

impl Tier {
    /// All tiers, least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Developer, Self::Admin, Self::Super];

    /// The name in groups, extras, labels and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Developer => "developer",
            Self::Admin => "admin",
            Self::Super => "super",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl FromStr for Tier {
    type Err = ParseTierError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|tier| tier.label() == text)
            .ok_or(ParseTierError)
    }
}

/// A text that names no tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tier is one of viewer, developer, admin, super")]
pub struct ParseTierError;

/// The least stake of each tier. They stand in the pool's configuration on chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Thresholds {
    /// From here on there is a seal at all.
    pub viewer: Mist,
    /// From here on a developer.
    pub developer: Mist,
    /// From here on an admin.
    pub admin: Mist,
    /// From here on everything.
    pub super_: Mist,
}

impl Default for Thresholds {
    /// 0.5, 2, 5 and 10 SUI.
    fn default() -> Self {
        Self {
            viewer: Mist(500_000_000),
            developer: Mist(2_000_000_000),
            admin: Mist(5_000_000_000),
            super_: Mist(10_000_000_000),
        }
    }
}

impl Thresholds {
    /// The tier of a stake; `None` below the viewer's threshold.
    #[must_use]
    pub fn tier(&self, stake: Mist) -> Option<Tier> {
        if stake >= self.super_ {
            Some(Tier::Super)
        } else if stake >= self.admin {
            Some(Tier::Admin)
        } else if stake >= self.developer {
            Some(Tier::Developer)
        } else if stake >= self.viewer {
            Some(Tier::Viewer)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn boundaries_are_exact_to_the_mist() {
        let thresholds = Thresholds::default();
        for (mist, tier) in [
            (0, None),
            (499_999_999, None),
            (500_000_000, Some(Tier::Viewer)),
            (1_999_999_999, Some(Tier::Viewer)),
            (2_000_000_000, Some(Tier::Developer)),
            (4_999_999_999, Some(Tier::Developer)),
            (5_000_000_000, Some(Tier::Admin)),
            (9_999_999_999, Some(Tier::Admin)),
            (10_000_000_000, Some(Tier::Super)),
            (u64::MAX, Some(Tier::Super)),
        ] {
            assert_eq!(thresholds.tier(Mist(mist)), tier, "{mist}");
        }
    }

    proptest! {
        #[test]
        fn more_stake_never_lowers_the_tier(a: u64, b: u64) {
            let thresholds = Thresholds::default();
            let (less, more) = (a.min(b), a.max(b));
            prop_assert!(thresholds.tier(Mist(less)) <= thresholds.tier(Mist(more)));
        }
    }
}
