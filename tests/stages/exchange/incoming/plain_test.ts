import { strict as assert } from "node:assert";
import { ReferenceDevice } from "../../../../kernels/device/reference.ts";
import { load } from "../../../../stages/load.ts";
import { openCheckpoint } from "../../../../stages/models/open_checkpoint.ts";
import {
  type CopiedTensor,
  copyFamily,
  type FamilyChange,
  familyLogits,
  floatTensor,
  logitsHere,
} from "../../../support/family_copy.ts";
import { relativeError } from "../../../support/forward_pass.ts";
import { StageChain } from "../../../support/stage_chain.ts";

const Q = "model.layers.0.self_attn.q_proj";

/** Adds tensors of ones under these names. */
function adding(...names: readonly string[]): NonNullable<FamilyChange["edit"]> {
  return (tensors) => {
    for (const name of names) tensors.set(name, floatTensor([8], new Float32Array(8).fill(1)));
  };
}

/** Tensors that nothing reads, and what is said of them. */
const UNUSED: readonly (readonly [what: string, family: string, change: FamilyChange, RegExp])[] = [
  [
    "biases that the config denies",
    "llama_linear_biases",
    { config: { attention_bias: false } },
    /_proj\.bias".* are of biases that config\.json denies, expected none; set use_biases to true/,
  ],
  [
    "an adapter",
    "llama_wide_heads",
    { edit: adding(`${Q}.lora_A.weight`, `${Q}.lora_B.weight`) },
    /lora_A\.weight", .* are of an adapter, expected none; merge the adapter first/,
  ],
  [
    "an adapter in whose place the weights are called otherwise",
    "llama_wide_heads",
    {
      edit: (tensors: Map<string, CopiedTensor>) => {
        tensors.set(`${Q}.base_layer.weight`, tensors.get(`${Q}.weight`)!);
        tensors.delete(`${Q}.weight`);
        adding(`${Q}.lora_A.default.weight`)(tensors);
      },
    },
    /^Cannot load "[^"]*": "[^"]*", "[^"]*" are of an adapter, expected none; merge/,
  ],
  [
    "more layers",
    "llama_wide_heads",
    { config: { num_hidden_layers: 1 } },
    /"model\.layers\.1\.input_layernorm\.weight".* and 6 more are of more layers than num_hidden_layers in config\.json, expected 1/,
  ],
  [
    "norms of another family",
    "llama_wide_heads",
    { edit: adding(`${Q.replace("q_proj", "q_norm")}.weight`) },
    /q_norm\.weight" is what Qwen3ForCausalLM has, expected what LlamaForCausalLM has; look at architectures/,
  ],
  [
    "biases of another family",
    "qwen2_untied",
    { config: { architectures: ["MistralForCausalLM"], sliding_window: null } },
    /q_proj\.bias".* are what LlamaForCausalLM.* has, expected what MistralForCausalLM has|q_proj\.bias".* are what Qwen2ForCausalLM has, expected what MistralForCausalLM has/,
  ],
  [
    "norms of no family",
    "llama_wide_heads",
    { edit: adding("model.layers.0.pre_mixer_layernorm.weight") },
    /pre_mixer_layernorm\.weight" is of parts that LlamaForCausalLM has not, expected none/,
  ],
  [
    "scales of a KV cache",
    "llama_wide_heads",
    { edit: adding("model.layers.0.self_attn.k_scale") },
    /k_scale" is of quantized activations or of a KV cache, expected none beside plain weights/,
  ],
  [
    "a tower that sees",
    "llama_wide_heads",
    { edit: adding("vision_tower.patch_embedding.weight") },
    /"vision_tower\.patch_embedding\.weight" is of parts that LlamaForCausalLM has not/,
  ],
];

