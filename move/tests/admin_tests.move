#[test_only]
/// Config, caps, names, claims, pause, treasury, migration.
module k3s_daas::admin_tests;

use k3s_daas::staking;
use k3s_daas::world::{Self, World, h};
use std::unit_test::assert_eq;

const ALICE: address = @0xA11CE;
const BOB: address = @0xB0B;

const SUI: u64 = 1_000_000_000;
const DAY_MS: u64 = 86_400_000;

// The fields of the config, by place.
const VIEWER: u64 = 0;
const DEVELOPER: u64 = 1;
const ADMIN: u64 = 2;
const SUPER: u64 = 3;
const SLASH_PCT: u64 = 4;
const SLASH_INTERVAL: u64 = 5;
const CONFIG_DELAY: u64 = 6;
const UNBONDING: u64 = 7;
const VALIDITY_MIN: u64 = 8;
const VALIDITY_MAX: u64 = 9;
const VALIDITY_DEFAULT: u64 = 10;

/// Announces the genesis config with one field changed.
fun announced(field: u64, value: u64): World {
    let mut w = world::begin();
    w.announce(world::config_with(field, value));
    w
}

// Bounds of the config: each last value that is possible, each first that is not.

#[test]
fun every_bound_itself_is_possible() {
    let mut w = world::begin();
    let bounds = vector[
        vector[VIEWER, 1],
        vector[VIEWER, 1_999_999_999],
        vector[DEVELOPER, 500_000_001],
        vector[DEVELOPER, 4_999_999_999],
        vector[ADMIN, 2_000_000_001],
        vector[ADMIN, 9_999_999_999],
        vector[SUPER, 5_000_000_001],
        vector[SUPER, 1_000_000_000_000_000],
        vector[SLASH_PCT, 1],
        vector[SLASH_PCT, 20],
        vector[SLASH_INTERVAL, 0],
        vector[SLASH_INTERVAL, 30 * DAY_MS],
        vector[CONFIG_DELAY, 0],
        vector[CONFIG_DELAY, 30 * DAY_MS],
        vector[UNBONDING, 60_000],
        vector[UNBONDING, 90 * DAY_MS],
        vector[VALIDITY_MIN, 60_000],
        vector[VALIDITY_MIN, 30 * DAY_MS],
        vector[VALIDITY_DEFAULT, 3_600_000],
        vector[VALIDITY_DEFAULT, 366 * DAY_MS],
        vector[VALIDITY_MAX, 30 * DAY_MS],
        vector[VALIDITY_MAX, 366 * DAY_MS],
    ];
    bounds.do!(|bound| w.announce(world::config_with(bound[0], bound[1])));
    w.end();
}

#[test, expected_failure(abort_code = staking::EConfig)]
fun a_viewer_threshold_of_nothing_is_refused() { announced(VIEWER, 0).end() }

#[test, expected_failure(abort_code = staking::EConfig)]
fun a_viewer_threshold_that_meets_the_developers_is_refused() {
    announced(VIEWER, 2_000_000_000).end()
}

#[test, expected_failure(abort_code = staking::EConfig)]
fun a_developer_threshold_that_meets_the_admins_is_refused() {
    announced(DEVELOPER, 5_000_000_000).end()
}

#[test, expected_failure(abort_code = staking::EConfig)]
fun an_admin_threshold_that_meets_the_supers_is_refused() {
    announced(ADMIN, 10_000_000_000).end()
}

#[test, expected_failure(abort_code = staking::EConfig)]
fun a_super_threshold_over_a_million_sui_is_refused() {
    announced(SUPER, 1_000_000_000_000_001).end()
}

#[test, expected_failure(abort_code = staking::EConfig)]
fun a_slash_of_nothing_is_refused() { announced(SLASH_PCT, 0).end() }

#[test, expected_failure(abort_code = staking::EConfig)]
fun a_slash_of_more_than_a_fifth_is_refused() { announced(SLASH_PCT, 21).end() }

#[test, expected_failure(abort_code = staking::EConfig)]
fun a_slash_interval_over_30_days_is_refused() {
    announced(SLASH_INTERVAL, 30 * DAY_MS + 1).end()
}

#[test, expected_failure(abort_code = staking::EConfig)]
fun a_config_delay_over_30_days_is_refused() { announced(CONFIG_DELAY, 30 * DAY_MS + 1).end() }

