import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import * as stages from "../../stages/mod.ts";

const FOLDER = fileURLToPath(new URL("../../stages/work", import.meta.url));

for (const [name, stage] of Object.entries(stages)) {
  Deno.test(`${name} forecasts and runs by the work that is called as it is`, async () => {
    const module: Record<string, Record<"forecast" | "run", unknown>> = await import(
      `${FOLDER}/${name}.ts`
    );
    const [work, ...others] = Object.values(module);
    assert.ok(work && others.length === 0);
    const { forecast, run } = work;
    // deno-lint-ignore no-explicit-any -- what is handed on is not looked at
    const [job, inputs, params, bounds]: any[] = ["job", "inputs", "params", "bounds"].map(
      (word) => ({ word }),
    );
    try {
      work.forecast = (...asked: readonly unknown[]) => ({ forecast: asked });
      work.run = (...asked: readonly unknown[]) => ({ run: asked });
      const asked: unknown = await stage.forecast!(inputs, params, bounds);
      assert.deepEqual(asked, { forecast: [inputs, params, bounds] });
      assert.deepEqual(await stage.run(job, inputs, params), { run: [job, inputs, params] });
    } finally {
      Object.assign(work, { forecast, run });
    }
  });
}

Deno.test("there is no work without a stage", async () => {
  const files = (await Array.fromAsync(Deno.readDir(FOLDER))).map(({ name }) => name);
  assert.deepEqual(files.sort(), Object.keys(stages).map((name) => `${name}.ts`).sort());
});
