import { strict as assert } from "node:assert";
import { type Checkpoint, headerCheckpoint } from "../../../stages/formats/checkpoint.ts";
import { quantizedPieces } from "../../../stages/quantize/pieces.ts";
import { quantizeSite, type SiteMethod } from "../../../stages/quantize/site.ts";
import { rangeSearch } from "../../../stages/quant/range_params.ts";
import { weightScheme } from "../../../stages/quant/schemes.ts";
import { DEVICES } from "../../support/devices.ts";
import { correlated, gaussian } from "../../support/gram.ts";

const [ROWS, COLUMNS] = [22, 64];
const GPTQ = { damping: 0.01, block: 16, tries: 5, activationOrder: true };
const SEARCH = rangeSearch.parse({ grids: 6, max_shrink: 0.7, gptq_shares: [1, 0.5] });

const ALONG = { gptq: { ...GPTQ, activationOrder: false }, along: true, range: 0.9, share: 2 };

const CASES: readonly (readonly [scheme: object, method: Omit<SiteMethod, "linears">])[] = [
  [{ group: 16, levels: 2 }, { gptq: GPTQ, range: SEARCH }],
  [{ group: 16, bits: 3 }, { gptq: undefined, range: { ...SEARCH, objective: "tensor" } }],
  [{ group: "row", zero: "none" }, { gptq: GPTQ, range: 1 }],
  [{ group: 16 }, { gptq: GPTQ, range: 1, descent: { damping: 0.01, block: 16, passes: 2 } }],
  [{ group: 16, zero: "none", full: true, outlier_bits: 8 }, ALONG],
];

for (const [on, open] of Object.entries(DEVICES)) {
  Deno.test(`a weight that is quantized some rows at a time is what it is at once on ${on}`, async () => {
    await using device = await open();
    for (const [given, method] of CASES) {
      const label = JSON.stringify(given);
      const made = async (values: number) => {
        const asked = { ...method, linears: [{ linear: LINEAR, scheme: schemeOf(given) }] };
        const known = { gram: correlated(COLUMNS, label) };
        return await quantizeSite(device, checkpointOf(label), asked, { known, values });
      };
      const whole = await made(Infinity);
      const { weightError, outputError } = whole.facts.w!;
      assert.ok(weightError > 0 && outputError! > 0, label);
      for (const values of [1, 3 * COLUMNS, 8 * COLUMNS]) {
        assert.deepEqual(await made(values), whole, label);
      }
    }
  });
}

Deno.test("rows that share scales come together, and all of a weight where all of it decides", () => {
  const pieces = (given: object, method: Pick<SiteMethod, "range" | "share">) =>
    quantizedPieces(LINEAR, schemeOf(given).weights, method, 5 * COLUMNS)
      .map(({ start, end }) => [start, end]);
  assert.deepEqual(pieces({ group: 16 }, { range: 1 }), [[0, 5], [5, 10], [10, 15], [15, 20], [
    20,
    22,
  ]]);
  assert.deepEqual(pieces({ group: 16 }, { range: 1, share: 2 })[0], [0, 4]);
  assert.deepEqual(pieces({ group: 16 }, { range: SEARCH }).length, 5);
  for (const granularity of ["channel_group", "layer"] as const) {
    assert.deepEqual(pieces({ group: 16 }, { range: { ...SEARCH, granularity } }), [[0, ROWS]]);
  }
  assert.deepEqual(pieces({ group: "tensor", bits: 8, zero: "none" }, { range: 1 }), [[0, ROWS]]);
});

Deno.test("a value that is not finite is named by its place in the whole weight", async () => {
  await using device = await DEVICES["the host reference"]!();
  const broken = checkpointOf("broken", (values) => values[9 * COLUMNS + 7] = NaN);
  const method = {
    gptq: undefined,
    range: 1,
    linears: [{ linear: LINEAR, scheme: schemeOf({ group: 16 }) }],
  };
  await assert.rejects(
    quantizeSite(device, broken, method, { known: undefined, values: 4 * COLUMNS }),
    new RegExp(`"w.weight" of "none": its value ${9 * COLUMNS + 7} is NaN`),
  );
});

const LINEAR = { name: "w", weight: "w.weight", bias: undefined, rows: ROWS, columns: COLUMNS };

function schemeOf(given: object) {
  return { weights: weightScheme.parse(given) };
}

/** One weight of random values, which are changed before they are read. */
function checkpointOf(seed: string, change: (values: Float32Array) => void = () => {}): Checkpoint {
  const values = gaussian(ROWS * COLUMNS, seed);
  change(values);
  const shape = [ROWS, COLUMNS];
  return {
    ...headerCheckpoint({
      config: {},
      tensors: new Map([["w.weight", { name: "w.weight", dtype: "F32", shape, file: "none" }]]),
    }),
    read: (_name, rows = { start: 0, end: ROWS }) =>
      Promise.resolve(values.slice(rows.start * COLUMNS, rows.end * COLUMNS)),
  };
}
