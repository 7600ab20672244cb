//! When the first answer may be given.

use super::*;

#[test]
fn gives_no_answer_before_the_first_frame_and_before_the_pool_was_read() {
    let mut rig = Rig::new();
    assert_eq!(rig.check(), Err(Unavailable::Starting));
    assert!(rig.core.sync_ticket().is_none());
    rig.frame(100, []);
    assert_eq!(rig.check(), Err(Unavailable::Starting));
    rig.sync(10).unwrap();
    assert_eq!(rig.check(), Ok(()));
}

#[test]
fn a_pool_read_from_a_node_behind_the_first_frame_does_not_open() {
    let mut rig = Rig::new();
    rig.frame(100, []);
    let ticket = rig.core.sync_ticket().unwrap();
    let behind = PoolRead {
        height: 99,
        ..rig.pool(10)
    };
    let refused = rig.core.offer_sync(ticket, &behind, rig.now());
    assert_eq!(refused, Err(SyncRefused::Behind));
    assert_eq!(rig.check(), Err(Unavailable::Starting));
}

#[test]
fn a_pool_read_that_lacks_a_streamed_event_does_not_open() {
    let mut rig = Rig::new();
    rig.frame(100, []);
    let ticket = rig.core.sync_ticket().unwrap();
    rig.frame(101, [slashed(1, 11)]);
    let pool = rig.pool(10);
    let refused = rig.core.offer_sync(ticket, &pool, rig.now());
    assert_eq!(refused, Err(SyncRefused::Behind));
}

#[test]
fn a_pool_read_begun_before_an_unreadable_event_does_not_open() {
    let mut rig = Rig::new();
    rig.frame(100, []);
    let ticket = rig.core.sync_ticket().unwrap();
    rig.frame(101, [undecodable()]);
    let pool = rig.pool(10);
    let refused = rig.core.offer_sync(ticket, &pool, rig.now());
    assert_eq!(refused, Err(SyncRefused::Superseded));
}

#[test]
fn an_old_pool_read_does_not_open() {
    let mut rig = Rig::new();
    rig.frame(100, []);
    let ticket = rig.core.sync_ticket().unwrap();
    let old = rig.pool(10);
    rig.pass(15_000);
    let refused = rig.core.offer_sync(ticket, &old, rig.now());
    assert_eq!(refused, Err(SyncRefused::Stale));
}

#[test]
fn events_that_the_pool_read_covers_already_are_no_gap() {
    let mut rig = Rig::new();
    rig.frame(100, []);
    rig.sync(12).unwrap();
    rig.frame(101, [slashed(1, 11), slashed(2, 12)]);
    rig.frame(102, [slashed(3, 13)]);
    assert_eq!(rig.check(), Ok(()));
}
