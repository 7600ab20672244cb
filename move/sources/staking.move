/// Stake, and be known to a Kubernetes cluster.
///
/// Shape:  one shared `Pool` holds a `SealRecord` for every credential hash that was ever
///         staked on, and a `NodeClaim` for every node name. A `SealToken` is its owner's
///         right to manage one record. Every change of a record emits one numbered event
///         with the whole record, so that a listener follows the pool from events alone.
/// Units:  amounts are MIST, times are ms since the epoch from the Clock (0 = none), a
///         percentage is whole.
/// Errors: the table of abort codes below; `LAYOUT.md` has the order of the checks.
/// Upgrade: layouts never change. `status` is a u8 and `ext` is empty for that reason.
///         Every call checks the pool's version, since an old package stays callable.
module k3s_daas::staking;

use k3s_daas::names;
use std::string::String;
use sui::balance::{Self, Balance};
use sui::clock::Clock;
use sui::coin::{Self, Coin};
use sui::event;
use sui::sui::SUI;
use sui::table::{Self, Table};

// === Abort codes. The numbers are part of the interface: never reuse one. ===

/// The pool is of another version than the package that was called.
const EVersion: u64 = 1;
/// Mint, restake and refresh are paused.
const EPaused: u64 = 2;
/// The token belongs to another pool.
const EWrongPool: u64 = 3;
/// The seal's status does not allow the call.
const EStatus: u64 = 4;
/// A hash is not 32 bytes.
const EHashLength: u64 = 5;
/// The hash has a row already: hashes are spent for good.
const EHashSpent: u64 = 6;
/// The hash has no row.
const EUnknownHash: u64 = 7;
/// Less than the viewer threshold.
const EStakeTooLow: u64 = 8;
/// Nothing to add or to pay.
const EZeroAmount: u64 = 9;
/// The validity is outside the config's limits.
const EValidity: u64 = 10;
/// Not `[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?`.
const ENodeName: u64 = 11;
/// The name is on the list of reserved names.
const ENameReserved: u64 = 12;
/// The name has a seal that is not retired.
const ENodeTaken: u64 = 13;
/// The name belongs to another owner.
const ENodeOwner: u64 = 14;
/// The namespace wish has not the form of a name.
const ENamespace: u64 = 15;
/// The owner has as many seals that are not retired as one may have.
const ETooManySeals: u64 = 16;
/// The reason is too long.
const EReason: u64 = 17;
/// The cap is not listed in the pool.
const ESlashCap: u64 = 18;
/// The seal was slashed less than a slash interval ago.
const ESlashTooSoon: u64 = 19;
/// The unbonding has not ended.
const EStillUnbonding: u64 = 20;
/// A config out of bounds.
const EConfig: u64 = 21;
/// No config was announced.
const ENoPendingConfig: u64 = 22;
/// The announced config's time has not come.
const EConfigNotDue: u64 = 23;
/// The list of caps is full.
const ETooManyCaps: u64 = 24;
/// The cap is not in the list.
const EUnknownCap: u64 = 25;
/// The list of reserved names is full.
const ETooManyNames: u64 = 26;
/// Not reserved, or no claim, or a claim that is voided already.
const EUnknownName: u64 = 27;
/// More than the treasury holds.
const ETreasury: u64 = 28;

// === Constants ===

/// What this package works on. Raised with each upgrade that must shut out the one before.
const VERSION: u64 = 1;

const ACTIVE: u8 = 0;
const UNBONDING: u8 = 1;
const SLASHED: u8 = 2;
const REVOKED: u8 = 3;
const RETIRED: u8 = 4;

const CAUSE_MINT: u8 = 0;
const CAUSE_RESTAKE: u8 = 1;
const CAUSE_REFRESH_NEW: u8 = 2;
const CAUSE_REFRESH_OLD: u8 = 3;
const CAUSE_UNSTAKE: u8 = 4;
const CAUSE_WITHDRAW: u8 = 5;
const CAUSE_SLASH: u8 = 6;
const CAUSE_REVOKE: u8 = 7;

/// SHA-256.
const HASH_LENGTH: u64 = 32;
const MAX_REASON_LENGTH: u64 = 128;
/// The lists live inside objects that every call loads: they stay short.
const MAX_SEALS_PER_OWNER: u64 = 16;
const MAX_SLASH_CAPS: u64 = 16;
const MAX_RESERVED_NAMES: u64 = 64;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;

