import { strict as assert } from "node:assert";
import { codeOf, valueOf } from "../../../kernels/codes/quantizer.ts";
import { descend } from "../../../stages/quant/descent.ts";
import { weightScheme } from "../../../stages/quant/schemes.ts";
import {
  domainOf,
  gridFor,
  measureGroups,
  roundToNearest,
} from "../../../stages/quant/weight_grid.ts";
import { DEVICES } from "../../support/devices.ts";
import { correlated, gaussian } from "../../support/gram.ts";

const [ROWS, COLUMNS, BLOCK] = [5, 48, 16];
const DAMPING = 0.01;

const CASES = [
  { group: 16, zero: "none" },
  { group: 24, zero: "post_scale" },
  { group: "row", zero: "pre_scale", bits: 3 },
  { group: 16, levels: 2 },
] as const;

for (const [on, open] of Object.entries(DEVICES)) {
  Deno.test(`codes go down column by column as they do one at a time on ${on}`, async () => {
    await using device = await open();
    for (const given of CASES) {
      const label = JSON.stringify(given);
      const scheme = weightScheme.parse(given);
      const values = gaussian(ROWS * COLUMNS, label);
      const domain = domainOf({ rows: ROWS, columns: COLUMNS, values }, scheme);
      const grid = gridFor(domain, scheme, measureGroups(domain, scheme));
      const { codes } = roundToNearest(domain, grid);
      const gram = correlated(COLUMNS, label);
      // A column that is never used.
      for (let c = 0; c < COLUMNS; c++) gram[3 * COLUMNS + c] = gram[c * COLUMNS + 3] = 0;
      /** The damped Gram matrix; the unused column has a diagonal of 1 before. */
      const h = (i: number, j: number): number => {
        const diagonal = (c: number) => gram[c * (COLUMNS + 1)]! || 1;
        const mean = Array.from({ length: COLUMNS }, (_, c) => diagonal(c))
          .reduce((a, b) => a + b) / COLUMNS;
        return i === j ? diagonal(i) + DAMPING * mean : gram[i * COLUMNS + j]!;
      };

      const wanted = (i: number): number => {
        return i % COLUMNS === 3 ? 0 : domain.values[i]!;
      };

      const value = (codes: ArrayLike<number>, i: number): number => {
        const at = Math.floor(i / grid.group);
        return valueOf(codes[i]!, grid.scales[at]!, grid.zeros[at]!, grid.zero);
      };

      const objective = (codes: ArrayLike<number>): number => {
        let sum = 0;
        for (let row = 0; row < ROWS; row++) {
          const d = (c: number) => wanted(row * COLUMNS + c) - value(codes, row * COLUMNS + c);
          for (let i = 0; i < COLUMNS; i++) {
            for (let j = 0; j < COLUMNS; j++) sum += d(i) * h(i, j) * d(j);
          }
        }
        return sum;
      };

      const oneByOne = (from: ArrayLike<number>, passes: number): number[] => {
        const codes = Array.from(from);
        for (let pass = 0; pass < passes; pass++) {
          for (let row = 0; row < ROWS; row++) {
            for (let c = COLUMNS - 1; c >= 0; c--) {
              let sum = 0;
              for (let j = 0; j < COLUMNS; j++) {
                const i = row * COLUMNS + j;
                if (j !== c) sum += (wanted(i) - value(codes, i)) * h(j, c);
              }
              const i = row * COLUMNS + c;
              const at = Math.floor(i / grid.group);
              const bound = domain.bound ?? Infinity;
              const best = Math.min(bound, Math.max(-bound, wanted(i) + sum / h(c, c)));
              codes[i] = codeOf(Math.fround(best), grid.scales[at]!, grid.zeros[at]!, grid);
            }
          }
        }
        return codes;
      };
      const options = { gram, damping: DAMPING, block: BLOCK };
      let last = objective(codes);
      for (const passes of [1, 3]) {
        const got = await descend(device, domain, grid, codes, { ...options, passes });
        const expected = oneByOne(codes, passes);
        const differing = expected.filter((code, i) => code !== got[i]).length;
        // A value that lies on a tie up to f32 may go either way, and moves others.
        assert.ok(differing <= 3, `${label}, ${passes} passes: ${differing} codes differ`);
        const now = objective(got);
        assert.ok(now < last, `${label}: ${now} behind ${passes} passes, ${last} before`);
        last = now;
      }
    }
  });
}
