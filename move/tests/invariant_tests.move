#[test_only]
/// Random calls, and after each what must always hold.
module k3s_daas::invariant_tests;

use k3s_daas::world::{Self, World};

const OWNERS: vector<address> = vector[@0xA1, @0xB2, @0xC3];
const DAY_MS: u64 = 86_400_000;

const ACTIVE: u8 = 0;
const UNBONDING: u8 = 1;
const SLASHED: u8 = 2;
const REVOKED: u8 = 3;
const RETIRED: u8 = 4;

/// All hashes ever used, and what went in and out.
public struct Run has drop {
    random: u64,
    hashes: vector<vector<u8>>,
    paid_in: u64,
    paid_out: u64,
}

/// A number below the bound (xorshift64).
fun below(run: &mut Run, bound: u64): u64 {
    let mut x = run.random;
    x = x ^ (x << 13);
    x = x ^ (x >> 7);
    x = x ^ (x << 17);
    run.random = x;
    (x >> 11) % bound
}

fun new_hash(run: &mut Run): vector<u8> {
    let number = run.hashes.length();
    let mut hash = std::bcs::to_bytes(&number);
    while (hash.length() < 32) hash.push_back(7);
    run.hashes.push_back(hash);
    hash
}

fun letter(number: u64): u8 { ((97 + number % 26) as u8) }

/// One call, if the seal that was picked allows it.
fun act(run: &mut Run, w: &mut World) {
    let choice = run.below(10);
    if (run.hashes.is_empty() || choice == 0) {
        let owners = OWNERS;
        let owner = owners[run.below(3)];
        if (w.held(owner).length() == 16) return;
        let amount = 500_000_000 + run.below(5_000_000_000);
        let hash = run.new_hash();
        if (run.below(2) == 0) {
            w.mint(owner, amount, hash);
        } else {
            // A name of its own for each seal.
            let number = run.hashes.length();
            let name = vector[110, letter(number / 26), letter(number)];
            w.mint_node(owner, amount, hash, name);
        };
        run.paid_in = run.paid_in + amount;
        return
    };
    let known = run.hashes.length();
    let picked = run.below(known);
    let hash = run.hashes[picked];
    let record = w.record(hash);
    let status = record.status();
    let live = status == ACTIVE || status == SLASHED;
    if (choice == 1 && live) {
        let amount = 1 + run.below(1_000_000_000);
        w.restake(hash, amount);
        run.paid_in = run.paid_in + amount;
    } else if (choice == 2 && live) {
        let next = run.new_hash();
        w.refresh(hash, next);
    } else if (choice == 3 && (live || status == REVOKED)) {
        w.unstake(hash);
    } else if (choice == 4 && status == UNBONDING) {
        if (w.now() < record.unbonding_ends_at()) w.wait(7 * DAY_MS);
        run.paid_out = run.paid_out + w.withdraw(hash);
    } else if (choice >= 5 && choice < 8 && (live || status == UNBONDING)) {
        let last = record.last_slashed_at();
        if (last != 0 && w.now() < last + DAY_MS) w.wait(DAY_MS);
        w.slash(hash);
    } else if (choice == 8 && live) {
        w.revoke(hash);
    } else if (choice == 9) {
        let (_, treasury) = w.balances();
        if (treasury == 0) return;
        let amount = 1 + run.below(treasury);
        w.withdraw_treasury(amount, @0x7);
        run.paid_out = run.paid_out + amount;
    };
    w.wait(run.below(DAY_MS));
}

/// What holds after every call. That `seq` has no gap, `world` checks after each.
fun check(run: &Run, w: &mut World) {
    let pool = w.take_pool();
    let mut stakes = 0;
    let mut held = 0;
    run.hashes.do_ref!(|hash| {
        let record = pool.record(*hash);
        let status = record.status();
        stakes = stakes + record.stake();
        assert!(record.seq() <= pool.pool_seq());
        assert!((record.restore_at() > 0) == (status == SLASHED));
        assert!(status != SLASHED || record.stake() < record.restore_at());
        assert!((record.unbonding_ends_at() > 0) == (status == UNBONDING));
        assert!(status != RETIRED || record.stake() == 0);
        assert!(pool.held(record.owner()).contains(hash) == (status != RETIRED));
        if (status != RETIRED) held = held + 1;
    });
    let (pooled, treasury) = pool.balances();
    assert!(pooled == stakes);
    assert!(pooled + treasury + run.paid_out == run.paid_in);
    let lists = OWNERS.map!(|owner| pool.held(owner).length());
    assert!(lists[0] + lists[1] + lists[2] == held);
    w.put_pool(pool);
}

#[random_test]
fun balances_states_and_lists_agree_after_random_calls(seed: u64) {
    let mut w = world::begin();
    let mut run = Run { random: seed | 1, hashes: vector[], paid_in: 0, paid_out: 0 };
    120u64.do!(|_| {
        run.act(&mut w);
        run.check(&mut w);
    });
    w.end();
}
