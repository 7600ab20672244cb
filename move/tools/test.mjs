// Runs the package's Move unit tests and prints each test's result.
//
//   node tools/test.mjs
//
// The last line is `N passed, N failed`; the exit status is 0 only if all passed.
import { initMovePackageBuilder, testMovePackage } from "@zktx.io/sui-move-builder/full";

import { PACKAGE, compilerInput, moveFiles } from "./framework.mjs";
import { guarded } from "./guard.mjs";

const DEADLINE_MS = Number(process.env.K3S_DAAS_MOVE_TEST_SECONDS ?? 300) * 1000;

await guarded(import.meta.url, DEADLINE_MS, async () => {
  await initMovePackageBuilder();
  const result = await testMovePackage(compilerInput(moveFiles(PACKAGE)));
  if ("error" in result) throw new Error(result.error);
  console.log(result.output);
});
