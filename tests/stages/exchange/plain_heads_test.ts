import { strict as assert } from "node:assert";
import { plainHeadProblems } from "../../../stages/exchange/plain_heads.ts";
import { architectureOf } from "../../../stages/models/architecture.ts";

const LLAMA = {
  architectures: ["LlamaForCausalLM"],
  hidden_size: 64,
  num_hidden_layers: 4,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  intermediate_size: 32,
  vocab_size: 8,
};

const CASES: readonly (readonly [Record<string, unknown>, RegExp])[] = [
  [{}, /^$/],
  [
    { rope_scaling: { type: "yarn", factor: 2 } },
    /^its rotary positions are scaled \(yarn\), expected none: /,
  ],
  [{ head_dim: 64 }, /^its head size is 64, expected hidden size \/ heads, which is 32: /],
  [
    { architectures: ["SmolLM3ForCausalLM"] },
    /^its layers turn differently, expected all channels/,
  ],
  [
    { architectures: ["Phi3ForCausalLM"], partial_rotary_factor: 0.75 },
    /^its layers turn 24 of 32 channels of a head, expected all channels/,
  ],
];

for (const [json, message] of CASES) {
  Deno.test(`an engine of plain heads is told ${Deno.inspect(json, { compact: true })}`, () => {
    const { config } = architectureOf({ ...LLAMA, ...json });
    assert.match(plainHeadProblems(config).join("; "), message);
  });
}
