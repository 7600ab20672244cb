// The scenarios of the golden file, in the words of a person. `golden.mjs` writes them out.
import { createHash } from "node:crypto";

import { CONFIG_FIELDS, GENESIS_CONFIG, Model } from "./model.mjs";

const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const person = (digits) => `0x${digits.padStart(64, "0")}`;

export const PUBLISHER = person("ad");
export const ALICE = person("a11ce");
export const BOB = `0x${sha256("bob")}`;
export const CAROL = person("ca401");

const START = 1_700_000_000_000n;
const HOUR = 3_600_000n;
const DAY = 24n * HOUR;
const SUI = 1_000_000_000n;

/** The hash of a number; the golden file does not need a preimage. */
const h = (number) => sha256(`credential ${number}`);

/** Writes one scenario: each method is a transaction. Time stands unless `wait` moves it. */
class Script {
  constructor(name) {
    this.name = name;
    this.now = START;
    this.steps = [];
    const first = this.#envelope("init", PUBLISHER, {}, 0);
    this.model = new Model(first);
    this.admin = this.model.admin_cap;
    this.cap = this.model.first_slash_cap;
    this.tokens = new Map();
    this.steps.push({ ...first, expect: this.model.genesis() });
  }

  wait(ms) {
    this.now += BigInt(ms);
    return this;
  }

  /** The step's coin is split off the gas coin first, so that the first fresh id is not 0. */
  #envelope(call, sender, args, first_id) {
    const digest = sha256(`${this.name} ${this.steps.length}`);
    return { call, sender, digest, first_id, now: this.now.toString(), args };
  }

  #call(call, sender, args, first_id = 0) {
    if (this.refused) throw new Error(`${this.name}: an abort ends a scenario`);
    const step = this.#envelope(call, sender, args, first_id);
    try {
      step.expect = this.model.call(step);
    } catch (error) {
      if (error.code === undefined) throw error;
      step.expect = { abort: { module: "staking", function: error.function, code: error.code } };
      this.refused = true;
    }
    this.steps.push(step);
    return this;
  }

  #admin(call, args, sender = PUBLISHER) {
    return this.#call(call, sender, { cap: this.admin, ...args });
  }

  mint(who, amount, hash, { node = null, namespace = null, validity = 0n } = {}) {
    const args = {
      coin: amount.toString(), hash, node_id: node, namespace, validity_ms: validity.toString(),
    };
    this.#call("stake_and_mint_seal", who, args, 1);
    const made = this.steps.at(-1).expect.created?.[0];
    if (made) this.tokens.set(hash, { id: made.id, owner: who });
    return this;
  }

  #token(hash) {
    return this.tokens.get(hash);
  }

  restake(hash, amount) {
    const { id, owner } = this.#token(hash);
    return this.#call("restake", owner, { token: id, coin: amount.toString() }, 1);
  }

  refresh(hash, newHash, validity = 0n) {
    const token = this.#token(hash);
    const args = { token: token.id, new_hash: newHash, validity_ms: validity.toString() };
    this.#call("refresh_seal_token", token.owner, args);
    if (!this.refused) this.tokens.set(newHash, token);
    return this;
  }

  unstake(hash) {
    const { id, owner } = this.#token(hash);
    return this.#call("request_unstake", owner, { token: id });
  }

  withdraw(hash) {
    const { id, owner } = this.#token(hash);
    this.#call("withdraw", owner, { token: id });
    for (const [known, token] of this.tokens) if (token.id === id) this.tokens.delete(known);
    return this;
  }

  slash(hash, reason = "", cap = this.cap, sender = PUBLISHER) {
    return this.#call("slash", sender, { cap, hash, reason });
  }

  revoke(hash, reason = "", cap = this.cap, sender = PUBLISHER) {
    return this.#call("revoke", sender, { cap, hash, reason });
  }

  announce(changes) {
    const config = { ...GENESIS_CONFIG, ...changes };
    const args = CONFIG_FIELDS.map((field) => [field, config[field].toString()]);
    return this.#admin("announce_config", Object.fromEntries(args));
  }

  apply() {
    return this.#admin("apply_config", {});
  }

  addCap(holder) {
    return this.#admin("add_slash_cap", { holder });
  }

  removeCap(id) {
    return this.#admin("remove_slash_cap", { id });
  }

  reserve(name) {
    return this.#admin("reserve_name", { name });
  }

  unreserve(name) {
    return this.#admin("unreserve_name", { name });
  }

  voidClaim(name) {
    return this.#admin("void_claim", { name });
  }

  pause(paused = true) {
    return this.#admin("set_paused", { paused });
  }

  payOut(amount, recipient) {
    return this.#admin("withdraw_treasury", { amount: amount.toString(), recipient });
  }

  migrate() {
    return this.#admin("migrate", {});
  }

  /** Plays if it is possible; what is refused leaves no step. */
  tryTo(play) {
    const from = this.steps.length;
    const tokens = new Map(this.tokens);
    play(this);
    if (!this.refused) return this;
    this.refused = false;
    this.steps.length = from;
    this.tokens = tokens;
    return this;
  }

  /** Steps that only prepare: the file tells that they succeed and nothing more. */
  quietly(play) {
    const from = this.steps.length;
    play(this);
    for (const step of this.steps.slice(from)) step.expect = {};
    return this;
  }

  /** The id of what the last step made. */
  made() {
    return this.steps.at(-1).expect.created[0].id;
  }
}

