#[test_only]
/// A pool, a clock and people, for tests. Every call goes through here: each is a transaction
/// of its own, and after each the numbers of its events are checked against the pool's.
module k3s_daas::world;

use k3s_daas::staking::{
    Self,
    AdminCap,
    ConfigChanged,
    NodeClaimed,
    Pool,
    SealChanged,
    SealRecord,
    SealToken,
    SlashCap
};
use std::string::String;
use std::unit_test;
use sui::clock::{Self, Clock};
use sui::coin::{Self, Coin};
use sui::event;
use sui::sui::SUI;
use sui::test_scenario::{Self, Scenario};

/// Holds the `AdminCap` and the first `SlashCap`.
const PUBLISHER: address = @0xAD;

/// Makes every slash and unbonding possible without waiting, where a test does not care.
const START_MS: u64 = 1_700_000_000_000;

const RETIRED: u8 = 4;

public struct World {
    scenario: Scenario,
    clock: Clock,
    /// The events of the last call.
    changes: vector<SealChanged>,
    claims: u64,
}

public fun publisher(): address { PUBLISHER }

public fun start(): u64 { START_MS }

/// 32 times the same byte.
public fun h(byte: u8): vector<u8> { vector::tabulate!(32, |_| byte) }

public fun text(length: u64): String { vector::tabulate!(length, |_| 97u8).to_string() }

public fun begin(): World {
    let mut scenario = test_scenario::begin(PUBLISHER);
    staking::init_for_testing(scenario.ctx());
    scenario.next_tx(PUBLISHER);
    let mut clock = clock::create_for_testing(scenario.ctx());
    clock.set_for_testing(START_MS);
    World { scenario, clock, changes: vector[], claims: 0 }
}

public fun end(w: World) {
    let World { scenario, clock, .. } = w;
    clock.destroy_for_testing();
    scenario.end();
}

public fun wait(w: &mut World, ms: u64) { w.clock.increment_for_testing(ms) }

public fun now(w: &World): u64 { w.clock.timestamp_ms() }

// === Transactions ===

fun open(w: &mut World, sender: address): (Pool, u64) {
    w.scenario.next_tx(sender);
    let pool = w.scenario.take_shared<Pool>();
    let seq = pool.pool_seq();
    (pool, seq)
}

/// Checks that the events of this transaction are numbered without a gap, and ends it.
fun close(w: &mut World, pool: Pool, seq_before: u64) {
    w.changes = event::events_by_type<SealChanged>();
    let claims = event::events_by_type<NodeClaimed>();
    let configs = event::events_by_type<ConfigChanged>();
    w.claims = claims.length();
    let mut seqs = vector[];
    w.changes.do_ref!(|change| {
        let (seq, _, _, hash, record) = change.seal_changed_parts();
        assert!(record.seq() == seq);
        assert!(pool.record(hash) == record);
        seqs.push_back(seq);
    });
    claims.do_ref!(|claim| seqs.push_back(claim.node_claimed_seq()));
    configs.do_ref!(|config| seqs.push_back(config.config_changed_seq()));
    assert!(pool.pool_seq() == seq_before + seqs.length());
    seqs.length().do!(|i| assert!(seqs.contains(&(seq_before + 1 + i))));
    test_scenario::return_shared(pool);
    w.scenario.next_tx(PUBLISHER);
}

/// The causes of the last call's `SealChanged`.
public fun causes(w: &World): vector<u8> {
    w.changes.map_ref!(|change| {
        let (_, cause, _, _, _) = change.seal_changed_parts();
        cause
    })
}

public fun last_reason(w: &World): String {
    let (_, _, reason, _, _) = w.changes[0].seal_changed_parts();
    reason
}

/// How many claims the last call told.
public fun claims_told(w: &World): u64 { w.claims }

public fun coin(w: &mut World, amount: u64): Coin<SUI> {
    coin::mint_for_testing(amount, w.scenario.ctx())
}

// === For owners ===

