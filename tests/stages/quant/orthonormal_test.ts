import { strict as assert } from "node:assert";
import { orthonormalRows } from "../../../stages/quant/orthonormal.ts";
import { randomRows } from "../../support/random.ts";

const SIZE = 48;

/** The largest difference of products of rows to those of the unit matrix. */
function unevenness(rows: Float32Array): number {
  let most = 0;
  for (let i = 0; i < SIZE; i++) {
    for (let j = 0; j < SIZE; j++) {
      let sum = i === j ? -1 : 0;
      for (let c = 0; c < SIZE; c++) sum += rows[i * SIZE + c]! * rows[j * SIZE + c]!;
      most = Math.max(most, Math.abs(sum));
    }
  }
  return most;
}

Deno.test("orthonormalRows() gives rows that are orthogonal to the last bits, whatever it is given", () => {
  const given = randomRows(SIZE, SIZE, "a matrix").data as Float32Array;
  assert.ok(unevenness(given) > 1);
  assert.ok(unevenness(orthonormalRows(given, SIZE)) < 3e-7);
});

Deno.test("orthonormalRows() leaves the first direction, turns none around, and keeps what is orthogonal", () => {
  const given = randomRows(SIZE, SIZE, "another").data as Float32Array;
  const made = orthonormalRows(given, SIZE);
  const length = Math.hypot(...given.subarray(0, SIZE));
  for (let c = 0; c < SIZE; c++) assert.ok(Math.abs(made[c]! - given[c]! / length) < 1e-7);
  // A row has a positive part along what it becomes: the diagonal of R in QR.
  for (let at = 0; at < given.length; at += SIZE) {
    let along = 0;
    for (let c = at; c < at + SIZE; c++) along += given[c]! * made[c]!;
    assert.ok(along > 0);
  }
  const again = orthonormalRows(made, SIZE);
  again.forEach((value, i) => assert.ok(Math.abs(value - made[i]!) < 2e-7));
});

Deno.test("orthonormalRows() refuses rows that depend on each other", () => {
  const given = (randomRows(SIZE, SIZE, "a third").data as Float32Array).slice();
  given.copyWithin(5 * SIZE, 0, SIZE);
  assert.throws(
    () => orthonormalRows(given, SIZE),
    /^RangeError: Cannot make a rotation of a matrix of 48 rows: row 6 depends on those before it, expected independent rows$/,
  );
});
