// Slow: files of up to 100 MB are written, and programs of their own look at them.
import { match, ok, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { HOSTILE } from "../support/hostile_checkpoints.ts";

const PROGRAM = fileURLToPath(new URL("../../mod.ts", import.meta.url));
const PEAK = fileURLToPath(new URL("../support/peak_memory.ts", import.meta.url));
const MB = 2 ** 20;

/** Far more than the five seconds of a machine that does nothing else. */
const NEVER_SECONDS = 100;

/** Runs the program, and says what it said and the most memory that it held. */
async function run(directory: string, ...args: readonly string[]) {
  const peak = `${directory}/peak`;
  const { signal, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--preload", PEAK, PROGRAM, ...args],
    env: { NO_COLOR: "1", PEAK_FILE: peak },
    signal: AbortSignal.timeout(1000 * NEVER_SECONDS),
  }).output();
  strictEqual(signal, null, `${args} was ended after ${NEVER_SECONDS} s`);
  const bytes = Number(await Deno.readTextFile(peak));
  await Deno.remove(peak);
  ok(bytes > 10 * MB, `${args} held ${bytes} bytes`);
  return { said: [stdout, stderr].map((each) => new TextDecoder().decode(each)).join(""), bytes };
}

for (const { what, says, make, loads = false } of HOSTILE) {
  Deno.test(`${what}: inspect says so and load refuses, within 500 MB`, async () => {
    const directory = await Deno.makeTempDir();
    try {
      const place = `${directory}/model`;
      await Deno.mkdir(place);
      const model = await make(place);
      const manifest = `${directory}/load.yaml`;
      await Deno.writeTextFile(
        manifest,
        `steps:\n  source: { stage: load, with: { model: ${model} } }\n`,
      );
      const calls = [
        ["inspect", model],
        ...loads ? [] : [["run", manifest, "--store", `${directory}/store`]],
      ];
      for (const args of calls) {
        const { said, bytes } = await run(directory, ...args);
        match(said, says);
        ok(!/^\s+at /m.test(said), said);
        ok(bytes < 500 * MB, `${args[0]} took ${bytes / MB} MB`);
      }
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}
