#[test_only]
/// Every cell of the state table: which call is possible from which status, and where it leads.
module k3s_daas::state_tests;

use k3s_daas::staking;
use k3s_daas::world::{Self, World, h};

const ALICE: address = @0xA11CE;

const ACTIVE: u8 = 0;
const UNBONDING: u8 = 1;
const SLASHED: u8 = 2;
const REVOKED: u8 = 3;
const RETIRED: u8 = 4;

const STAKE: u64 = 2_000_000_000;
const DAY_MS: u64 = 86_400_000;

/// A world in which Alice's seal `h(1)` has this status.
fun with_seal(status: u8): World {
    let mut w = world::begin();
    w.mint(ALICE, STAKE, h(1));
    if (status == UNBONDING) w.unstake(h(1));
    if (status == SLASHED) {
        w.slash(h(1));
        w.wait(DAY_MS);
    };
    if (status == REVOKED) w.revoke(h(1));
    if (status == RETIRED) {
        w.unstake(h(1));
        w.wait(7 * DAY_MS);
        w.withdraw(h(1));
    };
    assert!(w.record(h(1)).status() == status);
    w
}

fun ends(mut w: World, status: u8, cause: u8) {
    assert!(w.record(h(1)).status() == status);
    assert!(w.causes() == vector[cause]);
    w.end();
}

// restake

#[test]
fun restake_keeps_an_active_seal_active() {
    let mut w = with_seal(ACTIVE);
    w.restake(h(1), 1);
    ends(w, ACTIVE, 1);
}

#[test]
fun restake_below_the_mark_keeps_a_slashed_seal_slashed() {
    let mut w = with_seal(SLASHED);
    w.restake(h(1), STAKE / 10 - 1);
    assert!(w.record(h(1)).restore_at() == STAKE);
    ends(w, SLASHED, 1);
}

