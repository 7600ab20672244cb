// The contract once more, in JavaScript, to write down what the golden file expects.
//
// Nothing trusts it: the Move VM checks every byte and every abort that it predicts.
// Shape:  one `Model` is one published package; `call` is one transaction. All u64 are BigInt.
// Source: LAYOUT.md.
import { address, bytes, fieldId, freshId, option, string, u64, u8, vector } from "./bcs.mjs";

const ACTIVE = 0;
const UNBONDING = 1;
const SLASHED = 2;
const REVOKED = 3;
const RETIRED = 4;
const NOBODY = `0x${"0".repeat(64)}`;
const DAY = 86_400_000n;

/** The fields of `Config`, in order. */
export const CONFIG_FIELDS = [
  "viewer", "developer", "admin", "super", "slash_pct", "slash_interval_ms", "config_delay_ms",
  "unbonding_ms", "validity_min_ms", "validity_max_ms", "validity_default_ms",
];

/** What `init` sets. */
export const GENESIS_CONFIG = {
  viewer: 500_000_000n,
  developer: 2_000_000_000n,
  admin: 5_000_000_000n,
  super: 10_000_000_000n,
  slash_pct: 10n,
  slash_interval_ms: DAY,
  config_delay_ms: 2n * DAY,
  unbonding_ms: 7n * DAY,
  validity_min_ms: 3_600_000n,
  validity_max_ms: 366n * DAY,
  validity_default_ms: 30n * DAY,
};

const CODES = [
  null, "EVersion", "EPaused", "EWrongPool", "EStatus", "EHashLength", "EHashSpent",
  "EUnknownHash", "EStakeTooLow", "EZeroAmount", "EValidity", "ENodeName", "ENameReserved",
  "ENodeTaken", "ENodeOwner", "ENamespace", "ETooManySeals", "EReason", "ESlashCap",
  "ESlashTooSoon", "EStillUnbonding", "EConfig", "ENoPendingConfig", "EConfigNotDue",
  "ETooManyCaps", "EUnknownCap", "ETooManyNames", "EUnknownName", "ETreasury",
];

/** A Move abort: what the transaction would fail with. */
export class Abort extends Error {
  constructor(name, fn) {
    super(`${name} in ${fn}`);
    this.code = CODES.indexOf(name);
    this.function = fn;
  }
}

const isLabel = (name) => /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name);

const config = (c) => Buffer.concat(CONFIG_FIELDS.map((field) => u64(c[field])));
const pending = (p) => Buffer.concat([config(p.config), u64(p.effective_at_ms)]);
const claim = (c) => Buffer.concat([address(c.owner), bytes(c.hash)]);
const hashes = (list) => vector(list, bytes);
const record = (r) =>
  Buffer.concat([
    u64(r.seq), address(r.seal_id), address(r.owner), u64(r.stake), u64(r.restore_at),
    option(r.node_id, string), option(r.namespace, string), u64(r.issued_at_ms),
    u64(r.expires_at_ms), u64(r.unbonding_ends_at_ms), u8(r.status), u64(r.slashed_total),
    u64(r.last_slashed_at_ms), u64(r.generation), bytes(""),
  ]);

/** The tables: BCS of a key, its TypeTag, BCS of a value. */
const STRING_TAG = Buffer.concat([
  u8(7), address(`0x${"1".padStart(64, "0")}`), string("string"), string("String"), u8(0),
]);
const TABLES = {
  seals: { key: bytes, tag: Buffer.from([6, 1]), value: record },
  nodes: { key: string, tag: STRING_TAG, value: claim },
  owners: { key: address, tag: Buffer.from([4]), value: hashes },
};

/** One published package: the pool and all that came of it. */
export class Model {
  constructor({ sender, digest }) {
    const id = (index) => freshId(digest, index);
    this.id = id(0);
    this.tables = { seals: id(1), nodes: id(2), owners: id(3) };
    this.admin_cap = id(4);
    this.first_slash_cap = id(5);
    this.publisher = sender;
    this.config = { ...GENESIS_CONFIG };
    this.pending = null;
    this.pooled = 0n;
    this.treasury = 0n;
    this.seq = 0n;
    this.seals = new Map();
    this.nodes = new Map();
    this.owners = new Map();
    this.slash_caps = [this.first_slash_cap];
    this.reserved = ["localhost", "kubernetes"];
    this.paused = false;
    this.tokens = new Map();
  }