/// Bounds that no config can leave, whoever holds the `AdminCap`.
const MAX_SLASH_PCT: u64 = 20;
/// A million SUI.
const MAX_THRESHOLD: u64 = 1_000_000_000_000_000;
const MAX_SLASH_INTERVAL_MS: u64 = 30 * DAY_MS;
const MAX_CONFIG_DELAY_MS: u64 = 30 * DAY_MS;
const MIN_UNBONDING_MS: u64 = MINUTE_MS;
const MAX_UNBONDING_MS: u64 = 90 * DAY_MS;
const MIN_VALIDITY_MS: u64 = MINUTE_MS;
const MAX_VALIDITY_MS: u64 = 366 * DAY_MS;

// === Objects ===

/// Shared. Exactly one per published package, so that no stranger's pool can emit our events.
public struct Pool has key {
    id: UID,
    version: u64,
    config: Config,
    pending: Option<PendingConfig>,
    pooled: Balance<SUI>,
    treasury: Balance<SUI>,
    /// The number of the last event.
    seq: u64,
    /// By credential hash. Rows are never removed: a hash is spent for good.
    seals: Table<vector<u8>, SealRecord>,
    /// By node name. Rows are never removed: a name belongs to one owner for good.
    nodes: Table<String, NodeClaim>,
    /// The hashes of an owner's seals that are not retired.
    owners: Table<address, vector<vector<u8>>>,
    /// The ids of the valid `SlashCap`s.
    slash_caps: vector<ID>,
    /// Node names that nobody can claim.
    reserved: vector<String>,
    paused: bool,
    ext: vector<u8>,
}

/// What can be tuned, within the bounds above.
public struct Config has copy, drop, store {
    /// The least stake of each tier.
    viewer: u64,
    developer: u64,
    admin: u64,
    super: u64,
    /// The part of a stake that one slash takes.
    slash_pct: u64,
    /// The least time between two slashes of one seal.
    slash_interval_ms: u64,
    /// The time from a config's announcement to its effect.
    config_delay_ms: u64,
    /// The time from the request to the withdrawal.
    unbonding_ms: u64,
    validity_min_ms: u64,
    validity_max_ms: u64,
    /// What a validity of 0 means.
    validity_default_ms: u64,
}

/// An announced config and when it can take effect.
public struct PendingConfig has copy, drop, store {
    config: Config,
    effective_at_ms: u64,
}

/// What the chain knows of one seal.
public struct SealRecord has copy, drop, store {
    /// The number of the event that made this record what it is.
    seq: u64,
    seal_id: ID,
    owner: address,
    stake: u64,
    /// The stake that ends a slashed state: what it was before the first slash.
    restore_at: u64,
    /// The machine that may join with this seal.
    node_id: Option<String>,
    /// A wish, never an authority.
    namespace: Option<String>,
    /// When this hash was minted or refreshed.
    issued_at_ms: u64,
    /// From this instant on the seal is dead. Expiry is no transition.
    expires_at_ms: u64,
    unbonding_ends_at_ms: u64,
    status: u8,
    slashed_total: u64,
    last_slashed_at_ms: u64,
    /// How often the seal was rotated.
    generation: u64,
    ext: vector<u8>,
}

/// Who a node's name belongs to, and the seal that holds it. The owner `@0x0` means voided.
public struct NodeClaim has copy, drop, store {
    owner: address,
    hash: vector<u8>,
}

/// The right to manage one record. It can't be handed on (a sold seal would leave its
/// secret with the seller), and repeats nothing of the record (a slash could not touch it).
public struct SealToken has key {
    id: UID,
    pool: ID,
    hash: vector<u8>,
}

/// Config, caps, reserved names, pause, treasury, migration.
public struct AdminCap has key, store { id: UID }

/// Slash and revoke, while the pool lists it.
public struct SlashCap has key, store { id: UID }

// === Events ===

public struct SealChanged has copy, drop {
    pool: ID,
    seq: u64,
    cause: u8,
    reason: String,
    hash: vector<u8>,
    record: SealRecord,
}

public struct NodeClaimed has copy, drop {
    pool: ID,
    seq: u64,
    name: String,
    claim: NodeClaim,
}

public struct ConfigChanged has copy, drop {
    pool: ID,
    seq: u64,
    config: Config,
}

// === Genesis ===

