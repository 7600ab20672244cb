//! What gets into the caches: reads as of P or later, and events that are newer.

use super::*;

#[test]
fn a_fill_as_of_the_fence_is_stored() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    assert_eq!(rig.status(1), Some(SealStatus::Active));
}

#[test]
fn a_fill_from_before_the_fence_is_refused() {
    let mut rig = Rig::live();
    rig.frame(101, [slashed(1, 11)]);
    assert_eq!(rig.active(1, 5, 10), Err(FillRefused::Behind));
    assert_eq!(rig.cached(1), Cached::Unknown);
}

#[test]
fn an_absence_from_before_the_fence_is_refused() {
    let mut rig = Rig::live();
    rig.frame(
        101,
        [changed(1, Cause::Mint, record(11, SealStatus::Active))],
    );
    assert_eq!(rig.fill(1, None, 10), Err(FillRefused::Behind));
    assert_eq!(rig.cached(1), Cached::Unknown);
}

#[test]
fn a_read_raises_the_fence_for_the_next_one() {
    let mut rig = Rig::live();
    rig.active(1, 5, 12).unwrap();
    assert_eq!(rig.active(2, 5, 11), Err(FillRefused::Behind));
}

#[test]
fn a_record_newer_than_its_pool_raises_the_fence_too() {
    let mut rig = Rig::live();
    rig.fill(1, Some(record(12, SealStatus::Slashed)), 11)
        .unwrap();
    rig.core.evict(&Key::Seal(hash(1)));
    assert_eq!(rig.active(1, 5, 11), Err(FillRefused::Behind));
}

#[test]
fn claims_and_lists_from_before_the_fence_are_refused() {
    let mut rig = Rig::live();
    rig.frame(101, [slashed(1, 11)]);
    let pool = rig.pool(10);
    let now = rig.now();
    let name: seal::NodeName = "worker".parse().unwrap();
    let node = rig
        .core
        .offer_fill(&Key::Node(name), RowRead::Node(None), &pool, now);
    assert_eq!(node, Err(FillRefused::Behind));
    let owner = Key::Owner(Address::from_bytes([2; 32]));
    let list = rig
        .core
        .offer_fill(&owner, RowRead::Owner(Vec::new()), &pool, now);
    assert_eq!(list, Err(FillRefused::Behind));
}

#[test]
fn an_old_unary_answer_is_refused() {
    let mut rig = Rig::live();
    let old = rig.pool(10);
    rig.pass(15_000);
    rig.frame(101, []);
    let row = RowRead::Seal(Some(record(5, SealStatus::Active)));
    let now = rig.now();
    let refused = rig.core.offer_fill(&Key::Seal(hash(1)), row, &old, now);
    assert_eq!(refused, Err(FillRefused::Stale));
}

#[test]
fn a_row_that_vanishes_is_not_believed() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    assert_eq!(rig.fill(1, None, 10), Err(FillRefused::Contradiction));
    assert_eq!(rig.status(1), Some(SealStatus::Active));
}

#[test]
fn an_event_changes_the_cached_record() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.frame(101, [slashed(1, 11)]);
    assert_eq!(rig.status(1), Some(SealStatus::Slashed));
}

#[test]
fn an_older_event_does_not_take_a_record_back() {
    let mut rig = Rig::live();
    rig.fill(1, Some(record(13, SealStatus::Revoked)), 13)
        .unwrap();
    rig.frame(101, [slashed(1, 11)]);
    assert_eq!(rig.status(1), Some(SealStatus::Revoked));
    assert_eq!(rig.told(), []);
}

#[test]
fn an_older_read_does_not_take_a_record_back() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.frame(101, [slashed(1, 11)]);
    let found = rig.active(1, 5, 11).unwrap();
    assert!(
        matches!(found, Found::Seal(Some(record)) if record.status == SealStatus::Slashed),
        "the newer record is the answer"
    );
}

#[test]
fn a_mint_ends_a_cached_absence() {
    let mut rig = Rig::live();
    rig.fill(1, None, 10).unwrap();
    assert_eq!(rig.cached(1), Cached::Absent);
    rig.frame(
        101,
        [changed(1, Cause::Mint, record(11, SealStatus::Active))],
    );
    assert_eq!(rig.status(1), Some(SealStatus::Active));
}

#[test]
fn an_absence_does_not_come_back_when_the_record_is_evicted() {
    let mut rig = Rig::live();
    rig.fill(1, None, 10).unwrap();
    rig.frame(
        101,
        [changed(1, Cause::Mint, record(11, SealStatus::Active))],
    );
    rig.core.shared.records.remove(&hash(1));
    assert_eq!(rig.cached(1), Cached::Unknown);
}

#[test]
fn an_absence_is_believed_for_its_time_only() {
    let mut rig = Rig::live();
    rig.fill(1, None, 10).unwrap();
    rig.pass(29_999);
    assert_eq!(rig.cached(1), Cached::Absent);
    rig.pass(1);
    assert_eq!(rig.cached(1), Cached::Unknown);
}

#[test]
fn events_of_one_frame_are_taken_in_the_order_of_their_numbers() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    let restored = changed(1, Cause::Restake, record(12, SealStatus::Active));
    rig.frame(101, [restored, slashed(1, 11)]);
    assert_eq!(rig.check(), Ok(()));
    assert_eq!(rig.status(1), Some(SealStatus::Active));
}

#[test]
fn a_claim_follows_its_events_and_a_voided_one_is_none() {
    let mut rig = Rig::live();
    let name: seal::NodeName = "worker".parse().unwrap();
    let claim = |owner: u8, n: u8| NodeClaim {
        owner: Address::from_bytes([owner; 32]),
        hash: hash(n),
    };
    let (pool, now) = (rig.pool(10), rig.now());
    let row = RowRead::Node(Some(claim(2, 1)));
    rig.core
        .offer_fill(&Key::Node(name.clone()), row, &pool, now)
        .unwrap();
    let event = |seq, claim| {
        ContractEvent::Node(NodeClaimed {
            seq,
            name: name.clone(),
            claim,
        })
    };
    rig.frame(101, [event(11, claim(2, 9))]);
    let cached = rig.core.shared.cached_claim(&name, rig.now());
    assert_eq!(cached, Cached::Is(claim(2, 9)));
    rig.frame(102, [event(12, claim(0, 9))]);
    let cached = rig.core.shared.cached_claim(&name, rig.now());
    assert_eq!(cached, Cached::Absent);
}

#[test]
fn a_change_of_an_owners_seals_drops_the_cached_list() {
    let mut rig = Rig::live();
    let owner = Address::from_bytes([2; 32]);
    let (pool, now) = (rig.pool(10), rig.now());
    let row = RowRead::Owner(vec![hash(1)]);
    rig.core
        .offer_fill(&Key::Owner(owner), row, &pool, now)
        .unwrap();
    rig.frame(
        101,
        [changed(2, Cause::Mint, record(11, SealStatus::Active))],
    );
    let cached = rig.core.shared.cached_owner(&owner, rig.now());
    assert_eq!(cached, Cached::Unknown);
}
