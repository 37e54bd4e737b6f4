import { strict as assert } from "node:assert";
import { z } from "zod";
import { declareStage, withWork, type WorkOf } from "../../stages/kinds.ts";

const FORECAST = { deviceBytes: 0, hostBytes: 1, diskBytes: 2, facts: {} };

Deno.test("the work of a stage is read when it forecasts or runs, and is told what the stage was", async () => {
  const read: string[] = [];
  const declaration = declareStage({
    about: "Says what it was told.",
    version: 1,
    params: z.strictObject({ share: z.number() }),
    inputs: { model: "model" },
    output: "report",
    example: { share: 1 },
    fingerprint: ({ share }) => Promise.resolve(share),
  });
  const work: WorkOf<typeof declaration> = {
    forecast(...asked) {
      read.push(JSON.stringify(asked));
      return FORECAST;
    },
    run(...asked) {
      read.push(JSON.stringify(asked));
      return Promise.resolve({ scores: { share: 1 } });
    },
  };
  const stage = withWork(declaration, () => {
    read.push("work");
    return Promise.resolve(work);
  });
  assert.deepEqual({ ...stage, forecast: undefined, run: undefined }, {
    ...declaration,
    forecast: undefined,
    run: undefined,
  });
  assert.equal(await stage.fingerprint!({ share: 3 }, { digest: () => Promise.resolve("") }), 3);
  assert.deepEqual(read, []);
  // deno-lint-ignore no-explicit-any -- they are handed on as they are
  const [inputs, bounds, job]: any[] = [{ model: 1 }, { memoryBytes: 2 }, { out: "there" }];
  assert.deepEqual(await stage.forecast!(inputs, { share: 4 }, bounds), FORECAST);
  assert.deepEqual(read, ["work", '[{"model":1},{"share":4},{"memoryBytes":2}]']);
  assert.deepEqual(await stage.run(job, inputs, { share: 5 }), { scores: { share: 1 } });
  assert.deepEqual(read.slice(2), ["work", '[{"out":"there"},{"model":1},{"share":5}]']);
});

Deno.test("a stage whose work cannot be read fails when it is asked for it, and says why", async () => {
  const declaration = declareStage({
    about: "Has no work.",
    version: 1,
    params: z.strictObject({}),
    inputs: {},
    output: "report",
    example: {},
  });
  const stage = withWork(declaration, () => Promise.reject(new TypeError("no such module")));
  // deno-lint-ignore no-explicit-any -- nothing looks at it
  const job = {} as any;
  await assert.rejects(stage.run(job, {}, {}), { message: "no such module" });
  await assert.rejects(async () => await stage.forecast!({}, {}, { memoryBytes: 1 }), {
    message: "no such module",
  });
});
