//! What closes the door: gaps, events that are withheld, another chain, age.

use super::*;

#[test]
fn a_skipped_number_closes_the_door_and_empties_the_cache() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.fill(2, None, 10).unwrap();
    rig.frame(101, [slashed(3, 12)]);
    assert_eq!(rig.check(), Err(Unavailable::Gap));
    assert_eq!(
        (rig.cached(1), rig.cached(2)),
        (Cached::Unknown, Cached::Unknown)
    );
    assert_eq!(rig.active(1, 5, 12), Err(FillRefused::NotLive));
    rig.sync(12).unwrap();
    assert_eq!(rig.check(), Ok(()));
}

#[test]
fn an_unreadable_event_is_a_gap() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.frame(101, [undecodable()]);
    assert_eq!(rig.check(), Err(Unavailable::Gap));
    assert_eq!(rig.cached(1), Cached::Unknown);
    assert_eq!(rig.core.sync_ticket().unwrap().min_height, 101);
}

#[test]
fn a_gap_is_mended_only_by_a_node_that_has_the_frame_that_showed_it() {
    let mut rig = Rig::live();
    rig.frame(101, [slashed(3, 12)]);
    let ticket = rig.core.sync_ticket().unwrap();
    let behind = PoolRead {
        height: 100,
        ..rig.pool(12)
    };
    let refused = rig.core.offer_sync(ticket, &behind, rig.now());
    assert_eq!(refused, Err(SyncRefused::Behind));
}

#[test]
fn known_frames_change_nothing_and_are_no_progress() {
    let mut rig = Rig::live();
    rig.pass(14_999);
    assert_eq!(rig.frame(100, [slashed(1, 99)]), Progress::Old);
    assert_eq!(rig.frame(50, []), Progress::Old);
    assert_eq!(rig.check(), Ok(()));
    rig.pass(1);
    assert!(matches!(rig.check(), Err(Unavailable::Stale { .. })));
}

#[test]
fn missing_checkpoints_are_asked_for_and_the_frame_is_kept() {
    let mut rig = Rig::live();
    let Progress::Missing { from, to, frame } = rig.frame(105, [slashed(1, 11)]) else {
        panic!("105 does not follow 100");
    };
    assert_eq!((from, to, frame.sequence), (101, 104, 105));
    assert_eq!(rig.core.fence(), 10, "it was not applied");
    for sequence in 101..=104 {
        assert_eq!(rig.frame(sequence, []), Progress::Advanced);
    }
    let now = rig.now();
    assert_eq!(rig.core.frame(*frame, now), Progress::Advanced);
    assert_eq!(rig.check(), Ok(()));
}

#[test]
fn too_many_missing_checkpoints_are_not_asked_for() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    assert!(matches!(
        rig.frame(100 + 3_001, []),
        Progress::Missing { .. }
    ));
    assert_eq!(rig.frame(100 + 3_002, []), Progress::Advanced);
    assert_eq!(rig.check(), Err(Unavailable::Gap));
    assert_eq!(rig.cached(1), Cached::Unknown);
    assert_eq!(rig.core.sync_ticket().unwrap().min_height, 3_102);
}

#[test]
fn another_chain_closes_the_door_until_the_right_one_is_back() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.core.set_wrong_chain(true);
    assert_eq!(rig.check(), Err(Unavailable::WrongChain));
    assert_eq!(rig.active(2, 5, 10), Err(FillRefused::NotLive));
    rig.core.set_wrong_chain(false);
    assert_eq!(rig.check(), Ok(()));
}

fn announced(rig: &Rig, seq: u64, height: u64) -> PoolRead {
    PoolRead {
        height,
        ..rig.pool(seq)
    }
}

#[test]
fn a_stream_that_withholds_what_the_pool_announced_loses_the_view() {
    for by_fill in [false, true] {
        let mut rig = Rig::live();
        let (pool, now) = (announced(&rig, 11, 105), rig.now());
        if by_fill {
            let row = RowRead::Seal(Some(record(3, SealStatus::Active)));
            rig.core
                .offer_fill(&Key::Seal(hash(7)), row, &pool, now)
                .unwrap();
        } else {
            rig.core.offer_audit(&pool, now);
        }
        for sequence in 101..105 + LATE {
            rig.frame(sequence, []);
            assert_eq!(
                rig.check(),
                Ok(()),
                "a little later is no offence: {sequence}"
            );
        }
        rig.frame(105 + LATE, []);
        assert_eq!(rig.core.take_losses(), [Loss::Withheld]);
        assert!(rig.check().is_err());
    }
}

#[test]
fn what_comes_in_time_is_not_withheld() {
    let mut rig = Rig::live();
    let (pool, now) = (announced(&rig, 11, 105), rig.now());
    rig.core.offer_audit(&pool, now);
    for sequence in 101..103 {
        rig.frame(sequence, []);
    }
    rig.frame(103, [slashed(1, 11)]);
    for sequence in 104..200 {
        rig.frame(sequence, []);
    }
    assert_eq!(rig.check(), Ok(()));
}

#[test]
fn an_audit_by_a_lagging_or_outdated_node_says_nothing() {
    let mut rig = Rig::live();
    let behind = announced(&rig, 9, 50);
    let outdated = PoolRead {
        at: UnixMillis(START - 60_000),
        ..announced(&rig, 99, 50)
    };
    for pool in [behind, outdated] {
        let now = rig.now();
        rig.core.offer_audit(&pool, now);
        assert_eq!(rig.core.fence(), 10);
    }
    for sequence in 101..200 {
        rig.frame(sequence, []);
    }
    assert_eq!(rig.check(), Ok(()));
}

#[test]
fn the_view_is_stale_when_no_checkpoint_came_in_time() {
    let mut rig = Rig::live();
    rig.mono += 14_999;
    assert_eq!(rig.check(), Ok(()));
    rig.mono += 1;
    assert_eq!(rig.check(), Err(Unavailable::Stale { for_ms: 15_000 }));
}

#[test]
fn the_view_is_stale_when_the_newest_checkpoint_is_old_although_frames_come() {
    let mut rig = Rig::live();
    rig.wall += 15_000;
    let frame = Frame {
        sequence: 101,
        timestamp: UnixMillis(rig.wall - 15_000),
        events: Vec::new(),
    };
    let now = rig.now();
    rig.core.frame(frame, now);
    assert_eq!(rig.check(), Err(Unavailable::Stale { for_ms: 15_000 }));
    rig.wall -= 1;
    assert_eq!(rig.check(), Ok(()));
}

#[test]
fn a_clock_set_back_hides_no_staleness() {
    let mut rig = Rig::live();
    rig.mono += 15_000;
    rig.wall -= 1_000;
    assert!(matches!(rig.check(), Err(Unavailable::Stale { .. })));
}

#[test]
fn a_clock_far_behind_the_chain_is_told() {
    let mut rig = Rig::live();
    rig.wall -= 10_000;
    assert_eq!(rig.check(), Ok(()));
    rig.wall -= 1;
    let skewed = Err(Unavailable::ClockSkew { behind_ms: 10_001 });
    assert_eq!(rig.check(), skewed);
}

#[test]
fn grace_prolongs_the_bound_by_exactly_itself() {
    let mut rig = Rig::with(&DirectoryConfig {
        grace: Duration::from_mins(1),
        ..DirectoryConfig::default()
    });
    rig.open();
    rig.pass(74_999);
    assert_eq!(rig.check(), Ok(()));
    rig.pass(1);
    assert!(matches!(rig.check(), Err(Unavailable::Stale { .. })));
}
