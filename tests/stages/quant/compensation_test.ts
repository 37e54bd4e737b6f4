import { strict as assert } from "node:assert";
import {
  compensationOf,
  packedCompensation,
  packedLength,
  unpackedCompensation,
} from "../../../stages/quant/compensation.ts";
import { normals } from "../../support/random.ts";

const SIZE = 12;

Deno.test("a head's compensation and the pivots of its matrix make the matrix again, damped by a tenth", () => {
  const gram = someGram("gram");
  const shares = compensationOf(gram, SIZE);
  const mean = trace(gram) / SIZE;
  const exact = (row: number, column: number) =>
    gram[row * SIZE + column]! / mean + (row === column ? 0.1 : 0);
  const unit = (row: number, column: number) => row === column ? 1 : shares[row * SIZE + column]!;
  // A D A^T, whose last pivot is the last entry, and each other what those behind it leave of its own.
  const pivots = new Float64Array(SIZE);
  const made = (row: number, column: number) =>
    pivots.reduce((sum, pivot, at) => sum + unit(row, at) * pivot * unit(column, at), 0);
  for (let at = SIZE - 1; at >= 0; at--) pivots[at] = exact(at, at) - made(at, at);
  for (let row = 0; row < SIZE; row++) {
    for (let column = 0; column < SIZE; column++) {
      if (column <= row) assert.equal(shares[row * SIZE + column], 0);
      const off = Math.abs(made(row, column) - exact(row, column));
      // Entries have the eleven bits of half precision.
      assert.ok(off < 0.02, `(${row}, ${column}) is off by ${off}`);
    }
  }
  assert.ok(pivots.every((pivot) => pivot > 0));
  assert.deepEqual(shares.map(Math.f16round), shares);
});

Deno.test("products with the vectors of a matrix err less where integers make up for those before them", () => {
  const gram = someGram("errors");
  const shares = compensationOf(gram, SIZE);
  const keys = Array.from(normals("keys").take(200 * SIZE));
  let [plain, compensated] = [0, 0];
  for (let from = 0; from < keys.length; from += SIZE) {
    const key = keys.slice(from, from + SIZE).map((value) => 3 * value);
    plain += squared(gram, key.map((value) => value - Math.round(value)));
    const made = [...key];
    const missed = key.map((value, at) => {
      const own = value - Math.round(made[at]!);
      for (let to = at + 1; to < SIZE; to++) made[to]! += own * shares[at * SIZE + to]!;
      return own;
    });
    compensated += squared(gram, missed);
  }
  assert.ok(compensated < 0.7 * plain, `${compensated} after ${plain}`);
});

Deno.test("entries come back from their text, whose length is known; of no queries there are none", () => {
  const shares = new Float32Array(3 * SIZE * SIZE);
  for (const head of [0, 1, 2]) {
    shares.set(compensationOf(someGram(`head ${head}`), SIZE), head * SIZE * SIZE);
  }
  const text = packedCompensation(shares, SIZE);
  assert.equal(text.length, packedLength(3, SIZE));
  assert.deepEqual(unpackedCompensation(text, { heads: 3, size: SIZE }), shares);
  const none = compensationOf(new Float64Array(SIZE * SIZE), SIZE);
  assert.deepEqual(none, new Float32Array(SIZE * SIZE));
});

/** Sum of x x^T of vectors whose channels go together. */
function someGram(seed: string): Float64Array {
  const gram = new Float64Array(SIZE * SIZE);
  const values = Array.from(normals(seed).take(50 * SIZE));
  for (let from = 0; from < values.length; from += SIZE) {
    const shared = 2 * values[from]!;
    for (let row = 0; row < SIZE; row++) {
      for (let column = 0; column < SIZE; column++) {
        gram[row * SIZE + column]! += (values[from + row]! + shared) *
          (values[from + column]! + shared);
      }
    }
  }
  return gram;
}

function trace(gram: Float64Array): number {
  return gram.reduce((sum, value, at) => at % (SIZE + 1) === 0 ? sum + value : sum, 0);
}

/** d G d^T. */
function squared(gram: Float64Array, off: readonly number[]): number {
  return gram.reduce(
    (sum, value, at) => sum + value * off[Math.floor(at / SIZE)]! * off[at % SIZE]!,
    0,
  );
}