#[test, expected_failure(abort_code = staking::EConfig)]
fun an_unbonding_under_a_minute_is_refused() { announced(UNBONDING, 59_999).end() }

#[test, expected_failure(abort_code = staking::EConfig)]
fun an_unbonding_over_90_days_is_refused() { announced(UNBONDING, 90 * DAY_MS + 1).end() }

#[test, expected_failure(abort_code = staking::EConfig)]
fun a_least_validity_under_a_minute_is_refused() { announced(VALIDITY_MIN, 59_999).end() }

#[test, expected_failure(abort_code = staking::EConfig)]
fun a_least_validity_over_the_default_is_refused() {
    announced(VALIDITY_MIN, 30 * DAY_MS + 1).end()
}

#[test, expected_failure(abort_code = staking::EConfig)]
fun a_default_validity_over_the_most_is_refused() {
    announced(VALIDITY_DEFAULT, 366 * DAY_MS + 1).end()
}

#[test, expected_failure(abort_code = staking::EConfig)]
fun a_validity_over_366_days_is_refused() { announced(VALIDITY_MAX, 366 * DAY_MS + 1).end() }

// The delay, to the millisecond.

#[test, expected_failure(abort_code = staking::EConfigNotDue)]
fun a_config_one_ms_before_48_hours_is_refused() {
    let mut w = announced(SLASH_PCT, 20);
    w.wait(2 * DAY_MS - 1);
    w.apply();
    w.end();
}

#[test]
fun a_config_applies_after_48_hours_and_not_before() {
    let mut w = announced(SLASH_PCT, 20);
    w.mint(ALICE, SUI, h(1));
    w.mint(ALICE, SUI, h(2));
    w.wait(2 * DAY_MS);
    w.slash(h(1));
    assert_eq!(w.record(h(1)).stake(), SUI / 10 * 9);
    w.apply();
    w.slash(h(2));
    assert_eq!(w.record(h(2)).stake(), SUI / 10 * 8);
    w.end();
}

#[test, expected_failure(abort_code = staking::ENoPendingConfig)]
fun nothing_can_be_applied_that_was_not_announced() {
    let mut w = world::begin();
    w.apply();
    w.end();
}

#[test, expected_failure(abort_code = staking::ENoPendingConfig)]
fun a_config_applies_once() {
    let mut w = announced(SLASH_PCT, 20);
    w.wait(2 * DAY_MS);
    w.apply();
    w.apply();
    w.end();
}

#[test, expected_failure(abort_code = staking::EConfigNotDue)]
fun a_second_announcement_starts_the_delay_anew() {
    let mut w = announced(SLASH_PCT, 20);
    w.wait(2 * DAY_MS);
    w.announce(world::config_with(SLASH_PCT, 19));
    w.apply();
    w.end();
}

#[test, expected_failure(abort_code = staking::EConfigNotDue)]
fun a_shorter_delay_does_not_shorten_its_own() {
    let mut w = announced(CONFIG_DELAY, 0);
    w.apply();
    w.end();
}

#[test]
fun without_a_delay_a_config_applies_at_once() {
    let mut w = world::begin();
    w.configure(world::config_with(CONFIG_DELAY, 0));
    w.announce(world::config_with(VIEWER, 1));
    w.apply();
    w.mint(ALICE, 1, h(1));
    assert_eq!(w.record(h(1)).stake(), 1);
    w.end();
}

#[test]
fun a_raised_threshold_changes_no_record() {
    let mut w = world::begin();
    w.mint(ALICE, SUI, h(1));
    w.configure(world::config_with(VIEWER, SUI + 1));
    assert_eq!(w.record(h(1)).status(), 0);
    w.refresh(h(1), h(2));
    w.restake(h(2), 1);
    assert_eq!(w.record(h(2)).stake(), SUI + 1);
    w.end();
}

// Caps.

fun sixteen_caps(): World {
    let mut w = world::begin();
    15u8.do!(|_| w.add_slash_cap(BOB));
    w
}

#[test]
fun sixteen_caps_are_possible_and_each_is_listed() {
    let mut w = sixteen_caps();
    let pool = w.take_pool();
    assert_eq!(pool.slash_caps().length(), 16);
    w.put_pool(pool);
    let cap = w.take_slash_cap(BOB);
    w.remove_slash_cap(object::id(&cap));
    world::discard(cap);
    w.add_slash_cap(BOB);
    w.end();
}

