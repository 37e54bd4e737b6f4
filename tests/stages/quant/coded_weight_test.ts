import { strict as assert } from "node:assert";
import { codedValues, type CodedWeight, plainRows } from "../../../stages/quant/coded_weight.ts";

/** Two rows of two groups; the last group's integers leave int8. */
const TWO_LEVELS: CodedWeight = {
  scheme: { bits: 4, zero: "post_scale", group: 2, levels: 2 },
  rows: 2,
  columns: 4,
  codes: Uint8Array.of(0, 3, 8, 15, 1, 2, 10, 15),
  scales: Uint8Array.of(7, 8, 5, 17),
  zeros: Int8Array.of(10, 60, -3, 100),
  rowScales: Float16Array.of(0.5, 0.25),
};
const INTEGERS = [-10, 11, 4, 60, 8, 13, 70, 155 - 256];

Deno.test("codes of two levels stand for integers that wrap as bytes do, times the scale of their row", () => {
  const scaled = INTEGERS.map((integer, at) => integer * (at < 4 ? 0.5 : 0.25));
  assert.deepEqual([...codedValues(TWO_LEVELS)], scaled);
  assert.deepEqual([...codedValues(TWO_LEVELS, { start: 1, end: 2 })], scaled.slice(4));
});

Deno.test("rows of two levels are rows of an 8-bit weight", () => {
  const plain = plainRows(TWO_LEVELS);
  assert.deepEqual(plain.scheme, { bits: 8, zero: "none", group: "row", levels: 1 });
  assert.deepEqual([[...plain.codes], [...plain.scales]], [INTEGERS, [0.5, 0.25]]);
  const last = plainRows(TWO_LEVELS, { start: 1, end: 2 });
  assert.deepEqual([last.rows, [...last.codes]], [1, INTEGERS.slice(4)]);
  assert.deepEqual(codedValues(last), codedValues(TWO_LEVELS, { start: 1, end: 2 }));
});

Deno.test("zeros stand before or behind the scale", () => {
  const weight = {
    rows: 2,
    columns: 2,
    codes: Uint8Array.of(0, 9, 4, 15),
    scales: Float16Array.of(0.5, 2),
  };
  const scheme = { bits: 4, group: "row", levels: 1 } as const;
  const before: CodedWeight = {
    ...weight,
    scheme: { ...scheme, zero: "pre_scale" },
    zeros: Uint8Array.of(8, 3),
  };
  const behind: CodedWeight = {
    ...weight,
    scheme: { ...scheme, zero: "post_scale" },
    zeros: Float16Array.of(1.5, -1),
  };
  assert.deepEqual([...codedValues(before)], [-4, 0.5, 2, 24]);
  assert.deepEqual([...codedValues(behind)], [-1.5, 3, 9, 31]);
});