public fun mint(w: &mut World, owner: address, amount: u64, hash: vector<u8>) {
    w.mint_with(owner, amount, hash, option::none(), option::none(), 0)
}

public fun mint_node(
    w: &mut World,
    owner: address,
    amount: u64,
    hash: vector<u8>,
    name: vector<u8>,
) {
    w.mint_with(owner, amount, hash, option::some(name.to_string()), option::none(), 0)
}

public fun mint_with(
    w: &mut World,
    owner: address,
    amount: u64,
    hash: vector<u8>,
    node_id: Option<String>,
    namespace: Option<String>,
    validity_ms: u64,
) {
    let (mut pool, seq) = w.open(owner);
    let coin = w.coin(amount);
    let (clock, ctx) = (&w.clock, w.scenario.ctx());
    pool.stake_and_mint_seal(coin, hash, node_id, namespace, validity_ms, clock, ctx);
    w.close(pool, seq);
}

/// The owner's token of a hash; for a retired row, or without an owner, a forged one.
fun take_token(w: &mut World, pool: &Pool, hash: vector<u8>): SealToken {
    let record = pool.record(hash);
    if (record.status() == RETIRED) {
        return staking::token_for_testing(object::id(pool), hash, w.scenario.ctx())
    };
    w.scenario.take_from_address_by_id<SealToken>(record.owner(), record.seal_id())
}

public fun restake(w: &mut World, hash: vector<u8>, amount: u64) {
    let owner = w.record(hash).owner();
    let (mut pool, seq) = w.open(owner);
    let token = w.take_token(&pool, hash);
    let coin = w.coin(amount);
    pool.restake(&token, coin, &w.clock, w.scenario.ctx());
    test_scenario::return_to_address(owner, token);
    w.close(pool, seq);
}

public fun refresh(w: &mut World, hash: vector<u8>, new_hash: vector<u8>) {
    w.refresh_for(hash, new_hash, 0)
}

public fun refresh_for(
    w: &mut World,
    hash: vector<u8>,
    new_hash: vector<u8>,
    validity_ms: u64,
) {
    let owner = w.record(hash).owner();
    let (mut pool, seq) = w.open(owner);
    let mut token = w.take_token(&pool, hash);
    pool.refresh_seal_token(&mut token, new_hash, validity_ms, &w.clock, w.scenario.ctx());
    assert!(token.token_hash() == new_hash);
    test_scenario::return_to_address(owner, token);
    w.close(pool, seq);
}

public fun unstake(w: &mut World, hash: vector<u8>) {
    let owner = w.record(hash).owner();
    let (mut pool, seq) = w.open(owner);
    let token = w.take_token(&pool, hash);
    pool.request_unstake(&token, &w.clock, w.scenario.ctx());
    test_scenario::return_to_address(owner, token);
    w.close(pool, seq);
}

/// Returns what was paid.
public fun withdraw(w: &mut World, hash: vector<u8>): u64 {
    let owner = w.record(hash).owner();
    let (mut pool, seq) = w.open(owner);
    let token = w.take_token(&pool, hash);
    let id = object::id(&token);
    pool.withdraw(token, &w.clock, w.scenario.ctx());
    w.close(pool, seq);
    assert!(!test_scenario::ids_for_address<SealToken>(owner).contains(&id));
    w.take_payment(owner)
}

/// Takes the newest coin of an address.
public fun take_payment(w: &mut World, owner: address): u64 {
    let paid = w.scenario.take_from_address<Coin<SUI>>(owner);
    paid.burn_for_testing()
}

public fun with_foreign_token(w: &mut World, hash: vector<u8>): (Pool, SealToken) {
    let (pool, _) = w.open(@0xF);
    let elsewhere = object::id_from_address(@0xE15E);
    (pool, staking::token_for_testing(elsewhere, hash, w.scenario.ctx()))
}

/// Calls with this world's clock and context.
public macro fun act($w: &mut World, $f: |&Clock, &mut TxContext|) {
    let w = $w;
    let (clock, ctx) = w.clock_and_ctx();
    $f(clock, ctx)
}

