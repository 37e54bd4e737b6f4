import { deepStrictEqual, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { V8_FLAGS } from "../../../../kernels/device/cpu/v8_flags.ts";
import settings from "../../../../deno.json" with { type: "json" };

const DIGESTS = fileURLToPath(new URL("../../../support/kernel_digests.ts", import.meta.url));
/** All functions are optimized before they run, as they are later in work that goes on. */
const AT_ONCE = "--no-liftoff";

Deno.test("kernels have the same bits with and without V8's flags", async () => {
  const [without, having] = await Promise.all([
    digests([AT_ONCE]),
    digests([AT_ONCE, ...V8_FLAGS]),
  ]);
  ok(Object.keys(without!).length > 20);
  deepStrictEqual(having, without);
});

Deno.test("tasks that run kernels have V8's flags", () => {
  const flags = `--v8-flags=${V8_FLAGS.join()}`;
  const having = Object.entries(settings.tasks)
    .filter(([, task]) => task.command.includes(flags))
    .map(([name]) => name);
  deepStrictEqual(having, [
    "run",
    "plan",
    "verify-export",
    "worker",
    "serve",
    "advise",
    "gpu-check",
    "bench",
  ]);
});

/** Digests by kernel, made under some flags. */
async function digests(flags: readonly string[]): Promise<Record<string, string>> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", DIGESTS],
    env: { DENO_V8_FLAGS: flags.join() },
  }).output();
  ok(success, new TextDecoder().decode(stderr));
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  return Object.fromEntries(lines.map((line) => line.split(" ")));
}