#[test, expected_failure(abort_code = staking::ETooManyCaps)]
fun a_seventeenth_cap_is_refused() {
    let mut w = sixteen_caps();
    w.add_slash_cap(BOB);
    w.end();
}

#[test, expected_failure(abort_code = staking::EUnknownCap)]
fun a_cap_that_is_not_listed_cannot_be_removed() {
    let mut w = world::begin();
    w.remove_slash_cap(object::id_from_address(@0x1));
    w.end();
}

// Names.

#[test, expected_failure(abort_code = staking::ENameReserved)]
fun a_reserved_name_cannot_be_claimed() {
    let mut w = world::begin();
    w.reserve(b"control-1");
    w.mint_node(ALICE, SUI, h(1), b"control-1");
    w.end();
}

#[test]
fun a_freed_name_can_be_claimed() {
    let mut w = world::begin();
    w.unreserve(b"localhost");
    w.mint_node(ALICE, SUI, h(1), b"localhost");
    let (owner, _) = w.claim(b"localhost");
    assert_eq!(owner, ALICE);
    w.end();
}

#[test]
fun a_reservation_leaves_a_claim_that_stands() {
    let mut w = world::begin();
    w.mint_node(ALICE, SUI, h(1), b"n");
    w.reserve(b"n");
    w.refresh(h(1), h(2));
    let (owner, hash) = w.claim(b"n");
    assert!(owner == ALICE && hash == h(2));
    w.end();
}

#[test, expected_failure(abort_code = staking::ENodeName)]
fun what_is_no_name_cannot_be_reserved() {
    let mut w = world::begin();
    w.reserve(b"a.b");
    w.end();
}

#[test, expected_failure(abort_code = staking::ENameReserved)]
fun a_name_is_reserved_once() {
    let mut w = world::begin();
    w.reserve(b"localhost");
    w.end();
}

fun sixty_four_names(): World {
    let mut w = world::begin();
    62u8.do!(|i| w.reserve(vector[97 + i / 26, 97 + i % 26]));
    let pool = w.take_pool();
    assert_eq!(pool.reserved().length(), 64);
    w.put_pool(pool);
    w
}

#[test]
fun sixty_four_names_can_be_reserved() { sixty_four_names().end() }

#[test, expected_failure(abort_code = staking::ETooManyNames)]
fun a_sixty_fifth_name_is_refused() {
    let mut w = sixty_four_names();
    w.reserve(b"one-more");
    w.end();
}

#[test, expected_failure(abort_code = staking::EUnknownName)]
fun a_name_that_is_not_reserved_cannot_be_freed() {
    let mut w = world::begin();
    w.unreserve(b"free");
    w.end();
}

// Claims.

/// Alice's node `n`, revoked.
fun revoked_node(): World {
    let mut w = world::begin();
    w.mint_node(ALICE, SUI, h(1), b"n");
    w.revoke(h(1));
    w
}

#[test]
fun a_voided_name_can_be_claimed_by_another() {
    let mut w = revoked_node();
    w.void_claim(b"n");
    assert_eq!(w.claims_told(), 1);
    let (owner, hash) = w.claim(b"n");
    assert!(owner == @0x0 && hash == h(1));
    w.mint_node(BOB, SUI, h(2), b"n");
    let (owner, hash) = w.claim(b"n");
    assert!(owner == BOB && hash == h(2));
    // The old owner's money is not lost.
    w.unstake(h(1));
    w.wait(7 * DAY_MS);
    assert_eq!(w.withdraw(h(1)), SUI);
    let (owner, _) = w.claim(b"n");
    assert_eq!(owner, BOB);
    w.end();
}