public fun clock_and_ctx(w: &mut World): (&Clock, &mut TxContext) {
    (&w.clock, w.scenario.ctx())
}

// === For the holders of caps ===

public fun slash(w: &mut World, hash: vector<u8>) { w.slash_for(hash, b"".to_string()) }

public fun slash_for(w: &mut World, hash: vector<u8>, reason: String) {
    let (mut pool, seq) = w.open(PUBLISHER);
    let cap = w.scenario.take_from_sender<SlashCap>();
    pool.slash(&cap, hash, reason, &w.clock, w.scenario.ctx());
    w.scenario.return_to_sender(cap);
    w.close(pool, seq);
}

public fun revoke(w: &mut World, hash: vector<u8>) { w.revoke_for(hash, b"".to_string()) }

public fun revoke_for(w: &mut World, hash: vector<u8>, reason: String) {
    let (mut pool, seq) = w.open(PUBLISHER);
    let cap = w.scenario.take_from_sender<SlashCap>();
    pool.revoke(&cap, hash, reason, &w.clock, w.scenario.ctx());
    w.scenario.return_to_sender(cap);
    w.close(pool, seq);
}

/// A slash with a cap that the caller holds.
public fun slash_with(w: &mut World, cap: &SlashCap, hash: vector<u8>) {
    let (mut pool, seq) = w.open(@0xF);
    pool.slash(cap, hash, b"".to_string(), &w.clock, w.scenario.ctx());
    w.close(pool, seq);
}

public fun revoke_with(w: &mut World, cap: &SlashCap, hash: vector<u8>) {
    let (mut pool, seq) = w.open(@0xF);
    pool.revoke(cap, hash, b"".to_string(), &w.clock, w.scenario.ctx());
    w.close(pool, seq);
}

public fun forged_slash_cap(w: &mut World): SlashCap {
    staking::slash_cap_for_testing(w.scenario.ctx())
}

/// The config of the genesis, to change a field of.
public fun genesis_config(): vector<u64> {
    vector[
        500_000_000,
        2_000_000_000,
        5_000_000_000,
        10_000_000_000,
        10,
        86_400_000,
        172_800_000,
        604_800_000,
        3_600_000,
        31_622_400_000,
        2_592_000_000,
    ]
}

/// The genesis config with one field changed.
public fun config_with(field: u64, value: u64): vector<u64> {
    let mut config = genesis_config();
    *&mut config[field] = value;
    config
}

public fun announce(w: &mut World, c: vector<u64>) {
    let (mut pool, seq) = w.open(PUBLISHER);
    let cap = w.scenario.take_from_sender<AdminCap>();
    let (clock, ctx) = (&w.clock, w.scenario.ctx());
    pool.announce_config(
        &cap,
        c[0],
        c[1],
        c[2],
        c[3],
        c[4],
        c[5],
        c[6],
        c[7],
        c[8],
        c[9],
        c[10],
        clock,
        ctx,
    );
    w.scenario.return_to_sender(cap);
    w.close(pool, seq);
}

public fun apply(w: &mut World) {
    let (mut pool, seq) = w.open(PUBLISHER);
    let cap = w.scenario.take_from_sender<AdminCap>();
    pool.apply_config(&cap, &w.clock, w.scenario.ctx());
    w.scenario.return_to_sender(cap);
    w.close(pool, seq);
}

/// Announces and waits for it.
public fun configure(w: &mut World, config: vector<u64>) {
    w.announce(config);
    w.wait(172_800_000);
    w.apply();
}

public fun add_slash_cap(w: &mut World, holder: address) {
    let (mut pool, seq) = w.open(PUBLISHER);
    let cap = w.scenario.take_from_sender<AdminCap>();
    pool.add_slash_cap(&cap, holder, w.scenario.ctx());
    w.scenario.return_to_sender(cap);
    w.close(pool, seq);
}

public fun take_slash_cap(w: &World, holder: address): SlashCap {
    w.scenario.take_from_address<SlashCap>(holder)
}

