#[test_only]
/// Slashing and revoking: rounding, the interval, reasons, caps.
module k3s_daas::slash_tests;

use k3s_daas::staking;
use k3s_daas::world::{Self, World, h, text};
use std::unit_test::assert_eq;

const ALICE: address = @0xA11CE;
const BOB: address = @0xB0B;

const SUI: u64 = 1_000_000_000;
const DAY_MS: u64 = 86_400_000;

fun minted(): World {
    let mut w = world::begin();
    w.mint(ALICE, SUI, h(1));
    w
}

/// What a slash takes of a stake.
fun cut(w: &mut World, seal: u8, stake: u64): u64 {
    let (pooled, treasury) = w.balances();
    w.mint(ALICE, stake, h(seal));
    w.slash(h(seal));
    let record = w.record(h(seal));
    let (pooled_after, treasury_after) = w.balances();
    let cut = treasury_after - treasury;
    assert_eq!(record.stake(), pooled_after - pooled);
    assert_eq!(record.slashed_total(), cut);
    assert_eq!(record.stake() + cut, stake);
    cut
}

#[test]
fun a_slash_rounds_up_to_the_mist() {
    let mut w = world::begin();
    assert_eq!(cut(&mut w, 1, 500_000_000), 50_000_000);
    assert_eq!(cut(&mut w, 2, 500_000_001), 50_000_001);
    assert_eq!(cut(&mut w, 3, 500_000_009), 50_000_001);
    assert_eq!(cut(&mut w, 4, 500_000_010), 50_000_001);
    assert_eq!(cut(&mut w, 5, 500_000_011), 50_000_002);
    w.configure(world::config_with(4, 1));
    assert_eq!(cut(&mut w, 6, 500_000_001), 5_000_001);
    w.configure(world::config_with(4, 20));
    assert_eq!(cut(&mut w, 7, 500_000_099), 100_000_020);
    w.end();
}

#[test]
fun a_slash_of_all_there_is_does_not_overflow() {
    let mut w = world::begin();
    w.configure(world::config_with(4, 20));
    // All SUI that will ever be, in MIST; times 20 it would leave u64.
    assert_eq!(cut(&mut w, 1, 10_000_000_000_000_000_000), 2_000_000_000_000_000_000);
    w.end();
}

#[test]
fun the_smallest_stake_can_be_slashed_to_nothing() {
    let mut w = world::begin();
    w.configure(world::config_with(0, 1));
    w.mint(ALICE, 1, h(1));
    w.slash(h(1));
    assert_eq!(w.record(h(1)).stake(), 0);
    w.wait(DAY_MS);
    w.slash(h(1));
    w.unstake(h(1));
    w.wait(7 * DAY_MS);
    assert_eq!(w.withdraw(h(1)), 0);
    w.end();
}

#[test]
fun a_slash_leaves_other_seals_alone() {
    let mut w = minted();
    w.mint(ALICE, SUI, h(2));
    let other = w.record(h(2));
    w.slash(h(1));
    assert!(w.record(h(2)) == other);
    w.end();
}

#[test]
fun a_slash_tells_its_reason() {
    let mut w = minted();
    w.slash_for(h(1), b"two images at once".to_string());
    assert_eq!(w.last_reason(), b"two images at once".to_string());
    assert_eq!(w.record(h(1)).last_slashed_at(), world::start());
    w.end();
}

#[test]
fun an_expired_seal_can_be_slashed() {
    let mut w = minted();
    w.wait(31 * DAY_MS);
    w.slash(h(1));
    assert_eq!(w.record(h(1)).stake(), SUI / 10 * 9);
    w.end();
}

// The interval, to the millisecond.

#[test, expected_failure(abort_code = staking::ESlashTooSoon)]
fun a_second_slash_one_ms_before_a_day_is_refused() {
    let mut w = minted();
    w.slash(h(1));
    w.wait(DAY_MS - 1);
    w.slash(h(1));
    w.end();
}

#[test]
fun a_second_slash_after_a_day_is_possible() {
    let mut w = minted();
    w.slash(h(1));
    w.wait(DAY_MS);
    w.slash(h(1));
    assert_eq!(w.record(h(1)).stake(), 810_000_000);
    w.end();
}

