use seal::testing::active_record;
use seal::{CredentialHash, Unusable};
use sui_ledger::directory::Why;

use super::*;

fn change(before: Option<Tier>, after: Result<Tier, Unusable>) -> Change {
    let record = active_record();
    Change {
        hash: CredentialHash::from_bytes([3; 32]),
        record: Arc::new(record),
        why: Why::Read,
        before,
        after,
    }
}

#[test]
fn only_a_rise_over_the_line_of_a_seal_in_use_makes_a_namespace() {
    let developer = Some(Tier::Developer);
    for (before, after, expected) in [
        (Some(Tier::Viewer), Ok(Tier::Developer), developer),
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

#[test]
fn failures_wait_longer_and_longer_up_to_a_minute() {
    let seconds: Vec<u64> = (1..10).map(|failures| pause(failures).as_secs()).collect();
    assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert_eq!(pause(u32::MAX), LAST_PAUSE);
}
