// Where the compiler gets its sources: the package from this folder, the Sui framework
// from the registry crate that `framework/Cargo.toml` pins.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

import { MovePackageFetcher } from "@zktx.io/sui-move-builder/full";

/** The folder of the Move package. */
export const PACKAGE = join(dirname(fileURLToPath(import.meta.url)), "..");

const CRATE = "moverox-sui";

/** The crate's `move/` folder. Cargo fetches the crate if it is not there yet. */
function frameworkFolder() {
  const manifest = join(PACKAGE, "framework", "Cargo.toml");
  const args = ["metadata", "--locked", "--format-version", "1", "--manifest-path", manifest];
  const metadata = JSON.parse(
    execFileSync("cargo", args, { encoding: "utf8", maxBuffer: 256 << 20, timeout: 300_000 }),
  );
  const found = metadata.packages.find((candidate) => candidate.name === CRATE);
  if (!found) throw new Error(`cargo metadata does not list ${CRATE}`);
  return join(dirname(found.manifest_path), "move");
}

/** All files below a folder that belong to a Move package, by their path with slashes. */
export function moveFiles(folder, keep = () => true) {
  const files = {};
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = relative(folder, path).split(sep).join("/");
    if (name !== "Move.toml" && !/^(sources|tests)\/.*\.move$/.test(name)) continue;
    if (keep(name)) files[name] = readFileSync(path, "utf8");
  }
  return files;
}

/** Serves the framework packages, whatever git address they are asked by. */
class FrameworkFetcher extends MovePackageFetcher {
  #folder = frameworkFolder();

  async fetch(_git, _rev, subdir) {
    return this.#serve(subdir ?? "");
  }

  async fetchFile() {
    return null;
  }

  fetchLocal = async (path) => this.#serve(path);

  #serve(path) {
    const name = path.split("/").pop();
    if (!["sui-framework", "move-stdlib"].includes(name)) {
      throw new Error(`no sources for the dependency ${path}`);
    }
    // The framework's own tests would only cost time.
    return moveFiles(join(this.#folder, name), (file) => !file.startsWith("tests/"));
  }
}

/** What the compiler and the test runner take. */
export function compilerInput(files) {
  return { files, fetcher: new FrameworkFetcher(), network: "mainnet", ansiColor: false };
}
