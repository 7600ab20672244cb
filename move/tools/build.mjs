// Compiles the package and writes the bytecode that `contract publish` uses.
//
//   node tools/build.mjs           writes bytecode/k3s_daas.json
//   node tools/build.mjs --check   fails if it is not what the sources give
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import {
  dumpMovePackage,
  getPinnedSuiVersion,
  initMovePackageBuilder,
} from "@zktx.io/sui-move-builder/full";

import { PACKAGE, compilerInput, moveFiles } from "./framework.mjs";
import { guarded } from "./guard.mjs";

const ARTEFACT = join(PACKAGE, "bytecode", "k3s_daas.json");
const DEADLINE_MS = 120_000;

async function build() {
  await initMovePackageBuilder();
  const sources = moveFiles(PACKAGE, (name) => !name.startsWith("tests/"));
  const result = await dumpMovePackage({ ...compilerInput(sources), lintFlag: "default" });
  if ("error" in result) throw new Error(result.error);
  if (result.warnings) throw new Error(result.warnings);
  return {
    compiler: await getPinnedSuiVersion(),
    // Object ids of the packages that are linked against.
    dependencies: result.dependencies,
    // The digest that an upgrade's ticket must name.
    digest: Buffer.from(result.digest).toString("hex"),
    // Base64 of each module's bytecode, in the order to publish them.
    modules: result.modules,
  };
}

await guarded(import.meta.url, DEADLINE_MS, async () => {
  const text = `${JSON.stringify(await build(), null, 2)}\n`;
  if (process.argv.includes("--check")) {
    if (readFileSync(ARTEFACT, "utf8") !== text) {
      throw new Error("bytecode/k3s_daas.json is not what the sources give: run `npm run build`");
    }
    console.log("bytecode/k3s_daas.json is what the sources give");
  } else {
    mkdirSync(dirname(ARTEFACT), { recursive: true });
    writeFileSync(ARTEFACT, text);
    console.log(`wrote bytecode/k3s_daas.json (${text.length} bytes)`);
  }
});
