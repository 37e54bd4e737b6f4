import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { describePath } from "../../../stages/describe/describe.ts";
import { load } from "../../../stages/load.ts";
import { openCheckpoint } from "../../../stages/models/open_checkpoint.ts";
import { copyFamily, familyLogits, floatTensor, logitsHere } from "../../support/family_copy.ts";
import { withDirectory } from "../../support/directory.ts";
import { relativeError } from "../../support/forward_pass.ts";
import { FAMILIES, StageChain } from "../../support/stage_chain.ts";

const FOLDER = fileURLToPath(new URL("../../testdata/families", import.meta.url));

for (const family of ["internlm2_dynamic", "internlm2_biases"]) {
  Deno.test(`load makes a Llama of ${family}, with a note`, async () => {
    await using chain = await StageChain.open();
    const loaded = await chain.run(load, {}, { model: `${FOLDER}/${family}`, dtype: "float32" });
    assert.match(chain.notes.join("\n"), /InternLM2ForCausalLM is read as LlamaForCausalLM/);
    using checkpoint = await openCheckpoint(loaded.path);
    const config = checkpoint.config as Readonly<Record<string, unknown>>;
    assert.deepEqual(config.architectures, ["LlamaForCausalLM"]);
    assert.equal(config.model_type, "llama");
    assert.equal(config.attention_bias, family === "internlm2_biases");
    for (const key of ["auto_map", "bias", "attn_implementation"]) assert.ok(!(key in config), key);
    assert.deepEqual(checkpoint.notes, []);
    const { logits } = await familyLogits(family);
    assert.ok(relativeError(await logitsHere(loaded.path, family), logits) < 2e-5);
  });
}

Deno.test("a tensor of queries, keys and values with other rows is refused", () =>
  withDirectory(async (directory) => {
    const wqkv = "model.layers.1.attention.wqkv.weight";
    await copyFamily(directory, "internlm2_dynamic", {
      edit: (tensors) => void tensors.set(wqkv, floatTensor([127, 64], new Float32Array(127 * 64))),
    });
    await assert.rejects(
      () => openCheckpoint(directory),
      /^RangeError: Cannot take "model\.layers\.1\.attention\.wqkv\.weight" of ".*" apart: it has 127 rows, expected 128, those of queries, keys and values$/,
    );
  }));

for (const family of FAMILIES) {
  Deno.test(`inspect misses no tensor of ${family} and knows no other`, async () => {
    const description = await describePath(`${FOLDER}/${family}`, { deep: true });
    // The folders have no tokenizer.
    const warnings = description!.warnings!.filter((text) => !/tokenizer/.test(text));
    assert.deepEqual(warnings, []);
  });
}
