#[test_only]
/// Minting: amounts, hashes, validity, names, and how many.
module k3s_daas::mint_tests;

use k3s_daas::staking;
use k3s_daas::world::{Self, World, h, text};
use std::unit_test::assert_eq;

const ALICE: address = @0xA11CE;
const BOB: address = @0xB0B;

const SUI: u64 = 1_000_000_000;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;

fun with_names(node: vector<u8>, namespace: vector<u8>): World {
    let mut w = world::begin();
    let node = option::some(node.to_string());
    w.mint_with(ALICE, SUI, h(1), node, option::some(namespace.to_string()), 0);
    w
}

fun with_validity(validity_ms: u64): World {
    let mut w = world::begin();
    w.mint_with(ALICE, SUI, h(1), option::none(), option::none(), validity_ms);
    w
}

#[test]
fun a_new_record_says_what_was_staked_and_until_when() {
    let mut w = with_names(b"worker-001", b"team-a");
    let record = w.record(h(1));
    assert_eq!(record.seq(), 1);
    assert_eq!(record.owner(), ALICE);
    assert_eq!(record.stake(), SUI);
    assert_eq!(record.restore_at(), 0);
    assert_eq!(record.node_id(), option::some(b"worker-001".to_string()));
    assert_eq!(record.namespace(), option::some(b"team-a".to_string()));
    assert_eq!(record.issued_at(), world::start());
    assert_eq!(record.expires_at(), world::start() + 30 * DAY_MS);
    assert_eq!(record.unbonding_ends_at(), 0);
    assert_eq!(record.status(), 0);
    assert_eq!(record.slashed_total(), 0);
    assert_eq!(record.last_slashed_at(), 0);
    assert_eq!(record.generation(), 0);
    assert_eq!(w.causes(), vector[0]);
    assert_eq!(w.claims_told(), 1);
    w.end();
}

#[test]
fun the_token_names_the_record_and_the_record_the_token() {
    let mut w = world::begin();
    w.mint(ALICE, SUI, h(1));
    let id = w.record(h(1)).seal_id();
    // Taken by the id in the record from its owner: restake works by it.
    w.restake(h(1), 1);
    assert_eq!(w.record(h(1)).seal_id(), id);
    w.end();
}

// Amounts, to the MIST.

#[test]
fun the_viewer_threshold_is_enough() {
    let mut w = world::begin();
    w.mint(ALICE, 500_000_000, h(1));
    assert_eq!(w.record(h(1)).stake(), 500_000_000);
    w.end();
}

