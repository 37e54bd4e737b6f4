import { gguf } from "@huggingface/gguf";
import { strict as assert } from "node:assert";
import { exportModel } from "../../stages/export.ts";
import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";
import { load } from "../../stages/load.ts";
import { openServedTokenizer } from "../../stages/serve/served_tokenizer.ts";
import { StageChain } from "../support/stage_chain.ts";
import { writeTokenized } from "../support/tiny_tokenizer.ts";

/** A model that ends answers at some of its ids. */
async function modelWith(chain: StageChain, ends: readonly number[]) {
  const path = await chain.directory();
  await writeTokenized(path, { ends });
  return { kind: "model", key: path, digest: path, path, scores: {} } as const;
}

/** The ids of a GGUF export's last token, end of turn and end of message, as another program reads it. */
async function keysOf(path: string): Promise<readonly unknown[]> {
  const { metadata } = await gguf(`${path}/model.gguf`, { allowLocalFile: true });
  const values = metadata as unknown as Readonly<Record<string, unknown>>;
  return ["eos", "eot", "eom"].map((name) => values[`tokenizer.ggml.${name}_token_id`]);
}

/** Ends of answers as a server takes them from a checkpoint. */
async function endsOf(path: string): Promise<readonly number[]> {
  using checkpoint = await openCheckpoint(path);
  const { tokenizer, files, config } = checkpoint;
  return openServedTokenizer(tokenizer!, files, config).ends.toSorted();
}

Deno.test("a GGUF export carries the last token and the end of the turn, and is read back with both", async () => {
  await using chain = await StageChain.open();
  const model = await modelWith(chain, [0, 2]);
  const { path } = await chain.run(exportModel, { model, reports: [] }, { format: "gguf" });
  assert.deepEqual(await keysOf(path), [0, 2, undefined]);
  assert.deepEqual(await endsOf(`${path}/model.gguf`), [0, 2]);
  const loaded = await chain.run(load, {}, { model: `${path}/model.gguf` });
  assert.deepEqual(await endsOf(loaded.path), [0, 2]);
  const again = await chain.run(exportModel, { model: loaded, reports: [] }, { format: "gguf" });
  assert.deepEqual(await keysOf(again.path), [0, 2, undefined]);
});

Deno.test("a GGUF export says which ends llama.cpp does not see", async () => {
  await using chain = await StageChain.open();
  const model = await modelWith(chain, [0, 2, 3, 4, 5]);
  const { path } = await chain.run(exportModel, { model, reports: [] }, { format: "gguf" });
  assert.deepEqual(await keysOf(path), [0, 2, 3]);
  const said = "llama.cpp: does not end answers at <halt> (4), <over> (5), as the model does";
  assert.ok(chain.notes.includes(said), chain.notes.join("\n"));
});

Deno.test("an export as safetensors states all ends in config.json and generation_config.json", async () => {
  await using chain = await StageChain.open();
  const model = await modelWith(chain, [0, 3]);
  const { path } = await chain.run(exportModel, { model, reports: [] }, { format: "huggingface" });
  for (const name of ["config.json", "generation_config.json"]) {
    const { eos_token_id } = JSON.parse(await Deno.readTextFile(`${path}/${name}`));
    assert.deepEqual(eos_token_id.toSorted(), [0, 2, 3], name);
  }
});
