// Writes the golden file and the Move test that checks it.
//
//   node tools/golden.mjs           golden/scenarios.json and tests/golden_tests.move
//   node tools/golden.mjs --check   fails if they are not what the scripts give
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PACKAGE = fileURLToPath(new URL("..", import.meta.url));
export const GOLDEN = join(PACKAGE, "golden", "scenarios.json");
const TESTS = join(PACKAGE, "tests", "golden_tests.move");

/** The Move name of each type of object. */
const TYPES = { Coin: "Coin<SUI>" };

/** How each call's arguments are written in Move, in order. `coin` and objects are taken first. */
const CALLS = {
  stake_and_mint_seal: (a) => [
    "coin", hex(a.hash), maybe(a.node_id), maybe(a.namespace), a.validity_ms, "&clock",
  ],
  restake: () => ["&token", "coin", "&clock"],
  refresh_seal_token: (a) => ["&mut token", hex(a.new_hash), a.validity_ms, "&clock"],
  request_unstake: () => ["&token", "&clock"],
  withdraw: () => ["token", "&clock"],
  slash: (a) => ["&cap", hex(a.hash), text(a.reason), "&clock"],
  revoke: (a) => ["&cap", hex(a.hash), text(a.reason), "&clock"],
  announce_config: ({ cap, ...config }) => ["&cap", ...Object.values(config), "&clock"],
  apply_config: () => ["&cap", "&clock"],
  add_slash_cap: (a) => ["&cap", `@${a.holder}`],
  remove_slash_cap: (a) => ["&cap", id(a.id)],
  reserve_name: (a) => ["&cap", text(a.name)],
  unreserve_name: (a) => ["&cap", text(a.name)],
  void_claim: (a) => ["&cap", text(a.name)],
  set_paused: (a) => ["&cap", String(a.paused)],
  withdraw_treasury: (a) => ["&cap", a.amount, `@${a.recipient}`],
  migrate: () => ["&cap"],
};

const hex = (bytes) => `x"${bytes}"`;
const text = (value) => `x"${Buffer.from(value).toString("hex")}".to_string()`;
const maybe = (value) => (value === null ? "option::none()" : `option::some(${text(value)})`);
const id = (value) => `object::id_from_address(@${value})`;
const list = (items) => `vector[${items.join(", ")}]`;

/** The name of a scenario's test. */
export const testName = (name) => name.toLowerCase().replace(/[^a-z0-9]+/g, "_");

/** One Move test module. With `bare`, refusals are not expected, so that the runner tells them. */
export function moveModule(name, scenarios, bare = false) {
  const tests = scenarios.map((scenario) => moveTest(scenario, bare));
  return `// Made by tools/golden.mjs from golden/scenarios.json. Do not edit.

#[test_only]
module k3s_daas::${name};

use k3s_daas::golden;
use k3s_daas::staking::{AdminCap, SealToken, SlashCap};
use sui::coin::Coin;
use sui::sui::SUI;

${tests.join("\n")}`;
}

function moveTest(scenario, bare) {
  const refusal = scenario.steps.at(-1).expect.abort;
  const attribute =
    refusal && !bare
      ? `#[test, expected_failure(abort_code = ${refusal.code}, location = k3s_daas::${refusal.module})]`
      : "#[test]";
  const [first, ...rest] = scenario.steps;
  const lines = [
    attribute,
    `fun ${testName(scenario.name)}() {`,
    `    let mut g = golden::begin(@${first.sender}, ${hex(first.digest)}, ${first.first_id});`,
    ...objectLines(first.expect),
    `    g.check(${hex(first.expect.pool.bcs)}, vector[], vector[], vector[]);`,
    ...rest.flatMap((step) => stepLines(step)),
    "    g.end();",
    "}",
    "",
  ];
  return lines.join("\n");
}

function stepLines({ call, sender, digest, first_id, now, args, expect }) {
  const lines = [`    // ${call}`];
  lines.push(`    let (mut pool, clock) = g.open(@${sender}, ${now});`);
  const at = `@${sender}`;
  if (args.token) lines.push(`    let mut token = g.take<SealToken>(${at}, ${id(args.token)});`);
  const capType = ["slash", "revoke"].includes(call) ? "SlashCap" : "AdminCap";
  if (args.cap) lines.push(`    let cap = g.take<${capType}>(${at}, ${id(args.cap)});`);
  if (args.coin) lines.push(`    let coin = g.coin(${args.coin});`);
  lines.push(`    let mut ctx = golden::context(${at}, ${hex(digest)}, ${first_id});`);
  const values = [...CALLS[call](args), "&mut ctx"];
  lines.push(`    pool.${call}(${values.join(", ")});`);
  if (args.token && call !== "withdraw") lines.push(`    golden::put(${at}, token);`);
  if (args.cap) lines.push(`    golden::put(${at}, cap);`);
  lines.push("    g.close(pool, clock);");
  const mutable = call === "refresh_seal_token";
  if (args.token && !mutable) {
    const at = lines.findIndex((line) => line.includes("let mut token"));
    lines[at] = lines[at].replace("let mut", "let");
  }
  if (!expect.pool) return lines;
  lines.push(...objectLines(expect));
  const events = expect.events.map(({ type, bcs }) => hex(`${typeNumber(type)}${bcs}`));
  const rows = expect.rows.map((row) => hex(row.value));
  const places = expect.rows.map(place);
  lines.push(
    `    g.check(${hex(expect.pool.bcs)}, ${list(events)}, ${list(places)}, ${list(rows)});`,
  );
  return lines;
}

/** Events are compared with one byte before them that tells their type. */
const typeNumber = (type) =>
  `0${["SealChanged", "NodeClaimed", "ConfigChanged"].indexOf(type)}`;

/** A row's table and key, as `golden.move` takes them: one byte and the raw key. */
function place({ table, key }) {
  const raw = {
    seals: key,
    nodes: Buffer.from(key).toString("hex"),
    owners: key.slice(2),
  }[table];
  return hex(`0${["seals", "nodes", "owners"].indexOf(table)}${raw}`);
}

function objectLines({ created = [], mutated = [], deleted = [] }) {
  const changed = [...created, ...mutated].map((object) => {
    const type = TYPES[object.type] ?? object.type;
    return `    g.check_object<${type}>(@${object.owner}, ${id(object.id)}, ${hex(object.bcs)});`;
  });
  return [...changed, ...deleted.map((gone) => `    g.check_deleted(${id(gone)});`)];
}

async function main() {
  const { scenarios } = await import("./scenarios.mjs");
  const golden = `${JSON.stringify({ format: 1, scenarios }, null, 1)}\n`;
  const files = [
    [GOLDEN, golden],
    // From what the file says, not from what the scripts said.
    [TESTS, moveModule("golden_tests", JSON.parse(golden).scenarios)],
  ];
  for (const [path, content] of files) {
    if (!process.argv.includes("--check")) {
      writeFileSync(path, content);
    } else if (readFileSync(path, "utf8") !== content) {
      console.error(`${path} is not what the scripts give: run \`npm run golden\``);
      process.exitCode = 1;
    }
  }
  console.log(`${scenarios.length} scenarios`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