fun init(ctx: &mut TxContext) {
    // The order of the fresh ids is part of the interface.
    let id = object::new(ctx);
    let seals = table::new(ctx);
    let nodes = table::new(ctx);
    let owners = table::new(ctx);
    let admin = AdminCap { id: object::new(ctx) };
    let slasher = SlashCap { id: object::new(ctx) };
    transfer::share_object(Pool {
        id,
        version: VERSION,
        config: genesis_config(),
        pending: option::none(),
        pooled: balance::zero(),
        treasury: balance::zero(),
        seq: 0,
        seals,
        nodes,
        owners,
        slash_caps: vector[object::id(&slasher)],
        reserved: vector[b"localhost".to_string(), b"kubernetes".to_string()],
        paused: false,
        ext: vector[],
    });
    transfer::transfer(admin, ctx.sender());
    transfer::transfer(slasher, ctx.sender());
}

fun genesis_config(): Config {
    Config {
        viewer: 500_000_000,
        developer: 2_000_000_000,
        admin: 5_000_000_000,
        super: 10_000_000_000,
        slash_pct: 10,
        slash_interval_ms: DAY_MS,
        config_delay_ms: 2 * DAY_MS,
        unbonding_ms: 7 * DAY_MS,
        validity_min_ms: HOUR_MS,
        validity_max_ms: MAX_VALIDITY_MS,
        validity_default_ms: 30 * DAY_MS,
    }
}

// === For owners ===

/// Stakes the coin on a hash that was never staked on, for the sender.
public fun stake_and_mint_seal(
    pool: &mut Pool,
    coin: Coin<SUI>,
    hash: vector<u8>,
    node_id: Option<String>,
    namespace: Option<String>,
    validity_ms: u64,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    pool.assert_running();
    pool.assert_fresh_hash(&hash);
    let stake = coin.value();
    assert!(stake >= pool.config.viewer, EStakeTooLow);
    let now = clock.timestamp_ms();
    let expires_at_ms = pool.config.expiry(now, validity_ms);
    assert_namespace(&namespace);
    let owner = ctx.sender();
    node_id.do_ref!(|name| pool.assert_node_free(name, owner));
    if (!pool.owners.contains(owner)) pool.owners.add(owner, vector[]);
    let held = &mut pool.owners[owner];
    assert!(held.length() < MAX_SEALS_PER_OWNER, ETooManySeals);
    held.push_back(hash);

    let token = SealToken { id: object::new(ctx), pool: object::id(pool), hash };
    pool.pooled.join(coin.into_balance());
    pool
        .seals
        .add(
            hash,
            SealRecord {
                seq: 0,
                seal_id: object::id(&token),
                owner,
                stake,
                restore_at: 0,
                node_id,
                namespace,
                issued_at_ms: now,
                expires_at_ms,
                unbonding_ends_at_ms: 0,
                status: ACTIVE,
                slashed_total: 0,
                last_slashed_at_ms: 0,
                generation: 0,
                ext: vector[],
            },
        );
    pool.seal_changed(hash, CAUSE_MINT, b"".to_string());
    node_id.do!(|name| pool.claim_node(name, NodeClaim { owner, hash }));
    transfer::transfer(token, owner);
}

/// Adds to the stake. A slashed seal is active again once it has what it had before.
public fun restake(
    pool: &mut Pool,
    token: &SealToken,
    coin: Coin<SUI>,
    _clock: &Clock,
    _ctx: &mut TxContext,
) {
    pool.assert_running();
    pool.assert_token(token);
    let amount = coin.value();
    assert!(amount > 0, EZeroAmount);
    let record = &mut pool.seals[token.hash];
    assert!(record.status == ACTIVE || record.status == SLASHED, EStatus);
    record.stake = record.stake + amount;
    if (record.status == SLASHED && record.stake >= record.restore_at) {
        record.status = ACTIVE;
        record.restore_at = 0;
    };
    pool.pooled.join(coin.into_balance());
    pool.seal_changed(token.hash, CAUSE_RESTAKE, b"".to_string());
}