#[test]
fun a_claim_can_be_voided_while_its_seal_unbonds_and_after() {
    let mut w = world::begin();
    w.mint_node(ALICE, SUI, h(1), b"n");
    w.mint_node(ALICE, SUI, h(2), b"m");
    w.unstake(h(1));
    w.void_claim(b"n");
    w.unstake(h(2));
    w.wait(7 * DAY_MS);
    w.withdraw(h(2));
    w.void_claim(b"m");
    w.mint_node(BOB, SUI, h(3), b"m");
    w.end();
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun the_claim_of_an_active_seal_stands() {
    let mut w = world::begin();
    w.mint_node(ALICE, SUI, h(1), b"n");
    w.void_claim(b"n");
    w.end();
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun the_claim_of_an_expired_seal_stands() {
    let mut w = world::begin();
    w.mint_node(ALICE, SUI, h(1), b"n");
    w.wait(400 * DAY_MS);
    w.void_claim(b"n");
    w.end();
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun the_claim_of_a_slashed_seal_stands() {
    let mut w = world::begin();
    w.mint_node(ALICE, SUI, h(1), b"n");
    w.slash(h(1));
    w.void_claim(b"n");
    w.end();
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun the_claim_of_a_rotated_seal_stands() {
    let mut w = world::begin();
    w.mint_node(ALICE, SUI, h(1), b"n");
    w.refresh(h(1), h(2));
    w.void_claim(b"n");
    w.end();
}

#[test, expected_failure(abort_code = staking::EUnknownName)]
fun a_claim_that_is_not_there_cannot_be_voided() {
    let mut w = world::begin();
    w.void_claim(b"n");
    w.end();
}

#[test, expected_failure(abort_code = staking::EUnknownName)]
fun a_claim_is_voided_once() {
    let mut w = revoked_node();
    w.void_claim(b"n");
    w.void_claim(b"n");
    w.end();
}

// Pause.

fun paused(): World {
    let mut w = world::begin();
    w.mint(ALICE, SUI, h(1));
    w.mint(ALICE, SUI, h(2));
    w.pause(true);
    w
}

#[test, expected_failure(abort_code = staking::EPaused)]
fun pause_stops_minting() {
    let mut w = paused();
    w.mint(ALICE, SUI, h(3));
    w.end();
}

#[test, expected_failure(abort_code = staking::EPaused)]
fun pause_stops_restaking() {
    let mut w = paused();
    w.restake(h(1), 1);
    w.end();
}

#[test, expected_failure(abort_code = staking::EPaused)]
fun pause_stops_refreshing() {
    let mut w = paused();
    w.refresh(h(1), h(3));
    w.end();
}

#[test]
fun pause_never_stops_what_ends_a_seal() {
    let mut w = paused();
    w.slash(h(1));
    w.unstake(h(1));
    w.revoke(h(2));
    w.wait(7 * DAY_MS);
    assert_eq!(w.withdraw(h(1)), SUI / 10 * 9);
    w.pause(false);
    w.mint(ALICE, SUI, h(3));
    w.end();
}

// Treasury.

#[test]
fun the_treasury_pays_what_slashes_took_and_no_stake() {
    let mut w = world::begin();
    w.mint(ALICE, SUI, h(1));
    w.slash(h(1));
    w.withdraw_treasury(40_000_000, BOB);
    assert_eq!(w.take_payment(BOB), 40_000_000);
    w.withdraw_treasury(60_000_000, BOB);
    assert_eq!(w.take_payment(BOB), 60_000_000);
    let (pooled, treasury) = w.balances();
    assert!(pooled == 900_000_000 && treasury == 0);
    w.end();
}

#[test, expected_failure(abort_code = staking::ETreasury)]
fun the_treasury_does_not_pay_one_mist_more() {
    let mut w = world::begin();
    w.mint(ALICE, SUI, h(1));
    w.slash(h(1));
    w.withdraw_treasury(100_000_001, BOB);
    w.end();
}

#[test, expected_failure(abort_code = staking::EZeroAmount)]
fun the_treasury_does_not_pay_nothing() {
    let mut w = world::begin();
    w.withdraw_treasury(0, BOB);
    w.end();
}

// Genesis.

#[test]
fun the_pool_starts_empty_at_version_1() {
    let mut w = world::begin();
    let pool = w.take_pool();
    assert_eq!(pool.pool_version(), 1);
    assert_eq!(pool.pool_seq(), 0);
    assert_eq!(pool.slash_caps().length(), 1);
    assert_eq!(pool.reserved(), vector[b"localhost".to_string(), b"kubernetes".to_string()]);
    let (pooled, treasury) = pool.balances();
    assert!(pooled == 0 && treasury == 0);
    w.put_pool(pool);
    w.end();
}