  /** What the publishing transaction made. */
  genesis() {
    const cap = (type, id) => this.#object(id, type, this.publisher, address(id));
    return {
      events: [],
      pool: this.#pool(),
      rows: [],
      created: [cap("AdminCap", this.admin_cap), cap("SlashCap", this.first_slash_cap)],
      mutated: [],
      deleted: [],
    };
  }

  /** Executes one call and tells its effects, or throws an `Abort`. Then nothing changed. */
  call(step) {
    this.now = BigInt(step.now);
    this.sender = step.sender;
    this.fresh = step.first_id;
    this.digest = step.digest;
    this.touched = new Map();
    this.out = { events: [], created: [], mutated: [], deleted: [] };
    this[step.call](step.args);
    const rows = [...this.touched.values()].map(([table, key]) => this.#row(table, key));
    return { ...this.out, pool: this.#pool(), rows };
  }

  // The calls, each with its checks in the order of LAYOUT.md.

  stake_and_mint_seal(a) {
    this.#running();
    this.#freshHash(a.hash);
    const stake = BigInt(a.coin);
    this.#check(stake >= this.config.viewer, "EStakeTooLow", "stake_and_mint_seal");
    const expires_at_ms = this.#expiry(a.validity_ms);
    this.#check(a.namespace === null || isLabel(a.namespace), "ENamespace", "assert_namespace");
    if (a.node_id !== null) this.#nodeFree(a.node_id);
    const held = this.owners.get(this.sender) ?? [];
    this.#check(held.length < 16, "ETooManySeals", "stake_and_mint_seal");
    this.#put("owners", this.sender, [...held, a.hash]);
    const seal_id = this.#fresh();
    const owner = this.sender;
    this.pooled += stake;
    this.#put("seals", a.hash, {
      seq: 0n, seal_id, owner, stake, restore_at: 0n, node_id: a.node_id,
      namespace: a.namespace, issued_at_ms: this.now, expires_at_ms, unbonding_ends_at_ms: 0n,
      status: ACTIVE, slashed_total: 0n, last_slashed_at_ms: 0n, generation: 0n,
    });
    this.#changed(a.hash, 0);
    if (a.node_id !== null) this.#claim(a.node_id, { owner, hash: a.hash });
    this.tokens.set(seal_id, { owner, hash: a.hash });
    this.out.created.push(this.#token(seal_id));
  }

  restake(a) {
    this.#running();
    const { hash } = this.tokens.get(a.token);
    const r = { ...this.seals.get(hash) };
    this.#check(BigInt(a.coin) > 0n, "EZeroAmount", "restake");
    this.#check([ACTIVE, SLASHED].includes(r.status), "EStatus", "restake");
    r.stake += BigInt(a.coin);
    if (r.status === SLASHED && r.stake >= r.restore_at) {
      r.status = ACTIVE;
      r.restore_at = 0n;
    }
    this.pooled += BigInt(a.coin);
    this.#put("seals", hash, r);
    this.#changed(hash, 1);
  }

  refresh_seal_token(a) {
    this.#running();
    const { hash: old, owner } = this.tokens.get(a.token);
    const r = { ...this.seals.get(old) };
    this.#check([ACTIVE, SLASHED].includes(r.status), "EStatus", "refresh_seal_token");
    this.#freshHash(a.new_hash);
    r.expires_at_ms = this.#expiry(a.validity_ms);
    r.issued_at_ms = this.now;
    r.generation += 1n;
    this.#put("seals", a.new_hash, r);
    this.#retire(old);
    const held = this.owners.get(owner).map((hash) => (hash === old ? a.new_hash : hash));
    this.#put("owners", owner, held);
    this.tokens.set(a.token, { owner, hash: a.new_hash });
    this.#changed(a.new_hash, 2);
    this.#changed(old, 3);
    if (r.node_id !== null) this.#claim(r.node_id, { owner, hash: a.new_hash });
    this.out.mutated.push(this.#token(a.token));
  }

  request_unstake(a) {
    this.#version();
    const { hash } = this.tokens.get(a.token);
    const r = { ...this.seals.get(hash) };
    this.#check(![UNBONDING, RETIRED].includes(r.status), "EStatus", "request_unstake");
    r.status = UNBONDING;
    r.restore_at = 0n;
    r.unbonding_ends_at_ms = this.now + this.config.unbonding_ms;
    this.#put("seals", hash, r);
    this.#changed(hash, 4);
  }

  withdraw(a) {
    this.#version();
    const { hash, owner } = this.tokens.get(a.token);
    const r = this.seals.get(hash);
    this.#check(r.status === UNBONDING, "EStatus", "withdraw");
    this.#check(this.now >= r.unbonding_ends_at_ms, "EStillUnbonding", "withdraw");
    this.#retire(hash);
    this.#put("owners", owner, this.owners.get(owner).filter((other) => other !== hash));
    this.tokens.delete(a.token);
    this.pooled -= r.stake;
    this.#pay(owner, r.stake);
    this.out.deleted.push(a.token);
    this.#changed(hash, 5);
  }

  slash(a) {
    this.#version();
    this.#slasher(a);
    const r = { ...this.seals.get(a.hash) };
    this.#check([ACTIVE, SLASHED, UNBONDING].includes(r.status), "EStatus", "slash");
    const due = r.last_slashed_at_ms + this.config.slash_interval_ms;
    this.#check(r.last_slashed_at_ms === 0n || this.now >= due, "ESlashTooSoon", "slash");
    const cut = (r.stake * this.config.slash_pct + 99n) / 100n;
    if (r.status === ACTIVE) {
      r.status = SLASHED;
      r.restore_at = r.stake;
    }
    r.stake -= cut;
    r.slashed_total += cut;
    r.last_slashed_at_ms = this.now;
    this.pooled -= cut;
    this.treasury += cut;
    this.#put("seals", a.hash, r);
    this.#changed(a.hash, 6, a.reason);
  }

  revoke(a) {
    this.#version();
    this.#slasher(a);
    const r = { ...this.seals.get(a.hash) };
    this.#check([ACTIVE, SLASHED].includes(r.status), "EStatus", "revoke");
    r.status = REVOKED;
    r.restore_at = 0n;
    this.#put("seals", a.hash, r);
    this.#changed(a.hash, 7, a.reason);
  }

  announce_config(a) {
    this.#version();
    const c = Object.fromEntries(CONFIG_FIELDS.map((field) => [field, BigInt(a[field])]));
    this.#check(
      c.viewer > 0n && c.viewer < c.developer && c.developer < c.admin && c.admin < c.super &&
        c.super <= 10n ** 15n && c.slash_pct > 0n && c.slash_pct <= 20n &&
        c.slash_interval_ms <= 30n * DAY && c.config_delay_ms <= 30n * DAY &&
        c.unbonding_ms >= 60_000n && c.unbonding_ms <= 90n * DAY &&
        c.validity_min_ms >= 60_000n && c.validity_min_ms <= c.validity_default_ms &&
        c.validity_default_ms <= c.validity_max_ms && c.validity_max_ms <= 366n * DAY,
      "EConfig",
      "assert_config",
    );
    this.pending = { config: c, effective_at_ms: this.now + this.config.config_delay_ms };
  }

  apply_config() {
    this.#version();
    this.#check(this.pending !== null, "ENoPendingConfig", "apply_config");
    this.#check(this.now >= this.pending.effective_at_ms, "EConfigNotDue", "apply_config");
    this.config = this.pending.config;
    this.pending = null;
    this.#event("ConfigChanged", (seq) => [address(this.id), u64(seq), config(this.config)]);
  }

  add_slash_cap(a) {
    this.#version();
    this.#check(this.slash_caps.length < 16, "ETooManyCaps", "add_slash_cap");
    const id = this.#fresh();
    this.slash_caps.push(id);
    this.out.created.push(this.#object(id, "SlashCap", a.holder, address(id)));
  }

  remove_slash_cap(a) {
    this.#version();
    this.#check(this.slash_caps.includes(a.id), "EUnknownCap", "remove_slash_cap");
    this.slash_caps = this.slash_caps.filter((id) => id !== a.id);
  }

  reserve_name(a) {
    this.#version();
    this.#check(isLabel(a.name), "ENodeName", "reserve_name");
    this.#check(!this.reserved.includes(a.name), "ENameReserved", "reserve_name");
    this.#check(this.reserved.length < 64, "ETooManyNames", "reserve_name");
    this.reserved.push(a.name);
  }

  unreserve_name(a) {
    this.#version();
    this.#check(this.reserved.includes(a.name), "EUnknownName", "unreserve_name");
    this.reserved = this.reserved.filter((name) => name !== a.name);
  }

  void_claim(a) {
    this.#version();
    const c = this.nodes.get(a.name);
    this.#check(c && c.owner !== NOBODY, "EUnknownName", "void_claim");
    const { status } = this.seals.get(c.hash);
    this.#check(![ACTIVE, SLASHED].includes(status), "EStatus", "void_claim");
    this.#claim(a.name, { owner: NOBODY, hash: c.hash });
  }

  set_paused(a) {
    this.#version();
    this.paused = a.paused;
  }

  withdraw_treasury(a) {
    this.#version();
    const amount = BigInt(a.amount);
    this.#check(amount > 0n, "EZeroAmount", "withdraw_treasury");
    this.#check(amount <= this.treasury, "ETreasury", "withdraw_treasury");
    this.treasury -= amount;
    this.#pay(a.recipient, amount);
  }

  migrate() {
    throw new Abort("EVersion", "migrate");
  }

  // Checks.

  #check(holds, name, fn) {
    if (!holds) throw new Abort(name, fn);
  }

  /** The first version of the package has no pool of another version. */
  #version() {}

  #running() {
    this.#version();
    this.#check(!this.paused, "EPaused", "assert_running");
  }

