// Runs the package's Move unit tests and prints each test's result.
//
//   node tools/test.mjs
//
// Two runs: the tests of `tests/`, and then every refusal of the golden file once more
// without `expected_failure`, because the runner names the function that aborted, and the
// last call of the scenario, only where it did not expect to. The last line is
// `N passed, N failed`; the exit status is 0 only if all passed.
import { readFileSync } from "node:fs";

import { initMovePackageBuilder, testMovePackage } from "@zktx.io/sui-move-builder/full";

import { PACKAGE, compilerInput, moveFiles } from "./framework.mjs";
import { GOLDEN, moveModule, testName } from "./golden.mjs";
import { guarded } from "./guard.mjs";

const DEADLINE_MS = Number(process.env.K3S_DAAS_MOVE_TEST_SECONDS ?? 300) * 1000;

/** Runs all tests of these files. */
async function run(files) {
  const result = await testMovePackage(compilerInput(files));
  if ("error" in result) throw new Error(result.error);
  const results = [...result.output.matchAll(/^\[ (PASS|FAIL|TIMEOUT)\s*\] (\S+)/gm)].map(
    ([, verdict, name]) => ({ name, passed: verdict === "PASS" }),
  );
  // What did not compile has no results and no total.
  const total = Number(result.output.match(/Total tests: (\d+)/)?.[1] ?? NaN);
  if (!results.length || results.length !== total) throw new Error(result.output);
  return { results, output: result.output };
}

/** What the runner says of each failed test: the code, and where. */
function failures(output) {
  const found = new Map();
  for (const [, name, body] of output.matchAll(/^┌── (\S+) ─+\n([\s\S]*?)^└─+$/gm)) {
    const [, code, module] =
      body.match(/aborted with code (\d+) originating in the module \w+::(\w+)/) ?? [];
    // "644 │ fun assert_fresh_hash(…" is the line above "In this function in".
    const fn = body.match(/(?:fun) (\w+)[\s\S]*?In this function in/)?.[1];
    const calls = [...body.matchAll(/\(tests\/refusals\.move:(\d+)\)/g)];
    found.set(name, { code: Number(code), module, function: fn, line: Number(calls.at(-1)?.[1]) });
  }
  return found;
}

/** Checks each refusal's code, function and place in the scenario. */
async function runRefusals(files) {
  const { scenarios } = JSON.parse(readFileSync(GOLDEN, "utf8"));
  const refusing = scenarios.filter((scenario) => scenario.steps.at(-1).expect.abort);
  const source = moveModule("refusals", refusing, true);
  const sources = Object.fromEntries(
    Object.entries(files).filter(([name]) => !/^tests\/.*_tests\.move$/.test(name)),
  );
  const { output } = await run({ ...sources, "tests/refusals.move": source });
  const found = failures(output);
  const lines = source.split("\n");
  return refusing.map((scenario) => {
    const { call, expect } = scenario.steps.at(-1);
    const name = testName(scenario.name);
    const got = found.get(name) ?? {};
    const start = lines.indexOf(`fun ${name}() {`);
    const end = lines.indexOf("}", start);
    const lastCall = lines.findLastIndex((text, i) => i < end && text.includes(`pool.${call}(`)) + 1;
    const want = { ...expect.abort, line: lastCall };
    const keys = ["code", "module", "function", "line"];
    const passed = keys.every((key) => got[key] === want[key]);
    const detail = passed ? "" : `: ${JSON.stringify(got)} instead of ${JSON.stringify(want)}`;
    return { name: `refusals::${name}${detail}`, passed };
  });
}

await guarded(import.meta.url, DEADLINE_MS, async () => {
  await initMovePackageBuilder();
  const files = moveFiles(PACKAGE);
  const { results, output } = await run(files);
  const all = [...results, ...(await runRefusals(files))];
  const failed = all.filter((test) => !test.passed).length;
  if (results.some((test) => !test.passed)) console.log(output.slice(output.indexOf("Test failures")));
  for (const { name, passed } of all) console.log(`${passed ? "ok    " : "FAILED"} ${name}`);
  console.log(`${all.length - failed} passed, ${failed} failed`);
  if (failed) process.exitCode = 1;
});