#[test]
fun restake_to_the_mark_makes_a_slashed_seal_active() {
    let mut w = with_seal(SLASHED);
    w.restake(h(1), STAKE / 10);
    assert!(w.record(h(1)).restore_at() == 0);
    assert!(w.record(h(1)).stake() == STAKE);
    ends(w, ACTIVE, 1);
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun restake_refuses_an_unbonding_seal() {
    let mut w = with_seal(UNBONDING);
    w.restake(h(1), 1);
    w.end();
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun restake_refuses_a_revoked_seal() {
    let mut w = with_seal(REVOKED);
    w.restake(h(1), 1);
    w.end();
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun restake_refuses_a_retired_seal() {
    let mut w = with_seal(RETIRED);
    w.restake(h(1), 1);
    w.end();
}

// refresh_seal_token

#[test]
fun refresh_moves_an_active_seal_and_retires_the_old_row() {
    let mut w = with_seal(ACTIVE);
    w.refresh(h(1), h(2));
    assert!(w.record(h(1)).status() == RETIRED);
    assert!(w.record(h(2)).status() == ACTIVE);
    assert!(w.causes() == vector[2, 3]);
    w.end();
}

#[test]
fun refresh_moves_a_slashed_seal_as_slashed() {
    let mut w = with_seal(SLASHED);
    w.refresh(h(1), h(2));
    assert!(w.record(h(1)).status() == RETIRED);
    assert!(w.record(h(2)).status() == SLASHED);
    assert!(w.record(h(2)).restore_at() == STAKE);
    assert!(w.causes() == vector[2, 3]);
    w.end();
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun refresh_refuses_an_unbonding_seal() {
    let mut w = with_seal(UNBONDING);
    w.refresh(h(1), h(2));
    w.end();
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun refresh_refuses_a_revoked_seal() {
    let mut w = with_seal(REVOKED);
    w.refresh(h(1), h(2));
    w.end();
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun refresh_refuses_a_retired_seal() {
    let mut w = with_seal(RETIRED);
    w.refresh(h(1), h(2));
    w.end();
}

// request_unstake

#[test]
fun unstake_unbonds_an_active_seal() {
    let mut w = with_seal(ACTIVE);
    w.unstake(h(1));
    ends(w, UNBONDING, 4);
}

#[test]
fun unstake_unbonds_an_expired_seal() {
    let mut w = with_seal(ACTIVE);
    w.wait(31 * DAY_MS);
    w.unstake(h(1));
    ends(w, UNBONDING, 4);
}

#[test]
fun unstake_unbonds_a_slashed_seal_and_forgets_the_mark() {
    let mut w = with_seal(SLASHED);
    w.unstake(h(1));
    assert!(w.record(h(1)).restore_at() == 0);
    ends(w, UNBONDING, 4);
}

#[test]
fun unstake_unbonds_a_revoked_seal() {
    let mut w = with_seal(REVOKED);
    w.unstake(h(1));
    ends(w, UNBONDING, 4);
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun unstake_refuses_an_unbonding_seal() {
    let mut w = with_seal(UNBONDING);
    w.unstake(h(1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun unstake_refuses_a_retired_seal() {
    let mut w = with_seal(RETIRED);
    w.unstake(h(1));
    w.end();
}

// withdraw

#[test]
fun withdraw_retires_an_unbonding_seal() {
    let mut w = with_seal(UNBONDING);
    w.wait(7 * DAY_MS);
    assert!(w.withdraw(h(1)) == STAKE);
    ends(w, RETIRED, 5);
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun withdraw_refuses_an_active_seal() {
    let mut w = with_seal(ACTIVE);
    w.withdraw(h(1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun withdraw_refuses_a_slashed_seal() {
    let mut w = with_seal(SLASHED);
    w.withdraw(h(1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun withdraw_refuses_a_revoked_seal() {
    let mut w = with_seal(REVOKED);
    w.withdraw(h(1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun withdraw_refuses_a_second_time() {
    let mut w = with_seal(RETIRED);
    w.withdraw(h(1));
    w.end();
}

// slash

#[test]
fun slash_makes_an_active_seal_slashed() {
    let mut w = with_seal(ACTIVE);
    w.slash(h(1));
    assert!(w.record(h(1)).restore_at() == STAKE);
    ends(w, SLASHED, 6);
}

#[test]
fun slash_keeps_a_slashed_seal_slashed_and_its_mark() {
    let mut w = with_seal(SLASHED);
    w.slash(h(1));
    assert!(w.record(h(1)).restore_at() == STAKE);
    assert!(w.record(h(1)).stake() == 1_620_000_000);
    ends(w, SLASHED, 6);
}

#[test]
fun slash_keeps_an_unbonding_seal_unbonding() {
    let mut w = with_seal(UNBONDING);
    let ends_at = w.record(h(1)).unbonding_ends_at();
    w.slash(h(1));
    assert!(w.record(h(1)).restore_at() == 0);
    assert!(w.record(h(1)).unbonding_ends_at() == ends_at);
    w.wait(7 * DAY_MS);
    assert!(w.withdraw(h(1)) == STAKE / 10 * 9);
    w.end();
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun slash_refuses_a_revoked_seal() {
    let mut w = with_seal(REVOKED);
    w.slash(h(1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun slash_refuses_a_retired_seal() {
    let mut w = with_seal(RETIRED);
    w.slash(h(1));
    w.end();
}

// revoke

#[test]
fun revoke_takes_an_active_seal_and_no_money() {
    let mut w = with_seal(ACTIVE);
    w.revoke(h(1));
    assert!(w.record(h(1)).stake() == STAKE);
    ends(w, REVOKED, 7);
}

#[test]
fun revoke_takes_a_slashed_seal_and_forgets_the_mark() {
    let mut w = with_seal(SLASHED);
    w.revoke(h(1));
    assert!(w.record(h(1)).restore_at() == 0);
    ends(w, REVOKED, 7);
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun revoke_refuses_an_unbonding_seal() {
    let mut w = with_seal(UNBONDING);
    w.revoke(h(1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun revoke_refuses_a_revoked_seal() {
    let mut w = with_seal(REVOKED);
    w.revoke(h(1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EStatus)]
fun revoke_refuses_a_retired_seal() {
    let mut w = with_seal(RETIRED);
    w.revoke(h(1));
    w.end();
}
