import { deepStrictEqual, ok, throws } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { z } from "zod";
import { manifestSchema } from "../../../pipeline/manifest/schema.ts";
import * as models from "../../../stages/mod.ts";
import { stages } from "../../support/manifest_stages.ts";

const CONFIGS = fileURLToPath(new URL("../../../configs/", import.meta.url));

function reader(schema: unknown): z.ZodType {
  return z.fromJSONSchema(schema as z.core.JSONSchema.JSONSchema);
}

Deno.test("configs/schema.json is the schema of the stages there are, and takes every config", async () => {
  const written = JSON.parse(await Deno.readTextFile(`${CONFIGS}schema.json`));
  deepStrictEqual(written, JSON.parse(JSON.stringify(manifestSchema(models))), "deno task schema");
  const schema = reader(written);
  const names = [...Deno.readDirSync(CONFIGS)].map(({ name }) => name)
    .filter((name) => name.endsWith(".yaml"));
  ok(names.length > 5);
  for (const name of names) {
    const { success, error } = schema.safeParse(parse(await Deno.readTextFile(CONFIGS + name)));
    ok(success, `${name}: ${error}`);
  }
});

Deno.test("the schema takes changes of what is extended, and sweeps", () => {
  const schema = reader(manifestSchema(stages));
  const source = { stage: "load", with: { path: "x" } };
  const taken = [
    { extends: "a.yaml" },
    { extends: ["a.yaml", "b.yaml"], params: { alpha: null, model: "x" } },
    { extends: "a.yaml", steps: { a: null, b: { with: { bits: null } }, c: { from: { x: "y" } } } },
    { extends: "a.yaml", steps: { w4: { stage: "quantize", with: { scheme: { alpha: 0.1 } } } } },
    { extends: "a.yaml", steps: { w4: { stage: "quantize", with: { scheme: null } } } },
    { extends: "a.yaml", matrix: { alpha: null, group: [1, 2] } },
    { params: { $import: "a.yaml#params" }, steps: { $import: ["a.yaml#steps", "b.yaml"] } },
    { steps: { source, w4: { $import: "a.yaml#steps/w4", with: { bits: 3 } } } },
    { steps: { w4: { stage: "quantize", with: { $import: "w4.yaml", bits: 3 } } } },
    { matrix: { alpha: [1, "x", true], include: [{ beta: 1 }], exclude: [] }, steps: { source } },
  ];
  for (const manifest of taken) schema.parse(manifest);
  const refused = [
    { extends: 5 },
    { extends: "a.yaml", step: {} },
    { steps: { $import: 5 } },
    { steps: { w4: { $import: "a.yaml", wiht: {} } } },
    { extends: "a.yaml", steps: { w4: { stage: "quantise" } } },
    { extends: "a.yaml", steps: { w4: { stage: "quantize", with: { grup: 1 } } } },
    { extends: "a.yaml", steps: { w4: { stage: "quantize", with: { bits: 5 } } } },
    { extends: "a.yaml", steps: { w4: { wiht: {} } } },
    { matrix: { alpha: 1 }, steps: { source } },
    { matrix: { alpha: [[1]] }, steps: { source } },
    { matrix: { include: { alpha: 1 } }, steps: { source } },
    // Only what extends another may leave things out.
    { steps: { source: null } },
    { steps: { source: { with: { path: "x" } } } },
    { params: { alpha: null }, steps: { source } },
  ];
  for (const manifest of refused) {
    throws(() => schema.parse(manifest), `${JSON.stringify(manifest)} was taken`);
  }
});
