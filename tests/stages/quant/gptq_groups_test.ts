import { strict as assert } from "node:assert";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import { prepare } from "../../../stages/quant/gptq_factor.ts";
import { roundGroups } from "../../../stages/quant/gptq_groups.ts";
import { type WeightScheme, weightScheme } from "../../../stages/quant/schemes.ts";
import { choleskyUpper } from "../../support/cholesky.ts";
import { DEVICES } from "../../support/devices.ts";
import { correlated, gaussian } from "../../support/gram.ts";

const [ROWS, COLUMNS, GROUP] = [6, 48, 16];
const DAMPING = 0.01;
const RATIO = 0.85;

const CASES: readonly (readonly [given: object, share: number])[] = [
  [{ zero: "none" }, 1],
  [{ zero: "none", full: true }, 2],
  [{ zero: "none", full: true, outlier_bits: 8 }, 2],
  [{ zero: "none", bits: 3, outlier_bits: 8 }, 3],
];

for (const [on, open] of Object.entries(DEVICES)) {
  Deno.test(`groups that GPTQ measures on its way are those of the closed form on ${on}`, async () => {
    await using device = await open();
    for (const [given, share] of CASES) {
      const scheme = weightScheme.parse({ ...given, group: GROUP });
      const label = JSON.stringify({ ...given, share });
      const [values, gram] = [gaussian(ROWS * COLUMNS, label), correlated(COLUMNS, label)];
      using factor = await prepare(device, gram, { block: GROUP, activationOrder: false });
      const weight = { rows: ROWS, columns: COLUMNS, values };
      const got = await roundGroups(device, factor, weight, { scheme, ratio: RATIO, share });
      const { codes, scales } = closedForm(values, gram, { scheme, share });
      assert.deepEqual([...got.scales], scales, label);
      // A value that lies on a tie up to f32 may go either way, and takes the rest of its row along.
      const differing = codes.filter((code, i) => code !== got.codes[i]).length;
      assert.ok(differing <= 2, `${label}: ${differing} codes differ`);
    }
  });
}

Deno.test("groups are measured on the way only where blocks are groups, in order", async () => {
  await using device = new ReferenceDevice();
  const scheme = weightScheme.parse({ zero: "none", group: GROUP });
  const weight = { rows: ROWS, columns: COLUMNS, values: gaussian(ROWS * COLUMNS, "w") };
  for (
    const [options, message] of [
      [{ block: 2 * GROUP, activationOrder: false }, /groups of 16 .*blocks have 32 columns/],
      [{ block: GROUP }, /blocks have 16 columns in another order, expected as many in order/],
    ] as const
  ) {
    using factor = await prepare(device, correlated(COLUMNS, "g"), options);
    await assert.rejects(
      roundGroups(device, factor, weight, { scheme, ratio: 1, share: 1 }),
      { name: "RangeError", message },
    );
  }
});

/**
 * Column by column in double precision: what is left has moved to where the outputs change least, by the
 * inverse of its own part of the damped Gram matrix; no factor is updated.
 */
function closedForm(
  values: Float32Array,
  gram: Float32Array,
  { scheme, share }: { readonly scheme: WeightScheme; readonly share: number },
) {
  const mean = Array.from({ length: COLUMNS }, (_, c) => gram[c * (COLUMNS + 1)]!)
    .reduce((a, b) => a + b) / COLUMNS;
  const h = (i: number, j: number) => gram[i * COLUMNS + j]! + (i === j ? DAMPING * mean : 0);
  const errors = new Float64Array(values.length);
  const codes: number[] = Array(values.length);
  const scales: number[] = Array(values.length / GROUP);
  const groups = COLUMNS / GROUP;
  const most = 2 ** (scheme.bits - 1) - 1;
  const low = scheme.full ? -most - 1 : -most;
  let moved = new Float64Array(values.length);
  for (let c = 0; c < COLUMNS; c++) {
    const group = Math.floor(c / GROUP);
    const wide = scheme.outlier_bits !== undefined && group === groups - 1;
    if (!wide || c % GROUP === 0) moved = movedFrom(c);
    if (c % GROUP === 0) {
      const largest = Array.from({ length: ROWS }, (_, row) =>
        Math.max(
          ...moved.subarray(row * COLUMNS + c, row * COLUMNS + c + GROUP)
            .map((x) => Math.abs(Math.fround(x))),
        ));
      for (let row = 0; row < ROWS; row++) {
        const first = row - row % share;
        const shared = wide ? largest[row]! : Math.max(...largest.slice(first, first + share));
        scales[row * groups + group] = Math.f16round(
          wide ? shared / 127 : RATIO * shared / ((most - low) / 2),
        );
      }
    }
    for (let row = 0; row < ROWS; row++) {
      const at = row * COLUMNS + c;
      const scale = scales[row * groups + group]!;
      const [least, high] = wide ? [-127, 127] : [low, most];
      codes[at] = Math.min(high, Math.max(least, even(moved[at]! / scale)));
      errors[at] = values[at]! - codes[at]! * scale;
    }
  }
  return { codes, scales };

  /** The weights from a column on, given the errors of those before. */
  function movedFrom(first: number): Float64Array<ArrayBuffer> {
    const left = COLUMNS - first;
    const own = Float64Array.from(
      { length: left * left },
      (_, at) => h(first + Math.floor(at / left), first + at % left),
    );
    const v = choleskyUpper(own, left)!;
    const all = Float64Array.from(values);
    for (let row = 0; row < ROWS; row++) {
      const x = Float64Array.from({ length: left }, (_, i) => {
        let sum = 0;
        for (let j = 0; j < first; j++) sum += h(first + i, j) * errors[row * COLUMNS + j]!;
        return sum;
      });
      // V^T y = b, then V x = y.
      for (let i = 0; i < left; i++) {
        for (let j = 0; j < i; j++) x[i]! -= v[j * left + i]! * x[j]!;
        x[i]! /= v[i * (left + 1)]!;
      }
      for (let i = left - 1; i >= 0; i--) {
        for (let j = i + 1; j < left; j++) x[i]! -= v[i * left + j]! * x[j]!;
        x[i]! /= v[i * (left + 1)]!;
      }
      x.forEach((value, i) => all[row * COLUMNS + first + i]! += value);
    }
    return all;
  }
}

function even(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1;
}