/// Rotates the credential: the record goes on under a new hash, the old one is retired.
public fun refresh_seal_token(
    pool: &mut Pool,
    token: &mut SealToken,
    new_hash: vector<u8>,
    validity_ms: u64,
    clock: &Clock,
    _ctx: &mut TxContext,
) {
    pool.assert_running();
    pool.assert_token(token);
    let old_hash = token.hash;
    let mut record = pool.seals[old_hash];
    assert!(record.status == ACTIVE || record.status == SLASHED, EStatus);
    pool.assert_fresh_hash(&new_hash);
    let now = clock.timestamp_ms();
    record.expires_at_ms = pool.config.expiry(now, validity_ms);
    record.issued_at_ms = now;
    record.generation = record.generation + 1;
    let owner = record.owner;

    pool.seals.add(new_hash, record);
    pool.seals[old_hash].retire();
    let held = &mut pool.owners[owner];
    let place = held.find_index!(|hash| hash == &old_hash).destroy_some();
    *&mut held[place] = new_hash;
    token.hash = new_hash;

    pool.seal_changed(new_hash, CAUSE_REFRESH_NEW, b"".to_string());
    pool.seal_changed(old_hash, CAUSE_REFRESH_OLD, b"".to_string());
    record.node_id.do!(|name| pool.claim_node(name, NodeClaim { owner, hash: new_hash }));
}

/// Ends the seal's use; its stake can be withdrawn after today's unbonding period.
public fun request_unstake(
    pool: &mut Pool,
    token: &SealToken,
    clock: &Clock,
    _ctx: &mut TxContext,
) {
    pool.assert_version();
    pool.assert_token(token);
    let ends_at = clock.timestamp_ms() + pool.config.unbonding_ms;
    let record = &mut pool.seals[token.hash];
    assert!(record.status != UNBONDING && record.status != RETIRED, EStatus);
    record.status = UNBONDING;
    record.restore_at = 0;
    record.unbonding_ends_at_ms = ends_at;
    pool.seal_changed(token.hash, CAUSE_UNSTAKE, b"".to_string());
}

/// Pays the stake to the record's owner and retires the record.
public fun withdraw(pool: &mut Pool, token: SealToken, clock: &Clock, ctx: &mut TxContext) {
    pool.assert_version();
    pool.assert_token(&token);
    let SealToken { id, pool: _, hash } = token;
    let record = &mut pool.seals[hash];
    assert!(record.status == UNBONDING, EStatus);
    assert!(clock.timestamp_ms() >= record.unbonding_ends_at_ms, EStillUnbonding);
    let owner = record.owner;
    let stake = record.stake;
    record.retire();
    let held = &mut pool.owners[owner];
    let place = held.find_index!(|other| other == &hash).destroy_some();
    held.remove(place);
    id.delete();
    let payment = coin::from_balance(pool.pooled.split(stake), ctx);
    pool.seal_changed(hash, CAUSE_WITHDRAW, b"".to_string());
    transfer::public_transfer(payment, owner);
}

// === For holders of a SlashCap ===

/// Takes a part of the stake. An active seal is slashed until it is restored.
public fun slash(
    pool: &mut Pool,
    cap: &SlashCap,
    hash: vector<u8>,
    reason: String,
    clock: &Clock,
    _ctx: &mut TxContext,
) {
    pool.assert_version();
    pool.assert_slasher(cap, &hash, &reason);
    let now = clock.timestamp_ms();
    let config = pool.config;
    let record = &mut pool.seals[hash];
    assert!(
        record.status == ACTIVE || record.status == SLASHED || record.status == UNBONDING,
        EStatus,
    );
    assert!(
        record.last_slashed_at_ms == 0 ||
            now >= record.last_slashed_at_ms + config.slash_interval_ms,
        ESlashTooSoon,
    );
    let cut = config.cut(record.stake);
    if (record.status == ACTIVE) {
        record.status = SLASHED;
        record.restore_at = record.stake;
    };
    record.stake = record.stake - cut;
    record.slashed_total = record.slashed_total + cut;
    record.last_slashed_at_ms = now;
    let taken = pool.pooled.split(cut);
    pool.treasury.join(taken);
    pool.seal_changed(hash, CAUSE_SLASH, reason);
}

/// Ends the seal's use for good. Moves no money: the owner can unstake.
public fun revoke(
    pool: &mut Pool,
    cap: &SlashCap,
    hash: vector<u8>,
    reason: String,
    _clock: &Clock,
    _ctx: &mut TxContext,
) {
    pool.assert_version();
    pool.assert_slasher(cap, &hash, &reason);
    let record = &mut pool.seals[hash];
    assert!(record.status == ACTIVE || record.status == SLASHED, EStatus);
    record.status = REVOKED;
    record.restore_at = 0;
    pool.seal_changed(hash, CAUSE_REVOKE, reason);
}

