import { strict as assert } from "node:assert";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { readManifest } from "../../pipeline/manifest/read_manifest.ts";
import type { RunEvent } from "../../pipeline/event.ts";
import { run } from "../../pipeline/run/runner.ts";
import { Store } from "../../pipeline/store/store.ts";
import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";
import { readModelRecord } from "../../stages/models/model_record.ts";
import * as stages from "../../stages/mod.ts";

const HALVE = (factor: string) =>
  `import { factor } from "./factor.ts";
export const inputs = ["model"];
export const output = "model";
export default ({ params }) => ({
  changes: (name) => name === params.tensor,
  change: ({ values }) => void values.forEach((x, i) => values[i] = ${factor} * x),
});
`;
const MEAN = `export const inputs = ["models"];
export const output = "report";
export default ({ inputs }) => ({ count: inputs.models.length });
`;
const TENSOR = "model.layers.0.mlp.down_proj.weight";
const MANIFEST = `steps:
  source: { stage: load }
  halved:
    stage: script
    from: { model: source }
    with: { file: FOLDER/halve.ts, params: { tensor: ${TENSOR} } }
  counted:
    stage: script_report
    from: { models: [source, halved] }
    with: { file: FOLDER/mean.ts }
`;

Deno.test("a script changes a model and measures; its digest and those it imports are in the key", async () => {
  const folder = await Deno.makeTempDir({ prefix: "quattuor-script-" });
  try {
    const write = (name: string, text: string) => Deno.writeTextFile(`${folder}/${name}`, text);
    await write("m.yaml", MANIFEST.replaceAll("FOLDER", folder.replaceAll("\\", "/")));
    await write("halve.ts", HALVE("factor"));
    await write("factor.ts", "export const factor = 0.5;\n");
    await write("mean.ts", MEAN);
    const store = new Store(`${folder}/store`);
    const go = async () => {
      const events: RunEvent[] = [];
      const manifest = await readManifest(`${folder}/m.yaml`, { stages, set: [] });
      const emit = (event: RunEvent) => void events.push(event);
      const summary = await run(manifest, { store, stages, tools: () => ({}), emit });
      const states = Object.fromEntries(summary.steps.map(({ name, state }) => [name, state]));
      const path = (step: string) =>
        events.flatMap((event) =>
          (event.type === "done" || event.type === "reuse") && event.step === step ? event.path : []
        )[0]!;
      const failed = events.flatMap((event) => event.type === "failed" ? event.error.message : []);
      return { summary, states, path, failed };
    };
    const first = await go();
    assert.deepEqual(first.states, { source: "run", halved: "run", counted: "run" });
    assert.equal(first.summary.scores.count, 2);
    using source = await openCheckpoint(first.path("source"));
    using halved = await openCheckpoint(first.path("halved"));
    const [before, after] = [await source.read(TENSOR), await halved.read(TENSOR)];
    assert.deepEqual([...after.subarray(0, 8)], [...before.subarray(0, 8)].map((x) => x / 2));
    const other = "model.layers.0.mlp.up_proj.weight";
    assert.deepEqual(await halved.read(other), await source.read(other));
    const { history } = await readModelRecord(first.path("halved"));
    assert.equal(history.at(-1)?.stage, "script");

    assert.deepEqual((await go()).states, { source: "hit", halved: "hit", counted: "hit" });
    await write("halve.ts", HALVE("factor * factor"));
    const changed = await go();
    assert.deepEqual(changed.states, { source: "hit", halved: "run", counted: "run" });
    using quartered = await openCheckpoint(changed.path("halved"));
    assert.equal((await quartered.read(TENSOR))[0], before[0]! / 4);
    // A process imports a file once, so that what it imports would be as it was.
    await write("factor.ts", "export const factor = 0.25;\n");
    const stale = await go();
    assert.equal(stale.states.halved, "failed");
    assert.match(stale.failed[0] ?? "", /this process imported ".*factor\.ts" before it changed/);
    await write("factor.ts", "export const factor = 0.5;\n");

    await write("halve.ts", HALVE("factor").replace('"model"]', '"model", "stats"]'));
    assert.match(
      (await go()).failed[0] ?? "",
      /it exports inputs \[model, stats\], expected those of the step: \[model\]/,
    );
    await write("halve.ts", MEAN);
    assert.match((await go()).failed[0] ?? "", /it exports output "report", expected "model"/);
    await write("halve.ts", 'export const output = "model";\n');
    assert.match((await go()).failed[0] ?? "", /it has no default export that is a function/);
    const program = relative(folder, fileURLToPath(new URL("../../mod.ts", import.meta.url)));
    await write("halve.ts", `import { main } from "./${program}";\n${HALVE("factor")}`);
    assert.match(
      (await go()).failed[0] ?? "",
      /imports values of the program .*"import type" alone/,
    );
    await write("halve.ts", `import type { Program } from "./${program}";\n${HALVE("factor")}`);
    assert.deepEqual((await go()).failed, []);
    await write("halve.ts", HALVE("factor"));
    await write("mean.ts", MEAN.replace("inputs.models.length", "NaN"));
    assert.match((await go()).failed[0] ?? "", /Cannot report "count" .*: it is NaN, expected/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
