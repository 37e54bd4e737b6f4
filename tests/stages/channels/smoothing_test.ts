import { strict as assert } from "node:assert";
import {
  type Exponents,
  lastSmallest,
  smoothingScale,
} from "../../../stages/channels/smoothing.ts";
import { goldenSpans } from "../../support/golden_smoothing.ts";
import { assertWithin } from "../../support/tolerance.ts";

Deno.test("manual scales are those of DeepCompressor (.github/ALGORITHMS.md#smoothing)", () => {
  const half = { alpha: 0.5, beta: 0.5 };
  // deno-fmt-ignore
  const largest = [
    1.2247449, 2.0958900, 2.0285966, 1.4344344, 2.0958900, 1.7320508, 1.7777778, 1.6997142,
    2.0978909, 1.6495430, 1.5459759, 2.6142418, 1.3438737, 1.8805463, 2.2496567, 1.3020616,
  ];
  const scale = smoothingScale(...goldenSpans("abs_max"), half);
  largest.forEach((factor, c) => assertWithin(scale[c]!, factor, 5e-7));
  const rms = smoothingScale(...goldenSpans("rms"), half);
  [1.3041102, 2.2818773, 2.1053119, 1.5944840].forEach((factor, c) =>
    assertWithin(rms[c]!, factor, 5e-7)
  );
});

Deno.test("the last of equal errors wins", () => {
  assert.equal(lastSmallest([2, 1, 1, 3]), 2);
  assert.equal(lastSmallest([1, 1, NaN]), 1);
});

Deno.test("a factor of 0 becomes 1, an infinite one or NaN turns all of them into 1", () => {
  const scale = (inputs: number[], weights: number[], pair: Exponents) => [
    ...smoothingScale(Float32Array.from(inputs), Float32Array.from(weights), pair),
  ];
  assert.deepEqual(scale([0, 4, 9], [1, 1, 1], { alpha: 0.5, beta: 0 }), [1, 2, 3]);
  assert.deepEqual(scale([1, 4], [4, 0.25], { alpha: 0, beta: 0.5 }), [0.5, 2]);
  assert.deepEqual(scale([9, 4], [0, 1], { alpha: 0.5, beta: 0.5 }), [1, 1]);
  assert.deepEqual(scale([0, 4], [0, 1], { alpha: 0.5, beta: 0.5 }), [1, 1]);
  assert.deepEqual(scale([7, 4], [3, 1], { alpha: 0, beta: 0 }), [1, 1]);
});
