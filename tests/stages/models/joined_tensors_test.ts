import { strict as assert } from "node:assert";
import type { Checkpoint, RowRange } from "../../../stages/formats/checkpoint.ts";
import { headerCheckpoint } from "../../../stages/formats/checkpoint.ts";
import { joinedPlaces, joinedVectors } from "../../../stages/models/joined_tensors.ts";

/** A checkpoint whose values count up from the number of their tensor. */
function counted(shapes: Readonly<Record<string, readonly number[]>>): Checkpoint {
  const tensors = new Map(
    Object.entries(shapes).map(([name, shape]) => [name, { name, dtype: "F32", shape, file: "f" }]),
  );
  const values = (name: string, rows?: RowRange) => {
    const [count = 0, width = 1] = shapes[name]!;
    const { start, end } = rows ?? { start: 0, end: count };
    const first = 100 * Object.keys(shapes).indexOf(name) + start * width;
    return Float32Array.from({ length: (end - start) * width }, (_, i) => first + i);
  };
  return {
    ...headerCheckpoint({ config: {}, tensors }),
    path: "model",
    read: (name, rows) => Promise.resolve(values(name, rows)),
    readRaw: (name, rows) => Promise.resolve(new Uint8Array(values(name, rows).buffer)),
  };
}

Deno.test("`joinedVectors()` gives rows of a matrix as a vector, whole and by ranges", async () => {
  const checkpoint = joinedVectors(
    counted({ gains: [3, 2], o: [2, 4] }),
    new Map([["gains", { rows: 3 }]]),
  );
  assert.deepEqual(checkpoint.tensors.get("gains")!.shape, [6]);
  assert.deepEqual([...await checkpoint.read("gains")], [0, 1, 2, 3, 4, 5]);
  assert.deepEqual([...await checkpoint.read("gains", { start: 1, end: 4 })], [1, 2, 3]);
  const raw = await checkpoint.readRaw("gains", { start: 3, end: 6 });
  assert.deepEqual([...new Float32Array(raw.buffer)], [3, 4, 5]);
  assert.deepEqual([...await checkpoint.read("o", { start: 1, end: 2 })], [104, 105, 106, 107]);
});

Deno.test("`joinedVectors()` puts tensors one after another, and leaves what is not all there", async () => {
  const names = ["norms.0", "norms.1"];
  const joins = new Map([["norms", { rows: 2, names }]]);
  const checkpoint = joinedVectors(counted({ "norms.0": [2], "norms.1": [2] }), joins);
  assert.deepEqual([...checkpoint.tensors.keys()], ["norms"]);
  assert.deepEqual([...await checkpoint.read("norms")], [0, 1, 100, 101]);
  assert.deepEqual([...await checkpoint.read("norms", { start: 1, end: 3 })], [1, 100]);
  for (const shapes of [{ "norms.0": [2] }, { "norms.0": [2], "norms.1": [3] }, { norms: [4] }]) {
    const other = counted(shapes);
    assert.equal(joinedVectors(other, joins), other);
  }
});

Deno.test("`joinedPlaces()` is where parts lie together in one file, and leaves those that do not", () => {
  const place = (name: string, start: number, file = "f") =>
    [name, { name, shape: [2], file, start, end: start + 8 }] as const;
  const joins = new Map([["norms", { rows: 2, names: ["a", "b"] }]]);
  const together = joinedPlaces(new Map([place("b", 16), place("a", 24), place("c", 0)]), joins);
  assert.deepEqual(together.get("norms"), {
    name: "norms",
    shape: [4],
    file: "f",
    start: 16,
    end: 32,
  });
  assert.deepEqual([...together.keys()].sort(), ["c", "norms"]);
  for (const b of [place("b", 40), place("b", 16, "g")]) {
    assert.ok(!joinedPlaces(new Map([place("a", 24), b]), joins).has("norms"));
  }
});
