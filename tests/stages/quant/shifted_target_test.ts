import { strict as assert } from "node:assert";
import { f32 } from "../../../kernels/device/tensor.ts";
import { CrossGram, transposed } from "../../../stages/quant/cross_gram.ts";
import { GramMatrix } from "../../../stages/quant/gram.ts";
import { ShiftedTarget } from "../../../stages/quant/shifted_target.ts";
import { DEVICES } from "../../support/devices.ts";
import { normals } from "../../support/random.ts";

/** More columns than a block has, and tokens that are no multiple of 8. */
const [ROWS, COLUMNS] = [3, 200];
const TOKENS = [309, 203];
const DAMPING = 0.02;
/** A column whose input is always zero behind quantized layers. */
const DEAD = 131;

for (const [on, open] of Object.entries(DEVICES)) {
  Deno.test(`shifted weights have the least damped error of exact outputs on ${on}`, async () => {
    await using device = await open();
    const random = normals("shifted");
    const draw = (count: number) => Float32Array.from({ length: count }, () => random.next().value);
    const mix = draw(COLUMNS * COLUMNS);
    const windows = TOKENS.map((tokens) => {
      const [base, noise] = [draw(tokens * COLUMNS), draw(tokens * COLUMNS)];
      const exact = new Float32Array(tokens * COLUMNS);
      for (let t = 0; t < tokens; t++) {
        for (let c = 0; c < COLUMNS; c++) {
          let sum = 0;
          for (let j = c % 7; j < COLUMNS; j += 7) {
            sum += base[t * COLUMNS + j]! * mix[j * COLUMNS + c]!;
          }
          exact[t * COLUMNS + c] = sum / 5;
        }
      }
      const got = exact.map((value, i) => i % COLUMNS === DEAD ? 0 : 0.9 * value + 0.3 * noise[i]!);
      return { tokens, exact, got };
    });
    const weight = { rows: ROWS, columns: COLUMNS, values: draw(ROWS * COLUMNS) };

    using gram = new GramMatrix(device, COLUMNS);
    using cross = new CrossGram(device, COLUMNS);
    for (const { tokens, exact, got } of windows) {
      using x = device.upload(f32([tokens, COLUMNS], got));
      using whole = device.upload(f32([tokens, COLUMNS], exact));
      using others = transposed(device, whole);
      gram.add(x);
      cross.add(x, others);
    }
    const [h, d] = [await gram.read(), await cross.read()];
    using target = await ShiftedTarget.open(
      device,
      { gram: h, cross: d, columns: COLUMNS },
      { damping: DAMPING },
    );
    const { values } = await target.of(weight);

    // sum (W x - W* x~)^2 + l |W* - W|^2 is least where its gradient in W* is zero.
    const diagonal = (c: number) => h[c * (COLUMNS + 1)]! || 1;
    const mean = Array.from({ length: COLUMNS }, (_, c) => diagonal(c)).reduce((a, b) => a + b) /
      COLUMNS;
    for (let row = 0; row < ROWS; row++) {
      const own = (all: Float32Array, c: number) => all[row * COLUMNS + c]!;
      const gradient = new Float64Array(COLUMNS);
      const size = new Float64Array(COLUMNS);
      for (const { tokens, exact, got } of windows) {
        for (let t = 0; t < tokens; t++) {
          let error = 0;
          for (let c = 0; c < COLUMNS; c++) {
            const at = t * COLUMNS + c;
            error += own(weight.values, c) * exact[at]! - own(values, c) * got[at]!;
          }
          for (let c = 0; c < COLUMNS; c++) {
            gradient[c]! += error * got[t * COLUMNS + c]!;
            size[c]! += Math.abs(error * got[t * COLUMNS + c]!);
          }
        }
      }
      for (let c = 0; c < COLUMNS; c++) {
        const moved = own(values, c) - own(weight.values, c);
        if (c === DEAD) {
          assert.equal(moved, 0);
          continue;
        }
        const left = gradient[c]! - DAMPING * mean * moved;
        assert.ok(Math.abs(left) < 1e-4 * size[c]!, `row ${row}, column ${c}: ${left}, ${size[c]}`);
      }
      const change = values.subarray(row * COLUMNS, (row + 1) * COLUMNS)
        .reduce((most, value, c) => Math.max(most, Math.abs(value - own(weight.values, c))), 0);
      assert.ok(change > 0.02, "nothing has moved");
    }
  });

  Deno.test(`exact inputs leave weights as they are on ${on}`, async () => {
    await using device = await open();
    const random = normals("exact");
    const draw = (count: number) => Float32Array.from({ length: count }, () => random.next().value);
    const [tokens, columns] = [40, 16];
    using x = device.upload(f32([tokens, columns], draw(tokens * columns)));
    using gram = new GramMatrix(device, columns);
    using cross = new CrossGram(device, columns);
    gram.add(x);
    using others = transposed(device, x);
    cross.add(x, others);
    const known = { gram: await gram.read(), cross: await cross.read(), columns };
    using target = await ShiftedTarget.open(device, known, { damping: 0.01 });
    const weight = { rows: 2, columns, values: draw(2 * columns) };
    assert.deepEqual(await target.of(weight), weight);
  });
}
