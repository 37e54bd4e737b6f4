import { strict as assert } from "node:assert";
import { pairedWindows } from "../../../stages/report/paired.ts";
import { normals } from "../../support/random.ts";

Deno.test("a paired difference has the error of the differences", () => {
  const { difference, error } = pairedWindows([1.5, 2.5, 3.75], [1, 2, 3]);
  // Differences of 0.5, 0.5 and 0.75: a deviation of sqrt(1 / 48), over sqrt(3).
  assert.ok(Math.abs(difference - 1.75 / 3) < 1e-15);
  assert.ok(Math.abs(error! - 1 / 12) < 1e-15);
});

Deno.test("what makes all windows hard does not hide a difference", () => {
  const hard = [3, 9, 4, 8, 5, 7, 6, 2];
  const better = hard.map((value, at) => value - 0.1 - 0.01 * (at % 3));
  assert.equal(pairedWindows(better, hard).distinguishable, true);
  assert.equal(pairedWindows(hard, better).distinguishable, true);
  assert.ok(pairedWindows(better, hard).difference < 0);
});

Deno.test("models that are equal, and few windows, are not told apart", () => {
  const same = [3, 9, 4, 8, 5, 7, 6, 2];
  assert.equal(pairedWindows(same, same).distinguishable, false);
  const five = same.slice(0, 5);
  assert.equal(pairedWindows(five, five.map((value) => value + 1)).distinguishable, false);
  const six = same.slice(0, 6);
  assert.equal(pairedWindows(six, six.map((value) => value + 1)).distinguishable, true);
  assert.deepEqual(pairedWindows([1], [2]), { difference: -1, distinguishable: false });
});

Deno.test("about one in twenty pairs of windows of equal models is told apart", () => {
  const random = normals("equal models");
  const pairs = 400;
  let told = 0;
  for (let pair = 0; pair < pairs; pair++) {
    const [one, other] = [0, 1].map(() => Array.from({ length: 40 }, () => random.next().value));
    if (pairedWindows(one!, other!).distinguishable) told++;
  }
  // 5 % of 400 and what the bootstrap's percentiles are known to lack at 40 windows, three deviations wide.
  assert.ok(told >= 8 && told <= 42, `${told} of ${pairs}`);
});

Deno.test("the same windows give the same answer", () => {
  const random = normals("again");
  const [one, other] = [0, 1].map(() => Array.from({ length: 9 }, () => random.next().value));
  assert.deepEqual(pairedWindows(one!, other!), pairedWindows(one!, other!));
});