#[test, expected_failure(abort_code = staking::EStakeTooLow)]
fun one_mist_below_the_viewer_threshold_is_not() {
    let mut w = world::begin();
    w.mint(ALICE, 499_999_999, h(1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EStakeTooLow)]
fun nothing_is_not() {
    let mut w = world::begin();
    w.mint(ALICE, 0, h(1));
    w.end();
}

#[test]
fun the_thresholds_of_the_tiers_are_what_is_published() {
    let w = world::begin();
    let pool = w.take_pool();
    let mut bytes = vector[];
    world::genesis_config().do!(|value| bytes.append(std::bcs::to_bytes(&value)));
    assert_eq!(pool.config_bytes(), bytes);
    let mut w = w;
    w.put_pool(pool);
    // The tiers' stakes and one MIST less are kept as they are: the tier is the reader's.
    let amounts = vector[
        1_999_999_999,
        2_000_000_000,
        4_999_999_999,
        5_000_000_000,
        9_999_999_999,
        10_000_000_000,
    ];
    amounts.length().do!(|i| {
        w.mint(ALICE, amounts[i], h(i as u8));
        assert_eq!(w.record(h(i as u8)).stake(), amounts[i]);
    });
    w.end();
}

// Hashes.

#[test, expected_failure(abort_code = staking::EHashLength)]
fun a_hash_of_31_bytes_is_refused() {
    let mut w = world::begin();
    w.mint(ALICE, SUI, vector::tabulate!(31, |_| 1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EHashLength)]
fun a_hash_of_33_bytes_is_refused() {
    let mut w = world::begin();
    w.mint(ALICE, SUI, vector::tabulate!(33, |_| 1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EHashSpent)]
fun another_cannot_stake_on_a_hash_in_use() {
    let mut w = world::begin();
    w.mint(ALICE, SUI, h(1));
    w.mint(BOB, SUI, h(1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EHashSpent)]
fun a_withdrawn_hash_stays_spent() {
    let mut w = world::begin();
    w.mint(ALICE, SUI, h(1));
    w.unstake(h(1));
    w.wait(7 * DAY_MS);
    w.withdraw(h(1));
    w.mint(ALICE, SUI, h(1));
    w.end();
}

#[test, expected_failure(abort_code = staking::EHashSpent)]
fun a_rotated_hash_stays_spent() {
    let mut w = world::begin();
    w.mint(ALICE, SUI, h(1));
    w.refresh(h(1), h(2));
    w.mint(BOB, SUI, h(1));
    w.end();
}

// Validity, to the millisecond.

#[test]
fun the_least_validity_is_an_hour() {
    let mut w = with_validity(HOUR_MS);
    assert_eq!(w.record(h(1)).expires_at(), world::start() + HOUR_MS);
    w.end();
}

#[test, expected_failure(abort_code = staking::EValidity)]
fun one_ms_less_than_the_least_is_refused() { with_validity(HOUR_MS - 1).end() }

#[test]
fun the_most_validity_is_366_days() {
    let mut w = with_validity(366 * DAY_MS);
    assert_eq!(w.record(h(1)).expires_at(), world::start() + 366 * DAY_MS);
    w.end();
}

#[test, expected_failure(abort_code = staking::EValidity)]
fun one_ms_more_than_the_most_is_refused() { with_validity(366 * DAY_MS + 1).end() }

#[test, expected_failure(abort_code = staking::EValidity)]
fun a_validity_that_would_overflow_is_refused() { with_validity(18_446_744_073_709_551_615).end() }

// Names.

#[test]
fun names_at_both_ends_of_the_form_are_taken() {
    let names = vector[b"a", b"0", b"a-b", b"a--b", *text(63).as_bytes()];
    let mut w = world::begin();
    names.length().do!(|i| {
        let name = option::some(names[i].to_string());
        w.mint_with(ALICE, SUI, h(i as u8), name, name, 0);
        assert_eq!(w.record(h(i as u8)).node_id(), name);
    });
    w.end();
}

#[test, expected_failure(abort_code = staking::ENodeName)]
fun an_empty_node_name_is_refused() { with_names(b"", b"a").end() }

#[test, expected_failure(abort_code = staking::ENodeName)]
fun a_node_name_of_64_bytes_is_refused() { with_names(*text(64).as_bytes(), b"a").end() }

#[test, expected_failure(abort_code = staking::ENodeName)]
fun a_node_name_with_a_leading_hyphen_is_refused() { with_names(b"-a", b"a").end() }

#[test, expected_failure(abort_code = staking::ENodeName)]
fun a_node_name_with_a_trailing_hyphen_is_refused() { with_names(b"a-", b"a").end() }

#[test, expected_failure(abort_code = staking::ENodeName)]
fun a_node_name_in_upper_case_is_refused() { with_names(b"aB", b"a").end() }

#[test, expected_failure(abort_code = staking::ENodeName)]
fun a_node_name_with_a_dot_is_refused() { with_names(b"a.b", b"a").end() }

#[test, expected_failure(abort_code = staking::ENodeName)]
fun a_node_name_with_a_colon_is_refused() { with_names(b"a:b", b"a").end() }

#[test, expected_failure(abort_code = staking::ENodeName)]
fun a_node_name_beside_the_letters_is_refused() { with_names(b"a{", b"a").end() }

#[test, expected_failure(abort_code = staking::ENodeName)]
fun a_node_name_beyond_ascii_is_refused() { with_names(x"c3a9", b"a").end() }

#[test, expected_failure(abort_code = staking::ENamespace)]
fun a_namespace_of_another_form_is_refused() { with_names(b"a", b"Team").end() }

#[test, expected_failure(abort_code = staking::ENamespace)]
fun an_empty_namespace_is_refused() { with_names(b"a", b"").end() }

#[test, expected_failure(abort_code = staking::ENameReserved)]
fun localhost_is_reserved_from_the_start() { with_names(b"localhost", b"a").end() }

#[test, expected_failure(abort_code = staking::ENameReserved)]
fun kubernetes_is_reserved_from_the_start() { with_names(b"kubernetes", b"a").end() }

#[test]
fun a_withdrawn_node_goes_on_with_its_owners_next_seal() {
    let mut w = world::begin();
    w.mint_node(ALICE, SUI, h(1), b"n");
    w.unstake(h(1));
    w.wait(7 * DAY_MS);
    w.withdraw(h(1));
    let (owner, hash) = w.claim(b"n");
    assert!(owner == ALICE && hash == h(1));
    w.mint_node(ALICE, SUI, h(2), b"n");
    let (owner, hash) = w.claim(b"n");
    assert!(owner == ALICE && hash == h(2));
    w.end();
}

#[test, expected_failure(abort_code = staking::ENodeTaken)]
fun the_owner_cannot_mint_a_second_seal_for_a_node() {
    let mut w = world::begin();
    w.mint_node(ALICE, SUI, h(1), b"n");
    w.mint_node(ALICE, SUI, h(2), b"n");
    w.end();
}

#[test, expected_failure(abort_code = staking::ENodeTaken)]
fun nobody_can_mint_for_a_node_whose_seal_unbonds() {
    let mut w = world::begin();
    w.mint_node(ALICE, SUI, h(1), b"n");
    w.unstake(h(1));
    w.mint_node(BOB, SUI, h(2), b"n");
    w.end();
}

#[test, expected_failure(abort_code = staking::ENodeTaken)]
fun nobody_can_mint_for_a_node_whose_seal_expired() {
    let mut w = world::begin();
    w.mint_node(ALICE, SUI, h(1), b"n");
    w.wait(400 * DAY_MS);
    w.mint_node(ALICE, SUI, h(2), b"n");
    w.end();
}

#[test, expected_failure(abort_code = staking::ENodeTaken)]
fun nobody_can_mint_for_a_node_whose_seal_was_rotated() {
    let mut w = world::begin();
    w.mint_node(ALICE, SUI, h(1), b"n");
    w.refresh(h(1), h(2));
    w.mint_node(ALICE, SUI, h(3), b"n");
    w.end();
}

#[test, expected_failure(abort_code = staking::ENodeOwner)]
fun a_withdrawn_node_is_never_anothers() {
    let mut w = world::begin();
    w.mint_node(ALICE, SUI, h(1), b"n");
    w.unstake(h(1));
    w.wait(7 * DAY_MS);
    w.withdraw(h(1));
    w.wait(4000 * DAY_MS);
    w.mint_node(BOB, SUI, h(2), b"n");
    w.end();
}

// How many.

#[test]
fun two_seals_of_one_owner_do_not_touch_each_other() {
    let mut w = world::begin();
    w.mint(ALICE, SUI, h(1));
    w.mint(ALICE, 2 * SUI, h(2));
    let second = w.record(h(2));
    w.slash(h(1));
    w.refresh(h(1), h(3));
    assert!(w.record(h(2)) == second);
    assert_eq!(w.held(ALICE), vector[h(3), h(2)]);
    w.unstake(h(3));
    w.wait(7 * DAY_MS);
    assert_eq!(w.withdraw(h(3)), SUI / 10 * 9);
    assert!(w.record(h(2)) == second);
    assert_eq!(w.held(ALICE), vector[h(2)]);
    assert_eq!(w.held(BOB), vector[]);
    w.end();
}

fun sixteen(): World {
    let mut w = world::begin();
    (16u8).do!(|i| w.mint(ALICE, SUI, h(i)));
    assert_eq!(w.held(ALICE).length(), 16);
    w
}

#[test]
fun a_withdrawal_makes_room_for_one_more() {
    let mut w = sixteen();
    w.mint(BOB, SUI, h(100));
    w.unstake(h(3));
    w.wait(7 * DAY_MS);
    w.withdraw(h(3));
    w.mint(ALICE, SUI, h(101));
    assert_eq!(w.held(ALICE).length(), 16);
    w.end();
}

#[test, expected_failure(abort_code = staking::ETooManySeals)]
fun a_seventeenth_seal_is_refused() {
    let mut w = sixteen();
    w.mint(ALICE, SUI, h(16));
    w.end();
}

#[test, expected_failure(abort_code = staking::ETooManySeals)]
fun an_unbonding_seal_still_counts() {
    let mut w = sixteen();
    w.unstake(h(1));
    w.mint(ALICE, SUI, h(16));
    w.end();
}

#[test]
fun a_rotation_does_not_count_as_one_more() {
    let mut w = sixteen();
    w.refresh(h(1), h(16));
    assert_eq!(w.held(ALICE).length(), 16);
    assert_eq!(w.held(ALICE)[1], h(16));
    w.end();
}