  #slasher(a) {
    this.#check(this.slash_caps.includes(a.cap), "ESlashCap", "assert_slasher");
    this.#check(Buffer.byteLength(a.reason) <= 128, "EReason", "assert_slasher");
    this.#check(this.seals.has(a.hash), "EUnknownHash", "assert_slasher");
  }

  #freshHash(hash) {
    this.#check(hash.length === 64, "EHashLength", "assert_fresh_hash");
    this.#check(!this.seals.has(hash), "EHashSpent", "assert_fresh_hash");
  }

  #nodeFree(name) {
    const fn = "assert_node_free";
    this.#check(isLabel(name), "ENodeName", fn);
    this.#check(!this.reserved.includes(name), "ENameReserved", fn);
    const c = this.nodes.get(name);
    if (!c || c.owner === NOBODY) return;
    this.#check(this.seals.get(c.hash).status === RETIRED, "ENodeTaken", fn);
    this.#check(c.owner === this.sender, "ENodeOwner", fn);
  }

  #expiry(validity) {
    const c = this.config;
    const ms = BigInt(validity) === 0n ? c.validity_default_ms : BigInt(validity);
    this.#check(c.validity_min_ms <= ms && ms <= c.validity_max_ms, "EValidity", "expiry");
    return this.now + ms;
  }

  // Effects.

  #fresh() {
    this.fresh += 1;
    return freshId(this.digest, this.fresh - 1);
  }

  #put(table, key, value) {
    this[table].set(key, value);
    this.touched.set(`${table}/${key}`, [table, key]);
  }

  #retire(hash) {
    const zero = { stake: 0n, restore_at: 0n, unbonding_ends_at_ms: 0n };
    this.#put("seals", hash, { ...this.seals.get(hash), ...zero, status: RETIRED });
  }

  #pay(owner, amount) {
    const id = this.#fresh();
    const contents = Buffer.concat([address(id), u64(amount)]);
    this.out.created.push(this.#object(id, "Coin", owner, contents));
  }

  #event(type, fields) {
    this.seq += 1n;
    const bcs = Buffer.concat(fields(this.seq)).toString("hex");
    this.out.events.push({ type, seq: this.seq.toString(), bcs });
  }

  #changed(hash, cause, reason = "") {
    this.#event("SealChanged", (seq) => {
      const r = { ...this.seals.get(hash), seq };
      this.#put("seals", hash, r);
      return [address(this.id), u64(seq), u8(cause), string(reason), bytes(hash), record(r)];
    });
  }

  #claim(name, c) {
    this.#put("nodes", name, c);
    this.#event("NodeClaimed", (seq) => [address(this.id), u64(seq), string(name), claim(c)]);
  }

  // What stands on chain.

  #pool() {
    const table = (name) => Buffer.concat([address(this.tables[name]), u64(this[name].size)]);
    const contents = Buffer.concat([
      address(this.id), u64(1), config(this.config), option(this.pending, pending),
      u64(this.pooled), u64(this.treasury), u64(this.seq), table("seals"), table("nodes"),
      table("owners"), vector(this.slash_caps, address), vector(this.reserved, string),
      u8(this.paused), bytes(""),
    ]);
    return { id: this.id, bcs: contents.toString("hex") };
  }

  #row(table, key) {
    const { key: encode, tag, value } = TABLES[table];
    const field = fieldId(this.tables[table], encode(key), tag);
    return { table, key, field, value: value(this[table].get(key)).toString("hex") };
  }

  #token(id) {
    const { owner, hash } = this.tokens.get(id);
    const contents = Buffer.concat([address(id), address(this.id), bytes(hash)]);
    return this.#object(id, "SealToken", owner, contents);
  }

  #object(id, type, owner, contents) {
    return { id, type, owner, bcs: contents.toString("hex") };
  }
}
