//! Makes the namespace of a holder whose stake was raised while its token is in use.
//!
//! The authenticator makes namespaces too, but the API server caches a token for up to twenty
//! seconds: without this, a viewer who restakes would wait as long for a namespace.
//!
//! Shape:  listens to the directory. What it misses (a change it was too slow for, an API server
//!         that was away) the authenticator makes up for at the token's next review.

use std::sync::Arc;
use std::time::Duration;

use authn_webhook::HomeNamespace;
use seal::Tier;
use sui_ledger::directory::{Change, Directory};
use tokio::sync::Semaphore;
use tokio::sync::broadcast::error::RecvError;

use super::homes::Homes;

/// Namespaces made at once; more raises than that at one time wait for the authenticator.
const AT_ONCE: usize = 16;
/// One may take this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Follows the directory until it is gone.
pub(super) async fn follow(directory: Arc<Directory>, homes: Homes) {
    let mut changes = directory.subscribe();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let change = match changes.recv().await {
            Ok(change) => change,
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        let Some(tier) = raised(&change) else {
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let homes = homes.clone();
        tokio::spawn(async move {
            let made = homes.ensure(&change.record.owner, tier);
            match tokio::time::timeout(PATIENCE, made).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(
                    seal = %change.record.seal_id,
                    error = %error,
                    "a raised holder has no namespace yet"
                ),
                Err(_late) => tracing::warn!(
                    seal = %change.record.seal_id,
                    "a raised holder has no namespace yet: the API server is slow"
                ),
            }
            drop(place);
        });
    }
}

/// The new tier, where a seal in use rose to one that has a namespace.
fn raised(change: &Change) -> Option<Tier> {
    let after = change.after.ok()?;
    let before = change.before?;
    (before < Tier::Developer && after >= Tier::Developer).then_some(after)
}

#[cfg(test)]
mod tests {
    use seal::{
        Address, CredentialHash, Mist, ObjectId, SealRecord, SealStatus, UnixMillis, Unusable,
    };
    use sui_ledger::directory::Why;

    use super::*;

    fn change(before: Option<Tier>, after: Result<Tier, Unusable>) -> Change {
        let record = SealRecord {
            seq: 1,
            seal_id: ObjectId::from_bytes([1; 32]),
            owner: Address::from_bytes([2; 32]),
            stake: Mist(2_000_000_000),
            restore_at: Mist(0),
            node_id: None,
            namespace_wish: None,
            issued_at: UnixMillis(0),
            expires_at: UnixMillis(1_000),
            unbonding_ends_at: UnixMillis(0),
            status: SealStatus::Active,
            slashed_total: Mist(0),
            last_slashed_at: UnixMillis(0),
            generation: 0,
        };
        let hash = CredentialHash::from_bytes([3; 32]);
        Change {
            hash,
            record: Arc::new(record),
            why: Why::Read,
            before,
            after,
        }
    }

    #[test]
    fn only_a_rise_over_the_line_of_a_seal_in_use_makes_a_namespace() {
        for (before, after, expected) in [
            (
                Some(Tier::Viewer),
                Ok(Tier::Developer),
                Some(Tier::Developer),
            ),
            (Some(Tier::Viewer), Ok(Tier::Super), Some(Tier::Super)),
            (Some(Tier::Developer), Ok(Tier::Admin), None),
            (Some(Tier::Viewer), Ok(Tier::Viewer), None),
            (Some(Tier::Super), Ok(Tier::Viewer), None),
            (Some(Tier::Viewer), Err(Unusable::Slashed), None),
            // Nobody has used it: its first review makes the namespace.
            (None, Ok(Tier::Super), None),
        ] {
            assert_eq!(
                raised(&change(before, after)),
                expected,
                "{before:?} {after:?}"
            );
        }
    }
}