const repeat = (times, play) => {
  for (let i = 0; i < times; i += 1) play(i);
};

const scenarios = [];

function scenario(name, play) {
  const script = new Script(name);
  play(script);
  const refused = script.steps.at(-1).expect.abort !== undefined;
  if (refused !== name.startsWith("refuses ")) throw new Error(`${name}: not as its name says`);
  scenarios.push({ name, steps: script.steps });
}

// The life of a seal.

scenario("a user's seal from mint to withdrawal", (s) =>
  s.mint(ALICE, 2n * SUI, h(1), { namespace: "team-a" }).wait(5).restake(h(1), 3n * SUI)
    .wait(DAY).unstake(h(1)).wait(7n * DAY).withdraw(h(1)));

scenario("a node's seal from mint to the name's next seal", (s) =>
  s.mint(ALICE, SUI, h(1), { node: "worker-001", validity: HOUR })
    .wait(HOUR).refresh(h(1), h(2), 366n * DAY)
    .unstake(h(2)).wait(7n * DAY).withdraw(h(2))
    .mint(ALICE, SUI / 2n, h(3), { node: "worker-001" }));

scenario("slashes round up and a restake restores", (s) =>
  s.mint(BOB, 500_000_001n, h(1)).slash(h(1), "missed attestation")
    .wait(DAY).slash(h(1), "again").restake(h(1), 95_000_000n).wait(1).restake(h(1), 1_000_000n)
    .wait(DAY).slash(h(1)));

scenario("a slash while unbonding takes money and no more", (s) =>
  s.mint(BOB, 7n * SUI + 3n, h(1)).unstake(h(1)).wait(DAY).slash(h(1), "late but caught")
    .wait(6n * DAY).withdraw(h(1)).payOut(700_000_001n, CAROL));

scenario("a slashed seal rotates as slashed and keeps its history", (s) =>
  s.mint(ALICE, SUI, h(1), { node: "n" }).slash(h(1)).wait(10).refresh(h(1), h(2))
    .wait(DAY).slash(h(2)).restake(h(2), SUI).refresh(h(2), h(3)));

scenario("a revoked seal can be withdrawn in full", (s) =>
  s.mint(ALICE, 10n * SUI, h(1), { node: "gone" }).revoke(h(1), "left the company")
    .unstake(h(1)).wait(7n * DAY).withdraw(h(1)));

scenario("a slashed seal can be revoked and unstaked", (s) =>
  s.mint(ALICE, SUI, h(1)).mint(ALICE, SUI, h(2)).slash(h(1)).revoke(h(1)).slash(h(2))
    .unstake(h(2)));

