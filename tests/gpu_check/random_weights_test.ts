import { strict as assert } from "node:assert";
import type { Row } from "./findings.ts";
import { type RoundSize, timeShape } from "./random_weights.ts";

/** Times a shape on a device that takes so many seconds a layer and token, on a clock of its own. */
async function timed(seconds: number, budget: number, layers = 32) {
  let now = 0;
  const rows: Row[] = [];
  const rounds: string[] = [];
  await timeShape(layers, {
    tell: (row) => void rows.push(row),
    left: () => budget - now,
    open: (count) =>
      Promise.resolve({
        run({ prompt, output }: RoundSize) {
          rounds.push(`${count} x ${prompt}`);
          const prefill = prompt * (1 + count) * seconds;
          const step = (1 + count) * seconds;
          now += prefill + step * output;
          // As an abort between two steps does.
          if (now > budget) return Promise.reject(new DOMException("late", "TimeoutError"));
          return Promise.resolve({ prefill, step });
        },
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
  });
  return { rows, rounds, now };
}

Deno.test("a quick device runs long prompts, and all layers are reckoned from two runs", async () => {
  const { rows, rounds } = await timed(1e-4, 300);
  assert.deepEqual(rounds, ["1 x 16", "1 x 16", "1 x 128", "1 x 128", "3 x 128"]);
  assert.deepEqual(rows.map(({ layers, prompt }) => [layers, prompt]), [
    [1, 16],
    [1, 128],
    [3, 128],
    ["32, reckoned", 128],
  ]);
  // A token takes a second and one more a layer, times 1e-4.
  assert.equal(rows[3]!["decode tokens/s"], (1 / 33e-4).toFixed(2));
  assert.equal(rows[3]!["prefill tokens/s"], (1 / 33e-4).toFixed(1));
});

Deno.test("a slow device runs prompts that its time has room for", async () => {
  const { rows, rounds, now } = await timed(0.02, 30);
  assert.deepEqual(rounds, ["1 x 16", "1 x 16", "1 x 32", "1 x 32", "3 x 32"]);
  assert.equal(rows.at(-1)!.layers, "32, reckoned");
  assert.ok(now <= 30);
});

Deno.test("what was found before the time ended is kept, and gives a bound", async () => {
  const { rows, rounds } = await timed(0.1, 10);
  assert.deepEqual(rounds, ["1 x 16", "1 x 16", "3 x 16"]);
  assert.deepEqual(rows.map(({ layers }) => layers), [
    1,
    "32, at least: time for one layer alone",
  ]);
  assert.equal(rows[1]!["decode tokens/s"], (1 / (32 * 0.2)).toFixed(2));
  // Not even one round.
  assert.deepEqual((await timed(1, 10)).rows, []);
});

Deno.test("an error that is none of time is told", async () => {
  const open = () => Promise.reject(new Error("the device was lost"));
  await assert.rejects(
    () => timeShape(32, { open, tell: () => {}, left: () => 10 }),
    /the device was lost/,
  );
});
