import { strict as assert } from "node:assert";
import { HalfLosses, type HalfTensor } from "../../../stages/formats/half_losses.ts";
import { normals } from "../../support/random.ts";

const COLUMNS = 64;

/** Rows of random values, each as large as said. */
function rows(...sizes: readonly number[]): Float32Array {
  const source = normals("losses");
  return Float32Array.from(
    { length: sizes.length * COLUMNS },
    (_, i) => sizes[Math.floor(i / COLUMNS)]! * source.next().value,
  );
}

function lossesOf(values: Float32Array, rowsCount: boolean): string | undefined {
  const tensor: HalfTensor = { name: "w", columns: COLUMNS, rowsCount };
  const losses = new HalfLosses(tensor);
  const middle = Math.floor(values.length / COLUMNS / 2) * COLUMNS;
  losses.add(values.subarray(0, middle));
  losses.add(values.subarray(middle));
  return losses.finish();
}

Deno.test("values as models have them lose nothing that matters", () => {
  for (const rowsCount of [true, false]) {
    assert.equal(lossesOf(rows(0.02, 1, 1000, 0.001), rowsCount), undefined);
    assert.equal(lossesOf(rows(0, 0.02), rowsCount), undefined);
    // Small values beside larger ones.
    const mixed = rows(0.02, 0.02).map((value, i) => i % 2 === 0 ? value * 1e-6 : value);
    assert.equal(lossesOf(mixed, rowsCount), undefined);
  }
});

Deno.test("a tensor that half precision flushes is refused with counts", () => {
  for (const size of [1e-5, 1e-8, 1e-20, 1e-38]) {
    for (const rowsCount of [true, false]) {
      assert.throws(() => lossesOf(rows(size, size), rowsCount), (error: Error) => {
        const [, small, zeros] =
          /^Cannot keep tensor "w" in half precision: (\d+) values lie below 0\.00006103515625 in 2 rows without larger ones, (\d+) of them become 0, expected larger ones; set dtype to float32 where it is loaded$/
            .exec(error.message) ?? assert.fail(error.message);
        const values = rows(size, size);
        assert.equal(Number(small), values.length);
        assert.equal(Number(zeros), values.filter((value) => Math.f16round(value) === 0).length);
        return true;
      });
    }
  }
});

Deno.test("an output alone is refused where linears count it, and told of in a table", () => {
  const values = rows(0.02, 1e-6, 0.02, 0.02);
  assert.throws(() => lossesOf(values, true), /in 1 rows without larger ones/);
  assert.match(lossesOf(values, false)!, /^1 rows of "w" are all but zero; half precision keeps/);
});

Deno.test("a row that is nothing beside the others is told of wherever it stands", () => {
  for (const rowsCount of [true, false]) {
    assert.equal(
      lossesOf(rows(0.02, 1e-20, 0.02), rowsCount),
      `1 rows of "w" are all but zero; half precision keeps 64 of their values as 0 (set dtype to ` +
        `float32 to keep them)`,
    );
  }
});
