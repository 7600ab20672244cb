#[test_only]
/// What owners do after minting: restake, refresh, unstake, withdraw.
module k3s_daas::owner_tests;

use k3s_daas::staking;
use k3s_daas::world::{Self, World, h};
use std::unit_test::assert_eq;

const ALICE: address = @0xA11CE;
const BOB: address = @0xB0B;

const SUI: u64 = 1_000_000_000;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;

fun minted(): World {
    let mut w = world::begin();
    w.mint(ALICE, 2 * SUI, h(1));
    w
}

// restake

#[test]
fun restake_adds_to_the_mist() {
    let mut w = minted();
    w.restake(h(1), 7);
    assert_eq!(w.record(h(1)).stake(), 2 * SUI + 7);
    let (pooled, treasury) = w.balances();
    assert!(pooled == 2 * SUI + 7 && treasury == 0);
    w.end();
}

#[test, expected_failure(abort_code = staking::EZeroAmount)]
fun restake_of_nothing_is_refused() {
    let mut w = minted();
    w.restake(h(1), 0);
    w.end();
}

#[test]
fun restake_does_not_prolong() {
    let mut w = minted();
    let expires_at = w.record(h(1)).expires_at();
    w.wait(DAY_MS);
    w.restake(h(1), 1);
    assert_eq!(w.record(h(1)).expires_at(), expires_at);
    w.end();
}

#[test]
fun restake_of_an_expired_seal_is_possible() {
    let mut w = minted();
    w.wait(30 * DAY_MS);
    w.restake(h(1), 1);
    assert_eq!(w.record(h(1)).status(), 0);
    w.end();
}

#[test]
fun the_mark_is_the_stake_before_the_first_slash() {
    let mut w = minted();
    w.slash(h(1));
    w.wait(DAY_MS);
    w.restake(h(1), 100_000_000);
    w.slash(h(1));
    assert_eq!(w.record(h(1)).restore_at(), 2 * SUI);
    // 2 SUI - 10 % + 0.1 SUI - 10 % = 1.71 SUI
    w.restake(h(1), 289_999_999);
    assert_eq!(w.record(h(1)).status(), 2);
    w.restake(h(1), 1);
    assert_eq!(w.record(h(1)).status(), 0);
    assert_eq!(w.record(h(1)).slashed_total(), 390_000_000);
    w.end();
}

#[test]
fun a_restored_seal_has_a_new_mark_at_the_next_slash() {
    let mut w = minted();
    w.slash(h(1));
    w.restake(h(1), 5 * SUI);
    assert_eq!(w.record(h(1)).status(), 0);
    w.wait(DAY_MS);
    w.slash(h(1));
    assert_eq!(w.record(h(1)).restore_at(), 6_800_000_000);
    w.end();
}

// refresh

#[test]
fun refresh_keeps_everything_but_hash_time_and_generation() {
    let mut w = world::begin();
    let node = option::some(b"n".to_string());
    let namespace = option::some(b"ns".to_string());
    w.mint_with(ALICE, 2 * SUI, h(1), node, namespace, HOUR_MS);
    w.slash(h(1));
    let before = w.record(h(1));
    w.wait(5);
    w.refresh_for(h(1), h(2), 2 * HOUR_MS);
    let after = w.record(h(2));
    assert_eq!(after.owner(), before.owner());
    assert_eq!(after.seal_id(), before.seal_id());
    assert_eq!(after.stake(), before.stake());
    assert_eq!(after.restore_at(), before.restore_at());
    assert_eq!(after.node_id(), node);
    assert_eq!(after.namespace(), namespace);
    assert_eq!(after.slashed_total(), before.slashed_total());
    assert_eq!(after.last_slashed_at(), before.last_slashed_at());
    assert_eq!(after.issued_at(), world::start() + 5);
    assert_eq!(after.expires_at(), world::start() + 5 + 2 * HOUR_MS);
    assert_eq!(after.generation(), 1);
    assert_eq!(after.seq(), before.seq() + 1);
    let old = w.record(h(1));
    assert_eq!(old.seq(), before.seq() + 2);
    assert_eq!(old.stake(), 0);
    assert_eq!(old.restore_at(), 0);
    assert_eq!(old.generation(), 0);
    assert_eq!(w.claims_told(), 1);
    let (owner, hash) = w.claim(b"n");
    assert!(owner == ALICE && hash == h(2));
    w.end();
}

