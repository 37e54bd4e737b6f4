import { strict as assert } from "node:assert";
import type { Checkpoint, RowRange } from "../../../stages/formats/checkpoint.ts";
import { headerCheckpoint } from "../../../stages/formats/checkpoint.ts";
import { unfused } from "../../../stages/models/fused_tensors.ts";

const FUSED = new Map([["qkv", ["q", "k", "v"]]]);
const SHAPES = new Map([["q", [4, 2]], ["k", [1, 2]], ["v", [1, 2]], ["o", [2, 4]]]);

/** A checkpoint whose every value is the number of its row. */
function counted(shapes: Readonly<Record<string, readonly number[]>>): Checkpoint {
  const tensors = new Map(
    Object.entries(shapes).map(([name, shape]) => [name, { name, dtype: "F32", shape, file: "f" }]),
  );
  const rows = (name: string, { start, end }: RowRange = { start: 0, end: shapes[name]![0]! }) =>
    Array.from({ length: end - start }, (_, i) => [start + i, start + i]).flat();
  return {
    ...headerCheckpoint({ config: {}, tensors }),
    path: "model",
    read: (name, range) => Promise.resolve(Float32Array.from(rows(name, range))),
    readRaw: (name, range) => Promise.resolve(Uint8Array.from(rows(name, range))),
  };
}

Deno.test("`unfused()` gives each part its rows, whole and by ranges, and leaves other tensors", async () => {
  const checkpoint = unfused(counted({ qkv: [6, 2], o: [2, 4] }), {
    fused: FUSED,
    tensors: SHAPES,
  });
  assert.deepEqual([...checkpoint.tensors.keys()].sort(), ["k", "o", "q", "v"]);
  assert.deepEqual(checkpoint.tensors.get("k")!.shape, [1, 2]);
  assert.deepEqual([...await checkpoint.read("q")], [0, 0, 1, 1, 2, 2, 3, 3]);
  assert.deepEqual([...await checkpoint.read("v")], [5, 5]);
  assert.deepEqual([...await checkpoint.readRaw("q", { start: 2, end: 3 })], [2, 2]);
  assert.deepEqual([...await checkpoint.read("o", { start: 1, end: 2 })], [1, 1]);
});

Deno.test("`unfused()` refuses a tensor with other rows than its parts, and takes parts as they are", () => {
  assert.throws(
    () => unfused(counted({ qkv: [7, 2] }), { fused: FUSED, tensors: SHAPES }),
    /^RangeError: Cannot take "qkv" of "model" apart: it has 7 rows, expected 6, those of q, k, v$/,
  );
  const apart = counted({ q: [4, 2], k: [1, 2], v: [1, 2] });
  assert.equal(unfused(apart, { fused: FUSED, tensors: SHAPES }), apart);
});
