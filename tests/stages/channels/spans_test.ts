import { strict as assert } from "node:assert";
import {
  noSpans,
  poolSpans,
  shareKvHeads,
  shareRotaryPairs,
  spanOf,
} from "../../../stages/channels/spans.ts";
import { assertWithin } from "../../support/tolerance.ts";

Deno.test("spans of two tensors are pooled as DeepCompressor pools them", () => {
  const matrix = (rows: number, columns: number, values: number[]) => ({
    rows,
    columns,
    values: Float32Array.from(values),
  });
  // The reference pools whole tensors; as one column they are pooled the same way.
  const spans = poolSpans(
    poolSpans(noSpans(1), matrix(4, 1, [1, -2, 3, 4])),
    matrix(2, 1, [5, 0]),
  );
  assert.equal(spanOf(spans, "abs_max")[0], 5);
  assertWithin(spanOf(spans, "rms")[0]!, Math.sqrt(55 / 6), 1e-6);
  const columns = poolSpans(
    poolSpans(noSpans(2), matrix(2, 2, [1, -2, 3, 4])),
    matrix(1, 2, [5, 0]),
  );
  assert.deepEqual([...spanOf(columns, "abs_max")], [5, 4]);
  assert.deepEqual([...spanOf(columns, "abs_mean")], [3, 2]);
  [3.4157, 2.5820].forEach((span, c) => assertWithin(spanOf(columns, "rms")[c]!, span, 1e-4));
});

Deno.test("spans are shared by heads of one kv head and by the two halves of rotary pairs", () => {
  const layout = { heads: 4, kvHeads: 2, headSize: 2 };
  const span = Float32Array.of(1, 2, 3, 4, 5, 6, 9, 8);
  assert.deepEqual([...shareKvHeads(span, layout, "abs_max")], [3, 4, 3, 4, 9, 8, 9, 8]);
  assert.deepEqual([...shareKvHeads(span, layout, "rms")], [2, 3, 2, 3, 7, 7, 7, 7]);
  const whole = { headSize: 4, turned: 4, neighbours: false };
  assert.deepEqual([...shareRotaryPairs(span, whole, "abs_max")], [3, 4, 3, 4, 9, 8, 9, 8]);
  assert.deepEqual([...shareRotaryPairs(span, whole, "rms")], [2, 3, 2, 3, 7, 7, 7, 7]);
  // Two of four channels turn together, the others by themselves.
  const half = { headSize: 4, turned: 2, neighbours: false };
  assert.deepEqual([...shareRotaryPairs(span, half, "abs_max")], [2, 2, 3, 4, 6, 6, 9, 8]);
  const pairs = { ...whole, neighbours: true };
  assert.deepEqual([...shareRotaryPairs(span, pairs, "abs_max")], [2, 2, 4, 4, 6, 6, 9, 9]);
  assert.deepEqual([...shareRotaryPairs(span, { ...pairs, turned: 2 }, "abs_max")], [
    ...[2, 2, 3, 4],
    ...[6, 6, 9, 8],
  ]);
});
