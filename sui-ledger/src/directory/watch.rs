//! A listener's hold on a seal.

use std::fmt;
use std::sync::Arc;

use seal::CredentialHash;

use super::state::State;
use super::unavailable::Unavailable;

/// Keeps a seal pinned; dropping it lets go.
pub struct Watch {
    state: Arc<State>,
    hash: CredentialHash,
}

impl Watch {
    pub(super) fn new(state: Arc<State>, hash: CredentialHash) -> Result<Self, Unavailable> {
        let (pinned, unread) = state.with_core(|core, now| {
            let pinned = core.watch(hash, now);
            (pinned, core.has_to_reread(&hash))
        });
        if !pinned {
            return Err(Unavailable::Overloaded);
        }
        if unread {
            state.wake_reread.notify_one();
        }
        Ok(Self { state, hash })
    }

    /// Whose.
    #[must_use]
    pub const fn hash(&self) -> CredentialHash {
        self.hash
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.state.with_core(|core, _| core.unwatch(&self.hash));
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watch({})", self.hash)
    }
}
