import { strict as assert } from "node:assert";
import { plainBlockProblems } from "../../../stages/exchange/plain_blocks.ts";
import { architectureOf } from "../../../stages/models/architecture.ts";

const SIZES = {
  hidden_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 32,
  vocab_size: 8,
};

const CASES: readonly (readonly [architecture: string, Record<string, unknown>, RegExp])[] = [
  ["LlamaForCausalLM", {}, /^$/],
  ["StableLmForCausalLM", {}, /^its norms take the mean of a row away, expected [^;]*$/],
  [
    "StableLmForCausalLM",
    { use_parallel_residual: true },
    /; its attention and MLP read one norm beside each other, expected [^;]*$/,
  ],
  [
    "CohereForCausalLM",
    { logit_scale: 0.25 },
    /; its heads turn neighbours together, expected halves: [^;]*; it multiplies logits by 0\.25, expected 1/,
  ],
  [
    "Gemma3ForCausalLM",
    {},
    /^what its blocks add goes through a norm, post_attention_layernorm, expected none: [^;]*; its gates go through gelu_pytorch_tanh, expected silu: [^;]*; it multiplies embeddings by 8, expected 1: [^;]*$/,
  ],
  [
    "Gemma2ForCausalLM",
    { head_dim: 64, query_pre_attn_scalar: 16 },
    /; it multiplies scores by 0\.25, expected 0\.125, 1 \/ sqrt\(head size\): [^;]*; its scores have a cap of 50, expected none/,
  ],
  ["GraniteForCausalLM", { attention_multiplier: 1 / Math.sqrt(32) }, /^$/],
  ["GraniteForCausalLM", {}, /^it multiplies scores by 1, expected 0\.176[0-9]*, [^;]*$/],
  [
    "Olmo2ForCausalLM",
    {},
    /^what its blocks add goes through a norm, post_attention_layernorm, expected none: [^;]*$/,
  ],
];

for (const [name, json, message] of CASES) {
  Deno.test(`an engine of Llama's blocks is told ${name} ${JSON.stringify(json)}`, () => {
    const { config } = architectureOf({ architectures: [name], ...SIZES, ...json });
    assert.match(plainBlockProblems(config).join("; "), message);
  });
}
