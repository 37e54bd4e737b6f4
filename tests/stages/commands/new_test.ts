import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { parseManifest } from "../../../pipeline/manifest/read_manifest.ts";
import { modelCommands } from "../../../stages/commands/mod.ts";
import * as stages from "../../../stages/mod.ts";
import { callProgram } from "../../support/cli_call.ts";

const EMBEDDED = fileURLToPath(new URL("../../../configs/embedded", import.meta.url));

function call(...args: string[]) {
  return callProgram({ stages, commands: modelCommands }, "new", ...args);
}

Deno.test("`new` writes manifests that have no problems, for every recipe", async () => {
  const folder = await Deno.makeTempDir();
  try {
    for (const recipe of ["qoq", "awq", "gptq", "smoothquant"]) {
      for (const model of ["org/name", EMBEDDED, "embedded"]) {
        const out = `${folder}/${recipe}-${model.replaceAll(/\W/g, "")}.yaml`;
        const { status, out: said, errors } = await call(model, "--recipe", recipe, "--out", out);
        assert.equal(status, 0, errors);
        assert.match(said, /^Written to .*; what it would do: deno task plan /);
        const text = await Deno.readTextFile(out);
        const manifest = parseManifest(text, { path: out, stages });
        assert.equal(manifest.params.model, model);
        const [{ step, score } = { step: "", score: "" }] = manifest.expect ?? [];
        assert.equal(score, "perplexity_ratio");
        const scored = manifest.steps.find(({ name }) => name === step);
        assert.equal(scored?.stage, "evaluate");
        // What stands in comments works too.
        const [, commented] = text.split("# steps:\n");
        const whole = `${text}steps:\n${commented!.replaceAll(/^# /gm, "")}`;
        const more = parseManifest(whole, { path: out, stages });
        assert.equal(more.steps.at(-1)?.inputs.model, scored?.inputs.model);
      }
    }
    const taken = await call("embedded", "--out", `${folder}/qoq-embedded.yaml`);
    assert.equal(taken.status, 1);
    assert.match(taken.errors, /there is one, expected a new name/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("`new` refuses what is no model and what is no recipe", async () => {
  const missing = await call("./none");
  assert.equal(missing.status, 1);
  assert.match(missing.errors, /^Cannot .*none/);
  const recipe = await call("embedded", "--recipe", "magic");
  assert.equal(recipe.status, 2);
  assert.match(recipe.errors, /Cannot begin from recipe "magic": expected one of qoq, awq/);
  const json = JSON.parse((await call("embedded", "--json")).out);
  assert.equal(json.type, "new");
  assert.match(json.text, /stories:calibration/);
});
