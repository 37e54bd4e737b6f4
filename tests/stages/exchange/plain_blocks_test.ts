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
];

for (const [name, json, message] of CASES) {
  Deno.test(`an engine of Llama's blocks is told ${name} ${JSON.stringify(json)}`, () => {
    const { config } = architectureOf({ architectures: [name], ...SIZES, ...json });
    assert.match(plainBlockProblems(config).join("; "), message);
  });
}