scenario("two owners and their lists", (s) =>
  s.mint(ALICE, SUI, h(1)).mint(BOB, SUI, h(2)).mint(ALICE, SUI, h(3)).mint(ALICE, SUI, h(4))
    .refresh(h(3), h(5)).unstake(h(1)).wait(7n * DAY).withdraw(h(1)).mint(ALICE, SUI, h(6)));

scenario("an expired seal is still its owner's to renew", (s) =>
  s.mint(ALICE, SUI, h(1), { validity: HOUR }).wait(31n * DAY).refresh(h(1), h(2))
    .wait(31n * DAY).restake(h(2), 1n).unstake(h(2)));

// Config, caps, names, pause.

scenario("a config takes effect after its delay and changes what slashes and mints do", (s) =>
  s.mint(ALICE, SUI, h(1)).announce({ viewer: 1n, slash_pct: 20n, slash_interval_ms: 0n })
    .announce({
      viewer: SUI, slash_pct: 20n, slash_interval_ms: 0n, config_delay_ms: 0n,
      unbonding_ms: 60_000n, validity_min_ms: 60_000n, validity_max_ms: 120_000n,
      validity_default_ms: 90_000n,
    })
    .wait(2n * DAY).apply().mint(BOB, SUI, h(2)).slash(h(2)).slash(h(2)).unstake(h(2))
    .wait(60_000).withdraw(h(2)).announce({}).apply());

scenario("slash caps come and go", (s) => {
  s.mint(ALICE, SUI, h(1)).mint(ALICE, SUI, h(2)).addCap(BOB);
  const second = s.made();
  s.slash(h(1), "by bob", second, BOB).removeCap(s.cap).revoke(h(2), "", second, BOB);
});

scenario("names are reserved, freed and voided", (s) =>
  s.reserve("control-1").unreserve("localhost").mint(ALICE, SUI, h(1), { node: "localhost" })
    .revoke(h(1)).voidClaim("localhost").mint(BOB, SUI, h(2), { node: "localhost" })
    .unstake(h(1)));

scenario("while paused, what ends a seal goes on", (s) =>
  s.mint(ALICE, SUI, h(1)).mint(BOB, SUI, h(2)).pause().slash(h(1)).unstake(h(1)).revoke(h(2))
    .wait(7n * DAY).withdraw(h(1)).pause(false).mint(CAROL, SUI, h(3)));

scenario("the longest of everything", (s) =>
  s.mint(ALICE, SUI, h(1), {
    node: `a${"-".repeat(61)}z`, namespace: "9".repeat(63), validity: 366n * DAY,
  }).slash(h(1), "é".repeat(64)).reserve("0"));

/** As many random steps as asked, all of them possible. */
function randomPlay(s, seed, steps) {
  let draws = 0;
  const below = (bound) => {
    draws += 1;
    return Number(BigInt(`0x${sha256(`${seed} ${draws}`).slice(0, 12)}`) % BigInt(bound));
  };
  const pick = (list) => list[below(list.length)];
  const known = [];
  /** A hash whose token is still there. */
  const held = () => pick(known.filter((hash) => s.tokens.has(hash)));
  const moves = [
    () => {
      const hash = h(1000 + draws);
      const node = pick([null, null, `node-${below(5)}`]);
      const namespace = pick([null, "wish"]);
      s.mint(pick([ALICE, BOB, CAROL]), 500_000_000 + below(6_000_000_000), hash, { node, namespace });
      known.push(hash);
    },
    () => s.restake(held(), 1 + below(900_000_000)),
    () => {
      const next = h(2000 + draws);
      s.refresh(held(), next, pick([0n, HOUR, 90n * DAY]));
      if (!s.refused) known.push(next);
    },
    () => s.unstake(held()),
    () => s.withdraw(held()),
    () => s.slash(pick(known), pick(["", "missed attestation"])),
    () => s.revoke(pick(known), "by hand"),
    () => s.voidClaim(`node-${below(5)}`),
    () => s.payOut(1 + below(90_000_000), CAROL),
    () => s.announce({ slash_pct: BigInt(1 + below(20)), slash_interval_ms: BigInt(below(2)) * DAY }),
    () => s.apply(),
  ];
  s.mint(ALICE, 3n * SUI, h(999));
  known.push(h(999));
  while (s.steps.length <= steps) {
    s.wait(below(Number(2n * DAY)));
    const move = pick([moves[0], ...moves, moves[5]]);
    s.tryTo(move);
  }
}

