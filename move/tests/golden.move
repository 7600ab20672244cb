#[test_only]
/// Plays the golden file's scenarios: transactions with given digests, compared byte for byte.
module k3s_daas::golden;

use k3s_daas::staking::{Self, ConfigChanged, NodeClaimed, Pool, SealChanged};
use std::bcs;
use sui::address;
use sui::clock::{Self, Clock};
use sui::coin::{Self, Coin};
use sui::event;
use sui::sui::SUI;
use sui::test_scenario::{Self, Scenario, TransactionEffects};

/// What the last transaction made of the world.
public struct Golden {
    scenario: Scenario,
    events: vector<vector<u8>>,
    effects: TransactionEffects,
}

public fun context(sender: address, digest: vector<u8>, first_id: u64): TxContext {
    tx_context::new(sender, digest, 0, 0, first_id)
}

/// Publishes the package.
public fun begin(sender: address, digest: vector<u8>, first_id: u64): Golden {
    let mut scenario = test_scenario::begin(sender);
    let mut ctx = context(sender, digest, first_id);
    staking::init_for_testing(&mut ctx);
    let effects = scenario.next_tx(sender);
    Golden { scenario, events: vector[], effects }
}

public fun end(g: Golden) {
    let Golden { scenario, .. } = g;
    scenario.end();
}

public fun open(g: &mut Golden, sender: address, now: u64): (Pool, Clock) {
    g.scenario.next_tx(sender);
    let mut clock = clock::create_for_testing(g.scenario.ctx());
    clock.set_for_testing(now);
    (g.scenario.take_shared<Pool>(), clock)
}

public fun coin(g: &mut Golden, amount: u64): Coin<SUI> {
    coin::mint_for_testing(amount, g.scenario.ctx())
}

public fun take<T: key>(g: &Golden, owner: address, id: ID): T {
    g.scenario.take_from_address_by_id(owner, id)
}

public fun put<T: key>(owner: address, object: T) {
    test_scenario::return_to_address(owner, object)
}

public fun close(g: &mut Golden, pool: Pool, clock: Clock) {
    let mut events = vector[];
    add_events<SealChanged>(&mut events, 0);
    add_events<NodeClaimed>(&mut events, 1);
    add_events<ConfigChanged>(&mut events, 2);
    assert!(events.length() == event::num_events() as u64);
    g.events = events;
    clock.destroy_for_testing();
    test_scenario::return_shared(pool);
    g.effects = g.scenario.next_tx(@0x0);
}

fun add_events<T: copy + drop>(events: &mut vector<vector<u8>>, kind: u8) {
    event::events_by_type<T>().do!(|event| {
        let mut bytes = vector[kind];
        bytes.append(bcs::to_bytes(&event));
        events.push_back(bytes);
    });
}

/// The pool, the events (in any order: their numbers are in them), and the rows.
public fun check(
    g: &mut Golden,
    pool_bytes: vector<u8>,
    events: vector<vector<u8>>,
    places: vector<vector<u8>>,
    rows: vector<vector<u8>>,
) {
    let pool = g.scenario.take_shared<Pool>();
    assert!(bcs::to_bytes(&pool) == pool_bytes);
    assert!(g.events.length() == events.length());
    events.do_ref!(|event| assert!(g.events.contains(event)));
    places.length().do!(|i| {
        let mut key = places[i];
        let table = key.remove(0);
        let row = if (table == 0) {
            bcs::to_bytes(&pool.record(key))
        } else if (table == 1) {
            pool.claim_bytes(key.to_string())
        } else {
            bcs::to_bytes(&pool.held(address::from_bytes(key)))
        };
        assert!(row == rows[i]);
    });
    test_scenario::return_shared(pool);
}

public fun check_object<T: key>(g: &Golden, owner: address, id: ID, bytes: vector<u8>) {
    let object = g.scenario.take_from_address_by_id<T>(owner, id);
    assert!(bcs::to_bytes(&object) == bytes);
    test_scenario::return_to_address(owner, object);
}

public fun check_deleted(g: &Golden, id: ID) {
    assert!(g.effects.deleted().contains(&id));
}
