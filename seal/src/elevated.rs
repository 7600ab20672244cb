//! Who may hold the tiers admin and super at all.

use std::collections::BTreeSet;

use crate::{Address, Tier};

/// The operator's choice, made in words: there is no default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElevatedOwners {
    /// Stake alone decides: whoever stakes enough for super owns the cluster.
    Any,
    /// Nobody is above developer.
    None,
    /// These owners only. Never empty: an empty list would say `None` by accident.
    Only(BTreeSet<Address>),
}

/// A list of owners with nobody on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the list of elevated owners is empty; say `none` if nobody may be admin or super")]
pub struct EmptyOwners;

impl ElevatedOwners {
    /// A choice of these owners; refuses an empty list.
    pub fn only(owners: impl IntoIterator<Item = Address>) -> Result<Self, EmptyOwners> {
        let owners: BTreeSet<Address> = owners.into_iter().collect();
        if owners.is_empty() {
            Err(EmptyOwners)
        } else {
            Ok(Self::Only(owners))
        }
    }

    /// The tier that `owner` has with a stake worth `tier`.
    #[must_use]
    pub fn cap(&self, tier: Tier, owner: &Address) -> Tier {
        let elevated = match self {
            Self::Any => true,
            Self::None => false,
            Self::Only(owners) => owners.contains(owner),
        };
        if elevated {
            tier
        } else {
            tier.min(Tier::Developer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_capped_at_developer() {
        let (listed, other) = (Address::from_bytes([1; 32]), Address::from_bytes([2; 32]));
        let only = ElevatedOwners::only([listed]).unwrap();
        for tier in Tier::ALL {
            assert_eq!(ElevatedOwners::Any.cap(tier, &other), tier);
            assert_eq!(
                ElevatedOwners::None.cap(tier, &listed),
                tier.min(Tier::Developer)
            );
            assert_eq!(only.cap(tier, &listed), tier);
            assert_eq!(only.cap(tier, &other), tier.min(Tier::Developer));
        }
    }

    #[test]
    fn an_empty_list_is_refused() {
        assert_eq!(ElevatedOwners::only([]), Err(EmptyOwners));
    }
}
