#[test_only]
/// An old package stays callable: every call checks the pool's version before all else.
module k3s_daas::version_tests;

use k3s_daas::staking;
use k3s_daas::world::{Self, World, h};
use std::unit_test::assert_eq;

const ALICE: address = @0xA11CE;
const SUI: u64 = 1_000_000_000;

/// A pool that a later package has migrated.
fun migrated(): World {
    let mut w = world::begin();
    w.mint(ALICE, SUI, h(1));
    w.set_version(2);
    w
}

#[test]
fun migrate_brings_an_older_pool_to_this_version() {
    let mut w = world::begin();
    w.set_version(0);
    w.migrate();
    let pool = w.take_pool();
    assert_eq!(pool.pool_version(), 1);
    w.put_pool(pool);
    w.mint(ALICE, SUI, h(1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EVersion)]
fun migrate_refuses_a_pool_of_this_version() {
    let mut w = world::begin();
    w.migrate();
    w.end();
}

#[test, expected_failure(abort_code = staking::EVersion)]
fun migrate_refuses_a_newer_pool() {
    let mut w = migrated();
    w.migrate();
    w.end();
}

#[test, expected_failure(abort_code = staking::EVersion)]
fun a_pool_that_waits_for_its_migration_is_refused() {
    let mut w = world::begin();
    w.set_version(0);
    w.mint(ALICE, SUI, h(1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EVersion)]
fun mint_refuses_another_version() {
    let mut w = migrated();
    w.mint(ALICE, SUI, h(2));
    w.end();
}

#[test, expected_failure(abort_code = staking::EVersion)]
fun restake_refuses_another_version() {
    let mut w = migrated();
    w.restake(h(1), 1);
    w.end();
}

#[test, expected_failure(abort_code = staking::EVersion)]
fun refresh_refuses_another_version() {
    let mut w = migrated();
    w.refresh(h(1), h(2));
    w.end();
}

#[test, expected_failure(abort_code = staking::EVersion)]
fun unstake_refuses_another_version() {
    let mut w = migrated();
    w.unstake(h(1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EVersion)]
fun withdraw_refuses_another_version() {
    let mut w = migrated();
    w.withdraw(h(1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EVersion)]
fun slash_refuses_another_version() {
    let mut w = migrated();
    w.slash(h(1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EVersion)]
fun revoke_refuses_another_version() {
    let mut w = migrated();
    w.revoke(h(1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EVersion)]
fun announce_config_refuses_another_version() {
    let mut w = migrated();
    w.announce(world::genesis_config());
    w.end();
}

#[test, expected_failure(abort_code = staking::EVersion)]
fun apply_config_refuses_another_version() {
    let mut w = migrated();
    w.apply();
    w.end();
}

#[test, expected_failure(abort_code = staking::EVersion)]
fun add_slash_cap_refuses_another_version() {
    let mut w = migrated();
    w.add_slash_cap(ALICE);
    w.end();
}

#[test, expected_failure(abort_code = staking::EVersion)]
fun remove_slash_cap_refuses_another_version() {
    let mut w = migrated();
    w.remove_slash_cap(object::id_from_address(@0x1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EVersion)]
fun reserve_name_refuses_another_version() {
    let mut w = migrated();
    w.reserve(b"n");
    w.end();
}

#[test, expected_failure(abort_code = staking::EVersion)]
fun unreserve_name_refuses_another_version() {
    let mut w = migrated();
    w.unreserve(b"localhost");
    w.end();
}

#[test, expected_failure(abort_code = staking::EVersion)]
fun void_claim_refuses_another_version() {
    let mut w = migrated();
    w.void_claim(b"n");
    w.end();
}

#[test, expected_failure(abort_code = staking::EVersion)]
fun set_paused_refuses_another_version() {
    let mut w = migrated();
    w.pause(true);
    w.end();
}

#[test, expected_failure(abort_code = staking::EVersion)]
fun withdraw_treasury_refuses_another_version() {
    let mut w = migrated();
    w.withdraw_treasury(1, ALICE);
    w.end();
}
