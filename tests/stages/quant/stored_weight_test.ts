import { strict as assert } from "node:assert";
import { weightScheme } from "../../../stages/quant/schemes.ts";
import { readCoded, readPacked, storedTensors } from "../../../stages/quant/stored_weight.ts";
import { gridOf, roundToNearest } from "../../../stages/quant/weight_grid.ts";
import { bytesOf } from "../../../stages/formats/half.ts";
import { normals } from "../../support/random.ts";

const SCHEMES = [
  { group: 8 },
  { group: 8, bits: 2, zero: "pre_scale" },
  { group: "tensor", zero: "none", bits: 3 },
  { group: "row", zero: "pre_scale", bits: 8 },
  { group: "row", zero: "none", bits: 8 },
  { group: 8, levels: 2 },
  { group: 8, levels: 2, zero: "none" },
] as const;

for (const given of SCHEMES) {
  Deno.test(`a stored weight comes back, and rows of it: ${JSON.stringify(given)}`, async () => {
    const scheme = weightScheme.parse(given);
    const source = normals(JSON.stringify(scheme));
    const values = Float32Array.from({ length: 6 * 16 }, () => source.next().value);
    const { domain, grid } = gridOf({ rows: 6, columns: 16, values }, scheme);
    const weight = roundToNearest(domain, grid);
    const stored = storedTensors(weight, "q");
    const file = {
      tensors: new Map(stored.map((tensor) => [tensor.name, tensor])),
      readRaw(name: string, { start, end } = { start: 0, end: 6 }) {
        const bytes = bytesOf(stored.find((tensor) => tensor.name === name)!.values);
        const width = bytes.length / 6;
        return Promise.resolve(bytes.subarray(start * width, end * width));
      },
    };
    for (const { shape: [rows, columns], values } of stored) {
      assert.equal(values.length, rows * columns);
    }
    assert.deepEqual(await readCoded(file, "q", scheme), weight);
    const rows = { start: 2, end: 5 };
    const part = await readPacked(file, "q", scheme, rows);
    assert.deepEqual([part.rows, part.columns], [3, 16]);
    const words = stored[0]!.values.length / 6;
    assert.deepEqual(part.codes, stored[0]!.values.subarray(2 * words, 5 * words));
  });
}