// === For the holder of the AdminCap ===

/// Announces a config. It replaces one that is pending, and the delay starts anew.
public fun announce_config(
    pool: &mut Pool,
    _cap: &AdminCap,
    viewer: u64,
    developer: u64,
    admin: u64,
    super: u64,
    slash_pct: u64,
    slash_interval_ms: u64,
    config_delay_ms: u64,
    unbonding_ms: u64,
    validity_min_ms: u64,
    validity_max_ms: u64,
    validity_default_ms: u64,
    clock: &Clock,
    _ctx: &mut TxContext,
) {
    pool.assert_version();
    let config = Config {
        viewer,
        developer,
        admin,
        super,
        slash_pct,
        slash_interval_ms,
        config_delay_ms,
        unbonding_ms,
        validity_min_ms,
        validity_max_ms,
        validity_default_ms,
    };
    assert_config(&config);
    let effective_at_ms = clock.timestamp_ms() + pool.config.config_delay_ms;
    pool.pending = option::some(PendingConfig { config, effective_at_ms });
}

/// Puts the announced config into effect, once its time has come.
public fun apply_config(pool: &mut Pool, _cap: &AdminCap, clock: &Clock, _ctx: &mut TxContext) {
    pool.assert_version();
    assert!(pool.pending.is_some(), ENoPendingConfig);
    let PendingConfig { config, effective_at_ms } = pool.pending.extract();
    assert!(clock.timestamp_ms() >= effective_at_ms, EConfigNotDue);
    pool.config = config;
    let seq = pool.next_seq();
    event::emit(ConfigChanged { pool: object::id(pool), seq, config });
}

/// Makes one more `SlashCap`.
public fun add_slash_cap(pool: &mut Pool, _cap: &AdminCap, holder: address, ctx: &mut TxContext) {
    pool.assert_version();
    assert!(pool.slash_caps.length() < MAX_SLASH_CAPS, ETooManyCaps);
    let cap = SlashCap { id: object::new(ctx) };
    pool.slash_caps.push_back(object::id(&cap));
    transfer::transfer(cap, holder);
}

/// Makes a `SlashCap` worthless, wherever it is.
public fun remove_slash_cap(pool: &mut Pool, _cap: &AdminCap, id: ID, _ctx: &mut TxContext) {
    pool.assert_version();
    let (listed, place) = pool.slash_caps.index_of(&id);
    assert!(listed, EUnknownCap);
    pool.slash_caps.remove(place);
}

/// Keeps a name from being claimed. A claim that stands is not touched.
public fun reserve_name(pool: &mut Pool, _cap: &AdminCap, name: String, _ctx: &mut TxContext) {
    pool.assert_version();
    assert!(names::is_label(&name), ENodeName);
    assert!(!pool.reserved.contains(&name), ENameReserved);
    assert!(pool.reserved.length() < MAX_RESERVED_NAMES, ETooManyNames);
    pool.reserved.push_back(name);
}

/// Lets a reserved name be claimed.
public fun unreserve_name(pool: &mut Pool, _cap: &AdminCap, name: String, _ctx: &mut TxContext) {
    pool.assert_version();
    let (listed, place) = pool.reserved.index_of(&name);
    assert!(listed, EUnknownName);
    pool.reserved.remove(place);
}

/// Takes a name from its owner, so that anyone can claim it anew. Only while the claim's seal
/// can never be active again: two live seals must not share a name.
public fun void_claim(pool: &mut Pool, _cap: &AdminCap, name: String, _ctx: &mut TxContext) {
    pool.assert_version();
    assert!(pool.nodes.contains(name) && pool.nodes[name].owner != @0x0, EUnknownName);
    let hash = pool.nodes[name].hash;
    let status = pool.seals[hash].status;
    assert!(status != ACTIVE && status != SLASHED, EStatus);
    pool.claim_node(name, NodeClaim { owner: @0x0, hash });
}

/// Stops or resumes mint, restake and refresh. Never unstake, withdraw, slash or revoke.
public fun set_paused(pool: &mut Pool, _cap: &AdminCap, paused: bool, _ctx: &mut TxContext) {
    pool.assert_version();
    pool.paused = paused;
}