for (const [what, family, change, message] of UNUSED) {
  Deno.test(`load refuses ${what}, and with unused: ignore it says what it leaves out`, async () => {
    await using chain = await StageChain.open(new ReferenceDevice());
    const path = await chain.directory();
    await copyFamily(path, family, change);
    await chain.refuses(load, { inputs: {}, params: { model: path }, message });
    if (what.includes("in whose place")) return;
    await chain.run(load, {}, { model: path, unused: "ignore" });
    const told = chain.notes.find((text) => text.startsWith("Not used: "))!;
    assert.match(told, new RegExp(message.source.replace(/^\^.*?: "/, '"')));
  });
}

Deno.test("codes that nothing here reads are refused by the name of their method", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  for (const method of ["mxfp4", "hqq", "aqlm"]) {
    const path = await chain.directory();
    await copyFamily(path, "llama_wide_heads", {
      config: { quantization_config: { quant_method: method } },
      edit: (tensors) => {
        tensors.delete(`${Q}.weight`);
        const part = { dtype: "U8", shape: [4], bytes: new Uint8Array(4) } as const;
        tensors.set(`${Q}.${{ mxfp4: "weight_blocks", hqq: "W_q" }[method] ?? "codes"}`, part);
      },
    });
    const message = new RegExp(
      `its "${Q}\\.\\w+" holds codes, quantized by quant_method "${method}", expected plain`,
    );
    await chain.refuses(load, { inputs: {}, params: { model: path }, message });
  }
});

Deno.test("a model that was saved without its head is refused with what may be meant", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const path = await chain.directory();
  const edit = (tensors: Map<string, CopiedTensor>) => void tensors.delete("lm_head.weight");
  await copyFamily(path, "llama_wide_heads", { edit });
  await chain.refuses(load, {
    inputs: {},
    params: { model: path },
    message: /"lm_head\.weight" is missing, expected a head or a config\.json that ties it \(tie_/,
  });
});

Deno.test("what programs store for nothing is not told of", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const path = await chain.directory();
  await copyFamily(path, "llama_wide_heads", {
    edit: (tensors) => {
      adding(
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "model.rotary_emb.inv_freq",
        "model.layers.1.self_attn.masked_bias",
      )(tensors);
      // A bias of zeros adds nothing, wherever it stands.
      tensors.set(`${Q}.bias`, floatTensor([96], new Float32Array(96)));
    },
  });
  const loaded = await chain.run(load, {}, { model: path, dtype: "float32" });
  assert.deepEqual(chain.notes.length, 1, chain.notes.join("\n"));
  using checkpoint = await openCheckpoint(loaded.path);
  assert.equal(checkpoint.tensors.has(`${Q}.bias`), false);
});

Deno.test("use_biases uses what the config denies, and has the logits of transformers", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const path = await chain.directory();
  const family = "llama_linear_biases";
  await copyFamily(path, family, { config: { attention_bias: false, mlp_bias: false } });
  const params = { model: path, dtype: "float32", use_biases: true };
  const loaded = await chain.run(load, {}, params);
  const { logits } = await familyLogits(family);
  assert.ok(relativeError(await logitsHere(loaded.path, family), logits) < 2e-5);
  using checkpoint = await openCheckpoint(loaded.path);
  const { attention_bias, mlp_bias } = checkpoint.config as Record<string, unknown>;
  assert.deepEqual([attention_bias, mlp_bias], [true, true]);
  assert.ok(chain.notes.includes("biases are used that config.json denies"));
});

Deno.test("use_biases takes biases that the file lacks for zeros", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const family = "llama_linear_biases";
  const logits = async (change: FamilyChange, params: object) => {
    const path = await chain.directory();
    await copyFamily(path, family, change);
    const loaded = await chain.run(load, {}, { model: path, dtype: "float32", ...params });
    return await logitsHere(loaded.path, family);
  };
  const each = (
    edit: (tensors: Map<string, CopiedTensor>, name: string) => void,
  ): FamilyChange => ({
    edit: (tensors) => {
      for (const name of [...tensors.keys()]) if (name.endsWith("o_proj.bias")) edit(tensors, name);
    },
  });
  const zero = each((tensors, name) => void tensors.get(name)!.bytes.fill(0));
  const lacking = each((tensors, name) => void tensors.delete(name));
  const denied = { attention_bias: false };
  const got = await logits({ ...lacking, config: denied }, { use_biases: true });
  assert.equal(relativeError(got, await logits(zero, {})), 0);
  assert.ok(
    chain.notes.includes("biases are used that config.json denies; 2 that the file lacks are 0"),
    chain.notes.join("\n"),
  );
});

Deno.test("use_biases changes nothing where there are none", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const path = await chain.directory();
  await copyFamily(path, "llama_wide_heads");
  const loaded = await chain.run(load, {}, { model: path, dtype: "float32", use_biases: true });
  const { logits } = await familyLogits("llama_wide_heads");
  assert.ok(relativeError(await logitsHere(loaded.path, "llama_wide_heads"), logits) < 2e-5);
  assert.equal(chain.notes.length, 1, chain.notes.join("\n"));
});
