// Slow: starts a process a reader, and hands odd inputs to it.
import { deepStrictEqual, notDeepStrictEqual, ok, strictEqual } from "node:assert/strict";
import finds from "../fuzz/finds.json" with { type: "json" };
import { faultOf } from "../fuzz/attempts.ts";
import { fuzz } from "../fuzz/fuzz.ts";
import { mutant, randomAt } from "../fuzz/mutation.ts";
import { TARGETS } from "../fuzz/targets.ts";
import { withDirectory } from "../support/directory.ts";

/** Inputs of each reader; `deno task fuzz` takes as many as there is time for. */
const COUNT = 60;

for (const target of Object.keys(TARGETS)) {
  Deno.test(`odd inputs of ${target} are read or refused in a sentence`, async () => {
    const { faults, done } = await fuzz(target, { seed: 18, count: COUNT });
    deepStrictEqual(faults, []);
    strictEqual(done, COUNT);
  });
}

Deno.test("a reader that is stopped when its time is over goes on behind what it has read", async () => {
  let first = 0;
  for (let round = 0; round < 6; round++) {
    const { faults, done } = await fuzz("detokenize", {
      seed: 18,
      first,
      count: 1e6,
      seconds: 0.3,
    });
    deepStrictEqual(faults, []);
    ok(done >= 1, `${done} after ${first}`);
    first += done;
  }
  ok(first > 50, `${first} inputs`);
});

Deno.test("what was found once is not found again", async () => {
  for (const { target, input } of finds) {
    await withDirectory(async (directory) => {
      const reader = TARGETS[target]!;
      await reader.seeds(directory);
      const fault = await faultOf(reader, Uint8Array.fromBase64(input), directory);
      strictEqual(fault, undefined, `${target}: ${input}`);
    });
  }
});

Deno.test("inputs depend on the seed and their number alone, and are not the seeds' own", async () => {
  await withDirectory(async (directory) => {
    const { words, seeds } = TARGETS.chat!;
    const from = await seeds(directory);
    const inputs = (seed: number) =>
      Array.from({ length: 50 }, (_, at) => mutant(from, words, randomAt(seed, at)));
    deepStrictEqual(inputs(1), inputs(1));
    notDeepStrictEqual(inputs(1), inputs(2));
    ok(new Set(inputs(1).map((one) => one.toBase64())).size > 40);
  });
});