/// Pays out what slashes have taken. Stakes are out of reach.
public fun withdraw_treasury(
    pool: &mut Pool,
    _cap: &AdminCap,
    amount: u64,
    recipient: address,
    ctx: &mut TxContext,
) {
    pool.assert_version();
    assert!(amount > 0, EZeroAmount);
    assert!(amount <= pool.treasury.value(), ETreasury);
    let payment = coin::from_balance(pool.treasury.split(amount), ctx);
    transfer::public_transfer(payment, recipient);
}

/// Moves the pool to this package's version, which shuts out the packages before it.
public fun migrate(pool: &mut Pool, _cap: &AdminCap, _ctx: &mut TxContext) {
    assert!(pool.version < VERSION, EVersion);
    pool.version = VERSION;
}

// === Checks. Each stands in one place, and its name in the abort's location. ===

fun assert_version(pool: &Pool) {
    assert!(pool.version == VERSION, EVersion);
}

fun assert_running(pool: &Pool) {
    pool.assert_version();
    assert!(!pool.paused, EPaused);
}

fun assert_token(pool: &Pool, token: &SealToken) {
    assert!(token.pool == object::id(pool), EWrongPool);
}

fun assert_slasher(pool: &Pool, cap: &SlashCap, hash: &vector<u8>, reason: &String) {
    assert!(pool.slash_caps.contains(&object::id(cap)), ESlashCap);
    assert!(reason.length() <= MAX_REASON_LENGTH, EReason);
    assert!(pool.seals.contains(*hash), EUnknownHash);
}

fun assert_fresh_hash(pool: &Pool, hash: &vector<u8>) {
    assert!(hash.length() == HASH_LENGTH, EHashLength);
    assert!(!pool.seals.contains(*hash), EHashSpent);
}

fun assert_namespace(namespace: &Option<String>) {
    assert!(namespace.is_none() || names::is_label(namespace.borrow()), ENamespace);
}

fun assert_node_free(pool: &Pool, name: &String, sender: address) {
    assert!(names::is_label(name), ENodeName);
    assert!(!pool.reserved.contains(name), ENameReserved);
    if (!pool.nodes.contains(*name)) return;
    let claim = pool.nodes[*name];
    if (claim.owner == @0x0) return;
    assert!(pool.seals[claim.hash].status == RETIRED, ENodeTaken);
    assert!(claim.owner == sender, ENodeOwner);
}

fun assert_config(config: &Config) {
    assert!(
        0 < config.viewer &&
            config.viewer < config.developer &&
            config.developer < config.admin &&
            config.admin < config.super &&
            config.super <= MAX_THRESHOLD &&
            0 < config.slash_pct &&
            config.slash_pct <= MAX_SLASH_PCT &&
            config.slash_interval_ms <= MAX_SLASH_INTERVAL_MS &&
            config.config_delay_ms <= MAX_CONFIG_DELAY_MS &&
            MIN_UNBONDING_MS <= config.unbonding_ms &&
            config.unbonding_ms <= MAX_UNBONDING_MS &&
            MIN_VALIDITY_MS <= config.validity_min_ms &&
            config.validity_min_ms <= config.validity_default_ms &&
            config.validity_default_ms <= config.validity_max_ms &&
            config.validity_max_ms <= MAX_VALIDITY_MS,
        EConfig,
    );
}

// === The rest ===

/// When a seal issued now is dead.
fun expiry(config: &Config, now: u64, validity_ms: u64): u64 {
    let validity_ms = if (validity_ms == 0) config.validity_default_ms else validity_ms;
    assert!(
        config.validity_min_ms <= validity_ms && validity_ms <= config.validity_max_ms,
        EValidity,
    );
    now + validity_ms
}

/// What one slash takes: rounded up, so that a stake can't be split into crumbs that lose nothing.
fun cut(config: &Config, stake: u64): u64 {
    (((stake as u128) * (config.slash_pct as u128) + 99) / 100) as u64
}

fun retire(record: &mut SealRecord) {
    record.status = RETIRED;
    record.stake = 0;
    record.restore_at = 0;
    record.unbonding_ends_at_ms = 0;
}

fun next_seq(pool: &mut Pool): u64 {
    pool.seq = pool.seq + 1;
    pool.seq
}

/// Numbers the change that was made to a record and tells it.
fun seal_changed(pool: &mut Pool, hash: vector<u8>, cause: u8, reason: String) {
    let seq = pool.next_seq();
    let record = &mut pool.seals[hash];
    record.seq = seq;
    let record = *record;
    event::emit(SealChanged { pool: object::id(pool), seq, cause, reason, hash, record });
}