#[test]
fun refresh_moves_no_money() {
    let mut w = minted();
    w.refresh(h(1), h(2));
    let (pooled, treasury) = w.balances();
    assert!(pooled == 2 * SUI && treasury == 0);
    assert_eq!(w.claims_told(), 0);
    w.end();
}

#[test]
fun refresh_renews_an_expired_seal() {
    let mut w = minted();
    w.wait(31 * DAY_MS);
    w.refresh(h(1), h(2));
    assert_eq!(w.record(h(2)).expires_at(), w.now() + 30 * DAY_MS);
    w.end();
}

#[test, expected_failure(abort_code = staking::EHashSpent)]
fun refresh_to_the_same_hash_is_refused() {
    let mut w = minted();
    w.refresh(h(1), h(1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EHashSpent)]
fun refresh_to_anothers_hash_is_refused() {
    let mut w = minted();
    w.mint(BOB, SUI, h(2));
    w.refresh(h(1), h(2));
    w.end();
}

#[test, expected_failure(abort_code = staking::EHashLength)]
fun refresh_to_a_short_hash_is_refused() {
    let mut w = minted();
    w.refresh(h(1), x"01");
    w.end();
}

#[test, expected_failure(abort_code = staking::EValidity)]
fun refresh_for_too_short_is_refused() {
    let mut w = minted();
    w.refresh_for(h(1), h(2), HOUR_MS - 1);
    w.end();
}

#[test, expected_failure(abort_code = staking::EValidity)]
fun refresh_for_too_long_is_refused() {
    let mut w = minted();
    w.refresh_for(h(1), h(2), 366 * DAY_MS + 1);
    w.end();
}

// unstake and withdraw

#[test]
fun the_unbonding_ends_after_seven_days() {
    let mut w = minted();
    w.wait(3);
    w.unstake(h(1));
    assert_eq!(w.record(h(1)).unbonding_ends_at(), world::start() + 3 + 7 * DAY_MS);
    w.end();
}

#[test, expected_failure(abort_code = staking::EStillUnbonding)]
fun withdraw_one_ms_early_is_refused() {
    let mut w = minted();
    w.unstake(h(1));
    w.wait(7 * DAY_MS - 1);
    w.withdraw(h(1));
    w.end();
}

#[test]
fun withdraw_pays_everything_to_the_owner_and_retires_the_row() {
    let mut w = minted();
    w.mint(BOB, SUI, h(2));
    w.unstake(h(1));
    w.wait(7 * DAY_MS);
    assert_eq!(w.withdraw(h(1)), 2 * SUI);
    let record = w.record(h(1));
    assert_eq!(record.stake(), 0);
    assert_eq!(record.unbonding_ends_at(), 0);
    assert_eq!(record.status(), 4);
    let (pooled, treasury) = w.balances();
    assert!(pooled == SUI && treasury == 0);
    w.end();
}

#[test]
fun todays_period_counts_not_a_later_one() {
    let mut w = minted();
    w.unstake(h(1));
    let ends_at = w.record(h(1)).unbonding_ends_at();
    w.configure(world::config_with(7, 90 * DAY_MS));
    assert_eq!(w.record(h(1)).unbonding_ends_at(), ends_at);
    w.wait(5 * DAY_MS);
    assert_eq!(w.withdraw(h(1)), 2 * SUI);
    w.end();
}

// Tokens of another pool.

#[test, expected_failure(abort_code = staking::EWrongPool)]
fun restake_refuses_a_foreign_token() {
    let mut w = minted();
    let (mut pool, token) = w.with_foreign_token(h(1));
    let coin = w.coin(1);
    w.act!(|clock, ctx| pool.restake(&token, coin, clock, ctx));
    abort
}

#[test, expected_failure(abort_code = staking::EWrongPool)]
fun refresh_refuses_a_foreign_token() {
    let mut w = minted();
    let (mut pool, mut token) = w.with_foreign_token(h(1));
    w.act!(|clock, ctx| pool.refresh_seal_token(&mut token, h(2), 0, clock, ctx));
    abort
}

#[test, expected_failure(abort_code = staking::EWrongPool)]
fun unstake_refuses_a_foreign_token() {
    let mut w = minted();
    let (mut pool, token) = w.with_foreign_token(h(1));
    w.act!(|clock, ctx| pool.request_unstake(&token, clock, ctx));
    abort
}

#[test, expected_failure(abort_code = staking::EWrongPool)]
fun withdraw_refuses_a_foreign_token() {
    let mut w = minted();
    let (mut pool, token) = w.with_foreign_token(h(1));
    w.act!(|clock, ctx| pool.withdraw(token, clock, ctx));
    abort
}