scenario("a random month", (s) => randomPlay(s, "month", 40));
scenario("another random month", (s) => randomPlay(s, "another", 40));

// Refusals, one for each code and place that a call can reach.

const one = (s) => s.mint(ALICE, SUI, h(1));

scenario("refuses a mint while paused", (s) => s.pause().mint(ALICE, SUI, h(1)));
scenario("refuses a restake while paused", (s) => one(s).pause().restake(h(1), 1n));
scenario("refuses a refresh while paused", (s) => one(s).pause().refresh(h(1), h(2)));
scenario("refuses a mint on a spent hash", (s) => one(s).mint(BOB, SUI, h(1)));
scenario("refuses a mint on a retired hash", (s) => one(s).refresh(h(1), h(2)).mint(BOB, SUI, h(1)));
scenario("refuses a hash of 31 bytes", (s) => s.mint(ALICE, SUI, h(1).slice(2)));
scenario("refuses a hash of 33 bytes", (s) => s.mint(ALICE, SUI, `${h(1)}00`));
scenario("refuses a stake of one MIST too little", (s) => s.mint(ALICE, SUI / 2n - 1n, h(1)));
scenario("refuses a validity of one ms too little", (s) =>
  s.mint(ALICE, SUI, h(1), { validity: HOUR - 1n }));
scenario("refuses a validity of one ms too much", (s) =>
  s.mint(ALICE, SUI, h(1), { validity: 366n * DAY + 1n }));
scenario("refuses a validity that would overflow", (s) =>
  s.mint(ALICE, SUI, h(1), { validity: 2n ** 64n - 1n }));
scenario("refuses a namespace of another form", (s) =>
  s.mint(ALICE, SUI, h(1), { namespace: "Team" }));
scenario("refuses an empty namespace", (s) => s.mint(ALICE, SUI, h(1), { namespace: "" }));
scenario("refuses a node name with a dot", (s) => s.mint(ALICE, SUI, h(1), { node: "a.b" }));
scenario("refuses a node name of 64 bytes", (s) =>
  s.mint(ALICE, SUI, h(1), { node: "a".repeat(64) }));
scenario("refuses a reserved node name", (s) => s.mint(ALICE, SUI, h(1), { node: "kubernetes" }));
scenario("refuses a second seal on the owner's own node", (s) =>
  s.mint(ALICE, SUI, h(1), { node: "n1" }).mint(ALICE, SUI, h(2), { node: "n1" }));
scenario("refuses another's node while its seal unbonds", (s) =>
  s.mint(ALICE, SUI, h(1), { node: "n1" }).unstake(h(1)).mint(BOB, SUI, h(2), { node: "n1" }));
scenario("refuses another's node after its withdrawal", (s) =>
  s.mint(ALICE, SUI, h(1), { node: "n1" }).unstake(h(1)).wait(7n * DAY).withdraw(h(1))
    .mint(BOB, SUI, h(2), { node: "n1" }));
scenario("refuses a seventeenth seal", (s) =>
  s.quietly(() => repeat(15, (i) => s.mint(ALICE, SUI, h(i)))).mint(ALICE, SUI, h(15))
    .mint(ALICE, SUI, h(16)));
