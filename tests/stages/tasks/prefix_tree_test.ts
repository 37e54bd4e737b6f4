import { strict as assert } from "node:assert";
import { TreeBuilder } from "../../../stages/tasks/prefix_tree.ts";

Deno.test("sequences share rows as far as they begin alike", () => {
  const builder = new TreeBuilder();
  const request = (ids: number[], scored: number) => ({ ids: Uint32Array.from(ids), scored });
  builder.add(request([1, 2, 3, 4, 5], 2));
  assert.equal(builder.added(request([1, 2, 3, 9], 1)), 0);
  assert.equal(builder.added(request([1, 2, 7, 8, 9], 2)), 2);
  builder.add(request([1, 2, 7, 8, 9], 2));
  builder.add(request([6, 1], 1));
  const { ids, positions, runs, targets, longest } = builder.build();
  assert.deepEqual([...ids], [1, 2, 3, 4, 7, 8, 6]);
  assert.deepEqual([...positions], [0, 1, 2, 3, 2, 3, 0]);
  assert.deepEqual(runs, [
    { start: 0, count: 2, path: [0, 1] },
    { start: 2, count: 2, path: [0, 1, 2, 3] },
    { start: 4, count: 2, path: [0, 1, 4, 5] },
    { start: 6, count: 1, path: [6] },
  ]);
  assert.deepEqual(targets, [
    { row: 2, token: 4 },
    { row: 3, token: 5 },
    { row: 4, token: 8 },
    { row: 5, token: 9 },
    { row: 6, token: 1 },
  ]);
  assert.equal(longest, 4);
});

Deno.test("a sequence within another ends no run, for its last token is not run", () => {
  const builder = new TreeBuilder();
  builder.add({ ids: Uint32Array.of(1, 2, 3), scored: 1 });
  builder.add({ ids: Uint32Array.of(1, 2, 3, 4), scored: 1 });
  const { runs, targets } = builder.build();
  assert.deepEqual(runs, [{ start: 0, count: 3, path: [0, 1, 2] }]);
  assert.deepEqual(targets, [{ row: 1, token: 3 }, { row: 2, token: 4 }]);
});