/// Writes a claim, numbers it and tells it.
fun claim_node(pool: &mut Pool, name: String, claim: NodeClaim) {
    if (pool.nodes.contains(name)) {
        *&mut pool.nodes[name] = claim;
    } else {
        pool.nodes.add(name, claim);
    };
    let seq = pool.next_seq();
    event::emit(NodeClaimed { pool: object::id(pool), seq, name, claim });
}

// === For tests ===

#[test_only]
public fun init_for_testing(ctx: &mut TxContext) {
    init(ctx)
}

#[test_only]
public fun set_version_for_testing(pool: &mut Pool, version: u64) {
    pool.version = version;
}

#[test_only]
/// A token as no call makes one.
public fun token_for_testing(pool: ID, hash: vector<u8>, ctx: &mut TxContext): SealToken {
    SealToken { id: object::new(ctx), pool, hash }
}

#[test_only]
public fun slash_cap_for_testing(ctx: &mut TxContext): SlashCap {
    SlashCap { id: object::new(ctx) }
}

#[test_only]
public fun record(pool: &Pool, hash: vector<u8>): SealRecord { pool.seals[hash] }

#[test_only]
public fun has_record(pool: &Pool, hash: vector<u8>): bool { pool.seals.contains(hash) }

#[test_only]
public fun claim(pool: &Pool, name: String): (address, vector<u8>) {
    let claim = pool.nodes[name];
    (claim.owner, claim.hash)
}

#[test_only]
public fun claim_bytes(pool: &Pool, name: String): vector<u8> {
    std::bcs::to_bytes(&pool.nodes[name])
}

#[test_only]
public fun held(pool: &Pool, owner: address): vector<vector<u8>> {
    if (pool.owners.contains(owner)) pool.owners[owner] else vector[]
}

#[test_only]
public fun balances(pool: &Pool): (u64, u64) { (pool.pooled.value(), pool.treasury.value()) }

#[test_only]
public fun pool_seq(pool: &Pool): u64 { pool.seq }

#[test_only]
public fun pool_version(pool: &Pool): u64 { pool.version }

#[test_only]
public fun config_bytes(pool: &Pool): vector<u8> { std::bcs::to_bytes(&pool.config) }

#[test_only]
public fun slash_caps(pool: &Pool): vector<ID> { pool.slash_caps }

#[test_only]
public fun reserved(pool: &Pool): vector<String> { pool.reserved }

#[test_only]
public fun token_hash(token: &SealToken): vector<u8> { token.hash }

#[test_only]
/// (seq, cause, reason, hash, record)
public fun seal_changed_parts(
    event: &SealChanged,
): (u64, u8, String, vector<u8>, SealRecord) {
    (event.seq, event.cause, event.reason, event.hash, event.record)
}

#[test_only]
public fun node_claimed_seq(event: &NodeClaimed): u64 { event.seq }

#[test_only]
public fun config_changed_seq(event: &ConfigChanged): u64 { event.seq }

#[test_only]
public fun seq(record: &SealRecord): u64 { record.seq }

#[test_only]
public fun seal_id(record: &SealRecord): ID { record.seal_id }

#[test_only]
public fun owner(record: &SealRecord): address { record.owner }

#[test_only]
public fun stake(record: &SealRecord): u64 { record.stake }

#[test_only]
public fun restore_at(record: &SealRecord): u64 { record.restore_at }

#[test_only]
public fun node_id(record: &SealRecord): Option<String> { record.node_id }

#[test_only]
public fun namespace(record: &SealRecord): Option<String> { record.namespace }

#[test_only]
public fun issued_at(record: &SealRecord): u64 { record.issued_at_ms }

#[test_only]
public fun expires_at(record: &SealRecord): u64 { record.expires_at_ms }

#[test_only]
public fun unbonding_ends_at(record: &SealRecord): u64 { record.unbonding_ends_at_ms }

#[test_only]
public fun status(record: &SealRecord): u8 { record.status }

#[test_only]
public fun slashed_total(record: &SealRecord): u64 { record.slashed_total }

#[test_only]
public fun last_slashed_at(record: &SealRecord): u64 { record.last_slashed_at_ms }

#[test_only]
public fun generation(record: &SealRecord): u64 { record.generation }