public fun remove_slash_cap(w: &mut World, id: ID) {
    let (mut pool, seq) = w.open(PUBLISHER);
    let cap = w.scenario.take_from_sender<AdminCap>();
    pool.remove_slash_cap(&cap, id, w.scenario.ctx());
    w.scenario.return_to_sender(cap);
    w.close(pool, seq);
}

public fun reserve(w: &mut World, name: vector<u8>) {
    let (mut pool, seq) = w.open(PUBLISHER);
    let cap = w.scenario.take_from_sender<AdminCap>();
    pool.reserve_name(&cap, name.to_string(), w.scenario.ctx());
    w.scenario.return_to_sender(cap);
    w.close(pool, seq);
}

public fun unreserve(w: &mut World, name: vector<u8>) {
    let (mut pool, seq) = w.open(PUBLISHER);
    let cap = w.scenario.take_from_sender<AdminCap>();
    pool.unreserve_name(&cap, name.to_string(), w.scenario.ctx());
    w.scenario.return_to_sender(cap);
    w.close(pool, seq);
}

public fun void_claim(w: &mut World, name: vector<u8>) {
    let (mut pool, seq) = w.open(PUBLISHER);
    let cap = w.scenario.take_from_sender<AdminCap>();
    pool.void_claim(&cap, name.to_string(), w.scenario.ctx());
    w.scenario.return_to_sender(cap);
    w.close(pool, seq);
}

public fun pause(w: &mut World, paused: bool) {
    let (mut pool, seq) = w.open(PUBLISHER);
    let cap = w.scenario.take_from_sender<AdminCap>();
    pool.set_paused(&cap, paused, w.scenario.ctx());
    w.scenario.return_to_sender(cap);
    w.close(pool, seq);
}

public fun withdraw_treasury(w: &mut World, amount: u64, recipient: address) {
    let (mut pool, seq) = w.open(PUBLISHER);
    let cap = w.scenario.take_from_sender<AdminCap>();
    pool.withdraw_treasury(&cap, amount, recipient, w.scenario.ctx());
    w.scenario.return_to_sender(cap);
    w.close(pool, seq);
}

public fun migrate(w: &mut World) {
    let (mut pool, seq) = w.open(PUBLISHER);
    let cap = w.scenario.take_from_sender<AdminCap>();
    pool.migrate(&cap, w.scenario.ctx());
    w.scenario.return_to_sender(cap);
    w.close(pool, seq);
}

public fun set_version(w: &mut World, version: u64) {
    let (mut pool, seq) = w.open(PUBLISHER);
    pool.set_version_for_testing(version);
    w.close(pool, seq);
}

// === What the pool knows ===

public macro fun look<$R>($w: &mut World, $f: |&Pool| -> $R): $R {
    let w = $w;
    let pool = w.take_pool();
    let result = $f(&pool);
    w.put_pool(pool);
    result
}

public fun take_pool(w: &World): Pool { w.scenario.take_shared<Pool>() }

public fun put_pool(w: &mut World, pool: Pool) {
    test_scenario::return_shared(pool);
    w.scenario.next_tx(PUBLISHER);
}

public fun record(w: &mut World, hash: vector<u8>): SealRecord {
    w.look!(|pool| pool.record(hash))
}

public fun held(w: &mut World, owner: address): vector<vector<u8>> {
    w.look!(|pool| pool.held(owner))
}

public fun claim(w: &mut World, name: vector<u8>): (address, vector<u8>) {
    let pool = w.take_pool();
    let (owner, hash) = pool.claim(name.to_string());
    w.put_pool(pool);
    (owner, hash)
}

/// (pooled, treasury)
public fun balances(w: &mut World): (u64, u64) {
    let pool = w.take_pool();
    let (pooled, treasury) = pool.balances();
    w.put_pool(pool);
    (pooled, treasury)
}

/// Takes apart what a test made up.
public fun discard<T>(value: T) { unit_test::destroy(value) }
