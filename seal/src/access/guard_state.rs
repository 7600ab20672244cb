//! Whether the guards inside the API server are in place, as one process knows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Tier;

/// A switch that clones share: written by whoever keeps the guards, read with every review.
/// Begins with "not in place".
#[derive(Debug, Clone, Default)]
pub struct GuardState(Arc<AtomicBool>);

impl GuardState {
    /// Says whether they are in place.
    pub fn set(&self, in_place: bool) {
        self.0.store(in_place, Ordering::Release);
    }

    /// Whether they are in place.
    #[must_use]
    pub fn in_place(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// The tier that counts: nothing above viewer before the guards are in place.
    #[must_use]
    pub fn cap(&self, tier: Tier) -> Tier {
        if self.in_place() {
            tier
        } else {
            tier.min(Tier::Viewer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_counts_above_viewer_before_the_guards_are_in_place() {
        let state = GuardState::default();
        let reader = state.clone();
        for tier in Tier::ALL {
            assert_eq!(reader.cap(tier), Tier::Viewer);
        }
        state.set(true);
        for tier in Tier::ALL {
            assert_eq!(reader.cap(tier), tier);
        }
        state.set(false);
        assert!(!reader.in_place());
    }
}
