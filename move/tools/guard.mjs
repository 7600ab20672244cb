// Runs a script's work in a process of its own with a deadline: the compiler and the VM
// are synchronous WASM, so an endless loop in Move would otherwise hang for ever.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

const MARK = "K3S_DAAS_MOVE_CHILD";

/** Calls `work` in a child that runs the same script, and exits as the child does. */
export async function guarded(scriptUrl, deadlineMs, work) {
  if (process.env[MARK]) {
    try {
      await work();
    } catch (error) {
      console.error(error.message);
      process.exitCode = 1;
    }
    return;
  }
  const child = fork(fileURLToPath(scriptUrl), process.argv.slice(2), {
    env: { ...process.env, [MARK]: "1" },
  });
  const killed = () => child.kill("SIGKILL");
  process.once("SIGINT", killed);
  process.once("SIGTERM", killed);
  process.once("exit", killed);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    killed();
  }, deadlineMs);
  const code = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (status) => resolve(status ?? 1));
  });
  clearTimeout(timer);
  if (late) console.error(`killed: not done within ${deadlineMs / 1000} s`);
  process.exitCode = code;
}
