//! What listeners are told, what follows the thresholds, and which ends are remembered.

use super::*;

#[test]
fn every_event_is_told_once_known_or_not() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.frame(101, [slashed(1, 11), slashed(9, 12)]);
    let slash = Why::Event(Cause::Slash);
    let ended = Err(Unusable::Slashed);
    assert_eq!(rig.told(), [(1, slash, ended), (9, slash, ended)]);
    assert_eq!(rig.told(), []);
}

#[test]
fn a_change_says_what_the_tier_was() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    let mut lower = record(11, SealStatus::Active);
    lower.stake = Mist(500_000_000);
    rig.frame(101, [changed(1, Cause::Slash, lower)]);
    let change = rig.core.take_changes().remove(0);
    assert_eq!(change.before, Some(Tier::Developer));
    assert_eq!(change.after, Ok(Tier::Viewer));
    assert!(change.is_loss() && change.end().is_none());
}

#[test]
fn expiry_is_told_at_its_instant_by_local_time() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.wall = START + 3_599_999;
    assert!(!rig.core.expire(10, rig.now()));
    assert_eq!(rig.told(), []);
    rig.wall += 1;
    rig.core.expire(10, rig.now());
    assert_eq!(rig.told(), [(1, Why::Expired, Err(Unusable::Expired))]);
    rig.core.expire(10, rig.now());
    assert_eq!(rig.told(), []);
}

#[test]
fn expiry_is_told_by_the_chains_time_where_that_is_later() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    let frame = Frame {
        sequence: 101,
        timestamp: UnixMillis(START + 3_600_000),
        events: Vec::new(),
    };
    let now = rig.now();
    rig.core.frame(frame, now);
    rig.core.expire(10, now);
    assert_eq!(rig.told(), [(1, Why::Expired, Err(Unusable::Expired))]);
}

#[test]
fn an_expiry_told_by_a_clock_that_ran_ahead_is_told_again_at_its_time() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    let expired = [(1, Why::Expired, Err(Unusable::Expired))];
    rig.wall += 3_600_000;
    rig.core.expire(10, rig.now());
    assert_eq!(rig.told(), expired);
    rig.wall -= 1;
    rig.core.expire(10, rig.now());
    assert_eq!(rig.told(), []);
    rig.wall += 1;
    rig.core.expire(10, rig.now());
    assert_eq!(rig.told(), expired);
}

#[test]
fn a_seal_that_ended_otherwise_does_not_expire_as_well() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.frame(101, [slashed(1, 11)]);
    rig.told();
    rig.wall += 3_600_000;
    rig.core.expire(10, rig.now());
    assert_eq!(rig.told(), []);
}

#[test]
fn a_watched_seal_expires_even_when_it_left_the_cache() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.active(2, 5, 10).unwrap();
    assert!(rig.watch(1));
    rig.core.evict(&Key::Seal(hash(1)));
    rig.core.evict(&Key::Seal(hash(2)));
    rig.wall += 3_600_000;
    rig.core.expire(10, rig.now());
    assert_eq!(rig.told(), [(1, Why::Expired, Err(Unusable::Expired))]);
}

#[test]
fn what_left_cache_and_watch_leaves_the_expiry_queue() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    assert!(rig.watch(1));
    assert!(rig.watch(1));
    rig.core.evict(&Key::Seal(hash(1)));
    rig.core.unwatch(&hash(1));
    assert_eq!(rig.core.expiries.len(), 1);
    rig.core.unwatch(&hash(1));
    assert_eq!((rig.core.expiries.len(), rig.core.watched()), (0, 0));
}

#[test]
fn no_more_seals_are_pinned_than_the_bound() {
    let mut rig = Rig::with(&DirectoryConfig {
        max_watched: 1,
        ..DirectoryConfig::default()
    });
    assert!(rig.watch(1));
    assert!(!rig.watch(2));
    assert!(rig.watch(1));
}

#[test]
fn what_happened_in_a_gap_is_told_when_it_is_read_again() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.active(2, 6, 10).unwrap();
    assert!(rig.watch(1) && rig.watch(2));
    assert!(rig.core.to_reread(9).is_empty());
    rig.core.lose(Loss::History);
    assert!(
        rig.core.to_reread(9).is_empty(),
        "not before the pool was read"
    );
    rig.sync(20).unwrap();
    assert_eq!(rig.core.to_reread(9).len(), 2);
    rig.fill(1, Some(record(15, SealStatus::Revoked)), 20)
        .unwrap();
    rig.active(2, 6, 20).unwrap();
    assert!(rig.core.to_reread(9).is_empty());
    assert_eq!(rig.told(), [(1, Why::Read, Err(Unusable::Revoked))]);
}

#[test]
fn a_seal_watched_before_it_was_known_is_read_and_its_end_told() {
    let mut rig = Rig::live();
    assert!(rig.watch(1));
    assert_eq!(rig.core.to_reread(9), [hash(1)]);
    rig.fill(1, Some(record(5, SealStatus::Revoked)), 10)
        .unwrap();
    assert_eq!(rig.told(), [(1, Why::Read, Err(Unusable::Revoked))]);
}

#[test]
fn a_seal_that_ended_before_it_was_watched_is_told() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.frame(101, [slashed(1, 11)]);
    rig.told();
    assert!(rig.watch(1));
    assert_eq!(rig.told(), [(1, Why::Read, Err(Unusable::Slashed))]);
}

