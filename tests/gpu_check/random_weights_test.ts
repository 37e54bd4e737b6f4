import { strict as assert } from "node:assert";
import type { Row } from "./findings.ts";
import { type RoundSize, timeShape } from "./random_weights.ts";

/** Times a shape on a device that takes so many seconds a layer and token, on a clock of its own. */
async function timed(
  seconds: number,
  budget: number,
  { layers = 32, most = Infinity }: { readonly layers?: number; readonly most?: number } = {},
) {
  let now = 0;
  const rows: Row[] = [];
  const rounds: string[] = [];
  const without: string[] = [];
  const making = {
    leave: (what: string) => void without.push(what),
    tell: (row: Row) => void rows.push(row),
    at() {},
    left: () => budget - now,
  };
  await timeShape({
    layers,
    renew: () => Promise.resolve(void rounds.push("renewed")),
    least: (count, { prompt, batch }) =>
      Promise.resolve({ prefill: batch * prompt * count * seconds / 2, step: count * seconds / 4 }),
    open: (count) => {
      if (count > most) return Promise.reject(new Error("it has no memory left"));
      return Promise.resolve({
        run({ prompt, output, batch }: RoundSize) {
          rounds.push(`${count} x ${batch > 1 ? `${batch} x ` : ""}${prompt}`);
          const prefill = batch * prompt * (1 + count) * seconds;
          const step = (1 + count) * seconds;
          now += prefill + step * output;
          // As an abort between two steps does.
          if (now > budget) return Promise.reject(new DOMException("late", "TimeoutError"));
          return Promise.resolve({ prefill, step });
        },
        [Symbol.asyncDispose]: () => Promise.resolve(),
      });
    },
  }, making);
  return { rows, rounds, now, without };
}

Deno.test("a quick device runs long prompts, then all layers, then batches", async () => {
  const { rows, rounds, without } = await timed(1e-4, 300);
  assert.deepEqual(without, []);
  const small = ["1 x 16", "1 x 16"];
  const long = ["1 x 1024", "1 x 1024", "3 x 1024", "32 x 16", "32 x 1024"];
  const batches = [16, 64, 128].flatMap((batch) => Array(2).fill(`32 x ${batch} x 64`));
  assert.deepEqual(rounds, [...small, ...long, ...batches]);
  assert.deepEqual(rows.map(({ layers, batch, prompt }) => [layers, batch, prompt]), [
    [1, 1, 16],
    [1, 1, 1024],
    [3, 1, 1024],
    ["32, reckoned", 1, 1024],
    [32, 1, 1024],
    [32, 16, 64],
    [32, 64, 64],
    [32, 128, 64],
  ]);
  // A token takes a second and one more a layer, times 1e-4: all layers are reckoned as they run.
  for (const row of [rows[3]!, rows[4]!]) {
    assert.equal(row["decode tokens/s"], (1 / 33e-4).toFixed(2));
    assert.equal(row["prefill tokens/s"], (1 / 33e-4).toFixed(1));
    // At least 32 halves, or fourths, of such seconds.
    assert.equal(row["of the ceiling"], `${(100 * 16 / 33).toFixed(0)} %`);
    assert.equal(row["of the floor"], `${(100 * 8 / 33).toFixed(0)} %`);
  }
  assert.equal(rows[7]!["decode tokens/s"], (128 / 33e-4).toFixed(2));
});

Deno.test("a card with too little memory for all layers says so and loses nothing", async () => {
  const { rows, rounds } = await timed(1e-4, 300, { most: 3 });
  assert.equal(rows.at(-2)!.layers, "32, reckoned");
  assert.deepEqual(rows.at(-1), { layers: 32, note: "it has no memory left" });
  assert.equal(rounds.at(-1), "renewed");
});

Deno.test("a slow device runs prompts that its time has room for", async () => {
  const { rows, rounds, now, without } = await timed(0.02, 30);
  assert.deepEqual(without, ["all 32 layers at once"]);
  assert.deepEqual(rounds, ["1 x 16", "1 x 16", "1 x 32", "1 x 32", "3 x 32"]);
  assert.equal(rows.at(-1)!.layers, "32, reckoned");
  assert.ok(now <= 30);
});

Deno.test("what was found before the time ended is kept, and gives a bound", async () => {
  const { rows, rounds, without } = await timed(0.1, 10);
  assert.deepEqual(without, ["more than 1 of 32 layers"]);
  assert.deepEqual(rounds, ["1 x 16", "1 x 16", "3 x 16"]);
  assert.deepEqual(rows.map(({ layers }) => layers), [
    1,
    "32, at least: time for one layer alone",
  ]);
  assert.equal(rows[1]!["decode tokens/s"], (1 / (32 * 0.2)).toFixed(2));
  // Not even one round.
  const nothing = await timed(1, 10);
  assert.deepEqual([nothing.rows, nothing.without], [[], ["32 layers"]]);
});

Deno.test("an error that is none of time is told", async () => {
  const open = () => Promise.reject(new Error("the device was lost"));
  await assert.rejects(
    () => timeShape({ layers: 32, open }, { tell() {}, at() {}, leave() {}, left: () => 10 }),
    /the device was lost/,
  );
});