#[test, expected_failure(abort_code = staking::ESlashTooSoon)]
fun a_restored_seal_keeps_its_interval() {
    let mut w = minted();
    w.slash(h(1));
    w.restake(h(1), SUI);
    w.slash(h(1));
    w.end();
}

#[test, expected_failure(abort_code = staking::ESlashTooSoon)]
fun a_rotated_seal_keeps_its_interval() {
    let mut w = minted();
    w.slash(h(1));
    w.refresh(h(1), h(2));
    w.slash(h(2));
    w.end();
}

#[test, expected_failure(abort_code = staking::ESlashTooSoon)]
fun an_unbonding_seal_keeps_its_interval() {
    let mut w = minted();
    w.slash(h(1));
    w.unstake(h(1));
    w.slash(h(1));
    w.end();
}

#[test]
fun the_interval_is_each_seals_own() {
    let mut w = minted();
    w.mint(ALICE, SUI, h(2));
    w.slash(h(1));
    w.slash(h(2));
    assert_eq!(w.record(h(2)).stake(), 900_000_000);
    w.end();
}

#[test]
fun without_an_interval_slashes_follow_each_other() {
    let mut w = world::begin();
    w.configure(world::config_with(5, 0));
    w.mint(ALICE, SUI, h(1));
    w.slash(h(1));
    w.slash(h(1));
    assert_eq!(w.record(h(1)).stake(), 810_000_000);
    w.end();
}

// Reasons and hashes.

#[test]
fun a_reason_of_128_bytes_is_possible() {
    let mut w = minted();
    w.slash_for(h(1), text(128));
    w.revoke_for(h(1), text(128));
    assert_eq!(w.last_reason(), text(128));
    w.end();
}

#[test, expected_failure(abort_code = staking::EReason)]
fun a_slash_with_a_reason_of_129_bytes_is_refused() {
    let mut w = minted();
    w.slash_for(h(1), text(129));
    w.end();
}

#[test, expected_failure(abort_code = staking::EReason)]
fun a_revocation_with_a_reason_of_129_bytes_is_refused() {
    let mut w = minted();
    w.revoke_for(h(1), text(129));
    w.end();
}

#[test, expected_failure(abort_code = staking::EUnknownHash)]
fun a_slash_of_an_unknown_hash_is_refused() {
    let mut w = minted();
    w.slash(h(2));
    w.end();
}

#[test, expected_failure(abort_code = staking::EUnknownHash)]
fun a_revocation_of_an_unknown_hash_is_refused() {
    let mut w = minted();
    w.revoke(h(2));
    w.end();
}

// Caps.

#[test]
fun a_second_cap_slashes_and_revokes() {
    let mut w = minted();
    w.add_slash_cap(BOB);
    let cap = w.take_slash_cap(BOB);
    w.slash_with(&cap, h(1));
    w.revoke_with(&cap, h(1));
    assert_eq!(w.record(h(1)).status(), 3);
    world::discard(cap);
    w.end();
}

#[test, expected_failure(abort_code = staking::ESlashCap)]
fun a_cap_that_is_not_listed_cannot_slash() {
    let mut w = minted();
    let cap = w.forged_slash_cap();
    w.slash_with(&cap, h(1));
    abort
}

#[test, expected_failure(abort_code = staking::ESlashCap)]
fun a_cap_that_is_not_listed_cannot_revoke() {
    let mut w = minted();
    let cap = w.forged_slash_cap();
    w.revoke_with(&cap, h(1));
    abort
}

#[test, expected_failure(abort_code = staking::ESlashCap)]
fun a_cap_that_was_removed_cannot_slash() {
    let mut w = minted();
    w.add_slash_cap(BOB);
    let cap = w.take_slash_cap(BOB);
    w.remove_slash_cap(object::id(&cap));
    w.slash_with(&cap, h(1));
    abort
}

#[test]
fun removing_one_cap_leaves_the_other() {
    let mut w = minted();
    w.add_slash_cap(BOB);
    let cap = w.take_slash_cap(BOB);
    w.remove_slash_cap(object::id(&cap));
    w.slash(h(1));
    world::discard(cap);
    w.end();
}
