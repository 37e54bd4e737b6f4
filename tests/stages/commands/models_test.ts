import { strict as assert } from "node:assert";
import { modelCommands } from "../../../stages/commands/mod.ts";
import { resolveModel } from "../../../stages/formats/hub/hub.ts";
import { callProgram } from "../../support/cli_call.ts";
import { startHub } from "../../support/hub_stub.ts";

const NAME = "HuggingFaceTB/SmolLM2-135M-Instruct";

Deno.test("`models` lists what the cache has, and small models that it lacks", async () => {
  // Equal files are one in the cache: nine bytes.
  const files = { "config.json": "{}", "tokenizer.json": "{}", "model.safetensors": "weights" };
  await using _hub = await startHub(files, [NAME]);
  const program = { stages: {}, commands: modelCommands };
  const before = await callProgram(program, "models");
  assert.equal(before.status, 0);
  assert.match(before.out, /\nHere\n {2}none yet\n[^]*To try\n[^]*HuggingFaceTB\/SmolLM2-135M/);
  await resolveModel(NAME);
  const { out } = await callProgram(program, "models");
  assert.match(out, /\nHere\n {2}model +size\n {2}HuggingFaceTB\/SmolLM2-135M-Instruct +9 B\n/);
  assert.doesNotMatch(out.split("To try")[1]!, /SmolLM2-135M/);
  assert.match(out, /Qwen\/Qwen3-0\.6B +596 M +1\.2 GB/);
  const json = JSON.parse((await callProgram(program, "models", "--json")).out);
  assert.equal(json.type, "models");
  assert.deepEqual(json.models.map(({ name }: { name: string }) => name), [NAME]);
  assert.equal(json.toTry[0].name, NAME);
});
