// Slow: plans of thousands of steps are made.
import { ok, strictEqual } from "node:assert/strict";
import { openProject } from "../support/toy/project.ts";

/** Steps in a chain, each with a param of its own. */
function chain(count: number): string {
  const numbers = Array.from({ length: count - 1 }, (_, at) => at + 1);
  return [
    "params:",
    ...numbers.map((at) => `  p${at}: ${at}`),
    "steps:",
    "  s0: { stage: constant, with: { value: 1 } }",
    ...numbers.map((at) =>
      `  s${at}: { stage: add, from: { a: s${at - 1} }, with: { by: "\${p${at}}" } }`
    ),
    "",
  ].join("\n");
}

/** Seconds of this thread that planning so many steps takes. */
async function cost(count: number): Promise<number> {
  const now = () => Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[0]);
  await using project = await openProject();
  const start = now();
  strictEqual((await project.plan(chain(count))).length, count);
  return (now() - start) / 1e9;
}

Deno.test({
  name: "planning ten times as many steps takes about ten times as long",
  // Only Linux tells how long a thread has run.
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await cost(500);
    const [few, many] = [await cost(500), await cost(5000)];
    ok(many < 25 * few, `500 steps take ${few} s, 5000 ${many} s`);
    ok(many < 5, `5000 steps take ${many} s`);
  },
});
