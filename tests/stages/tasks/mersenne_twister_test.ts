import { strict as assert } from "node:assert";
import { PythonRandom } from "../../../stages/tasks/mersenne_twister.ts";

Deno.test("draws are those of Python's random", () => {
  // CPython 3.11: Random(1234), then sample(range(n), k) one after another.
  const random = new PythonRandom(1234);
  assert.deepEqual(random.sample(20, 5), [14, 3, 0, 2, 1]);
  assert.deepEqual(random.sample(7473, 5), [5501, 5677, 687, 806, 6279]);
  assert.deepEqual(random.sample(300, 6), [181, 121, 8, 15, 177, 247]);
  assert.deepEqual(random.sample(5, 5), [4, 3, 0, 2, 1]);
  assert.deepEqual(random.sample(85, 6), [14, 1, 64, 62, 31, 8]);
  assert.deepEqual(random.sample(86, 6), [85, 69, 59, 8, 76, 11]);
});

Deno.test("seeds beyond 32 bits are two words of the key", () => {
  const random = new PythonRandom(2 ** 40 + 7);
  assert.deepEqual([random.bits(32), random.bits(5)], [2635837658, 23]);
  assert.throws(() => new PythonRandom(-1), /Cannot seed with -1: expected a whole number from 0/);
  assert.throws(() => random.sample(3, 4), /Cannot draw 4 of 3: expected fewer/);
});