scenario("refuses a restake of nothing", (s) => one(s).restake(h(1), 0n));
scenario("refuses a restake while unbonding", (s) => one(s).unstake(h(1)).restake(h(1), 1n));
scenario("refuses a restake of a revoked seal", (s) => one(s).revoke(h(1)).restake(h(1), 1n));
scenario("refuses a refresh to a spent hash", (s) => one(s).refresh(h(1), h(1)));
scenario("refuses a refresh to a short hash", (s) => one(s).refresh(h(1), ""));
scenario("refuses a refresh for too short", (s) => one(s).refresh(h(1), h(2), 1n));
scenario("refuses a refresh while unbonding", (s) => one(s).unstake(h(1)).refresh(h(1), h(2)));
scenario("refuses to unstake twice", (s) => one(s).unstake(h(1)).unstake(h(1)));
scenario("refuses to withdraw an active seal", (s) => one(s).withdraw(h(1)));
scenario("refuses to withdraw one ms early", (s) =>
  one(s).unstake(h(1)).wait(7n * DAY - 1n).withdraw(h(1)));
scenario("refuses to slash with a cap that was removed", (s) =>
  one(s).removeCap(s.cap).slash(h(1)));
scenario("refuses to slash with a long reason", (s) => one(s).slash(h(1), `a${"é".repeat(64)}`));
scenario("refuses to slash an unknown hash", (s) => s.slash(h(1)));
scenario("refuses to slash a revoked seal", (s) => one(s).revoke(h(1)).slash(h(1)));
scenario("refuses to slash a retired row", (s) => one(s).refresh(h(1), h(2)).slash(h(1)));
scenario("refuses to slash one ms too soon", (s) =>
  one(s).slash(h(1)).wait(DAY - 1n).slash(h(1)));
scenario("refuses to slash a rotated seal too soon", (s) =>
  one(s).slash(h(1)).refresh(h(1), h(2)).slash(h(2)));
scenario("refuses to revoke with a cap that was removed", (s) =>
  one(s).removeCap(s.cap).revoke(h(1)));
scenario("refuses to revoke with a long reason", (s) => one(s).revoke(h(1), "a".repeat(129)));
scenario("refuses to revoke an unknown hash", (s) => s.revoke(h(1)));
scenario("refuses to revoke an unbonding seal", (s) => one(s).unstake(h(1)).revoke(h(1)));
scenario("refuses to revoke twice", (s) => one(s).revoke(h(1)).revoke(h(1)));
scenario("refuses a config with falling thresholds", (s) =>
  s.announce({ developer: 5n * SUI }));
scenario("refuses a config that slashes a fifth and more", (s) => s.announce({ slash_pct: 21n }));
scenario("refuses to apply what was not announced", (s) => s.apply());
scenario("refuses to apply a config one ms early", (s) =>
  s.announce({}).wait(2n * DAY - 1n).apply());
scenario("refuses a seventeenth slash cap", (s) =>
  s.quietly(() => repeat(14, () => s.addCap(BOB))).addCap(BOB).addCap(BOB));
scenario("refuses to remove an unknown slash cap", (s) => s.removeCap(s.admin));
scenario("refuses to reserve what is no name", (s) => s.reserve("-"));
scenario("refuses to reserve a name twice", (s) => s.reserve("localhost"));
scenario("refuses a sixty-fifth reserved name", (s) =>
  s.quietly(() => repeat(61, (i) => s.reserve(`n${i}`))).reserve("last").reserve("one-more"));
scenario("refuses to free a name that is not reserved", (s) => s.unreserve("free"));
scenario("refuses to void a claim that is not there", (s) => s.voidClaim("free"));
scenario("refuses to void a claim twice", (s) =>
  s.mint(ALICE, SUI, h(1), { node: "n1" }).revoke(h(1)).voidClaim("n1").voidClaim("n1"));
scenario("refuses to void the claim of an active seal", (s) =>
  s.mint(ALICE, SUI, h(1), { node: "n1" }).voidClaim("n1"));
scenario("refuses to void the claim of a slashed seal", (s) =>
  s.mint(ALICE, SUI, h(1), { node: "n1" }).slash(h(1)).voidClaim("n1"));
scenario("refuses to pay out nothing", (s) => s.payOut(0n, BOB));
scenario("refuses to pay out stakes", (s) => one(s).payOut(1n, BOB));
scenario("refuses to migrate to the same version", (s) => s.migrate());

export { scenarios };