#[test]
fn an_ordinary_fill_is_no_news() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.fill(2, Some(record(6, SealStatus::Revoked)), 10)
        .unwrap();
    assert_eq!(rig.told(), []);
}

#[test]
fn thresholds_follow_their_event_and_tell_whom_they_hit() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    let raised = ContractEvent::Config(ConfigChanged {
        seq: 11,
        config: Config {
            developer: 3_000_000_000,
            ..config(2_000_000_001)
        },
    });
    rig.frame(101, [raised]);
    assert_eq!(rig.core.shared.thresholds().viewer, Mist(2_000_000_001));
    let ended = Err(Unusable::StakeTooLow);
    assert_eq!(rig.told(), [(1, Why::Thresholds, ended)]);
}

#[test]
fn thresholds_are_taken_from_the_pool_at_the_start() {
    let mut rig = Rig::new();
    rig.frame(100, []);
    let ticket = rig.core.sync_ticket().unwrap();
    let pool = PoolRead {
        thresholds: config(7).thresholds(),
        ..rig.pool(10)
    };
    rig.core.offer_sync(ticket, &pool, rig.now()).unwrap();
    assert_eq!(rig.core.shared.thresholds().viewer, Mist(7));
}

#[test]
fn an_end_is_remembered_through_a_loss_and_lifted_by_a_restoration() {
    let mut rig = Rig::live();
    rig.frame(101, [slashed(1, 11)]);
    rig.core.lose(Loss::History);
    let end = |rig: &Rig| rig.core.shared.last_known_end(&hash(1), rig.now());
    assert_eq!(end(&rig).unwrap().how, Unusable::Slashed);
    rig.sync(11).unwrap();
    rig.frame(
        102,
        [changed(1, Cause::Restake, record(12, SealStatus::Active))],
    );
    assert_eq!(end(&rig), None);
}

#[test]
fn an_expiry_is_remembered() {
    let mut rig = Rig::live();
    rig.active(1, 5, 10).unwrap();
    rig.wall += 3_600_000;
    rig.core.expire(10, rig.now());
    rig.core.lose(Loss::History);
    let end = rig.core.shared.last_known_end(&hash(1), rig.now()).unwrap();
    assert_eq!(end.how, Unusable::Expired);
    assert_eq!(end.at, UnixMillis(START + 3_600_000));
}

#[test]
fn an_end_that_is_only_read_is_remembered_too() {
    let mut rig = Rig::live();
    rig.fill(1, Some(record(5, SealStatus::Revoked)), 10)
        .unwrap();
    rig.core.lose(Loss::History);
    let end = rig.core.shared.last_known_end(&hash(1), rig.now());
    assert_eq!(end.unwrap().how, Unusable::Revoked);
}

#[test]
fn the_instant_of_an_end_stays_what_it_was_however_often_it_is_asked_for() {
    let mut rig = Rig::live();
    rig.frame(101, [slashed(1, 11)]);
    let end = |rig: &Rig| rig.core.shared.last_known_end(&hash(1), rig.now()).unwrap();
    let first = end(&rig);
    rig.pass(60_000);
    assert_eq!(end(&rig), first);
    rig.core.lose(Loss::History);
    assert_eq!(end(&rig), first);
}

fn unbonding(seq: u64, slashed_total: u64) -> SealRecord {
    SealRecord {
        slashed_total: Mist(slashed_total),
        ..record(seq, SealStatus::Unbonding)
    }
}

fn how_it_ended(rig: &Rig) -> Option<Unusable> {
    let end = rig.core.shared.last_known_end(&hash(1), rig.now());
    end.map(|end| end.how)
}

#[test]
fn whoever_unbonds_after_a_fault_ended_by_the_fault() {
    for (cause, status, how) in [
        (Cause::Slash, SealStatus::Slashed, Unusable::Slashed),
        (Cause::Revoke, SealStatus::Revoked, Unusable::Revoked),
    ] {
        let mut rig = Rig::live();
        // In one frame: nobody had a look in between.
        let fault = changed(1, cause, record(11, status));
        rig.frame(101, [fault, changed(1, Cause::Unstake, unbonding(12, 0))]);
        assert_eq!(how_it_ended(&rig), Some(how));
        rig.core.lose(Loss::History);
        assert_eq!(how_it_ended(&rig), Some(how), "without the record too");
    }
}

#[test]
fn a_slash_of_a_stake_that_unbonds_is_a_fault() {
    let mut rig = Rig::live();
    rig.frame(101, [changed(1, Cause::Unstake, unbonding(11, 0))]);
    assert_eq!(how_it_ended(&rig), Some(Unusable::Unbonding));
    rig.frame(102, [changed(1, Cause::Slash, unbonding(12, 5))]);
    assert_eq!(how_it_ended(&rig), Some(Unusable::Slashed));
}

#[test]
fn a_fault_that_was_made_good_is_none() {
    let mut rig = Rig::live();
    let restored = changed(1, Cause::Restake, record(12, SealStatus::Active));
    rig.frame(101, [slashed(1, 11), restored]);
    assert_eq!(how_it_ended(&rig), None);
    rig.frame(102, [changed(1, Cause::Unstake, unbonding(13, 0))]);
    assert_eq!(how_it_ended(&rig), Some(Unusable::Unbonding));
}
