import { strict as assert } from "node:assert";
import type { DecoderConfig } from "../../../../stages/models/config.ts";
import { gemma2, gemma3 } from "../../../../stages/models/families/mod.ts";

/** The text part of Gemma 3 1B, as it was published for transformers 4. */
const GEMMA3 = {
  architectures: ["Gemma3ForCausalLM"],
  model_type: "gemma3_text",
  hidden_size: 1152,
  hidden_activation: "gelu_pytorch_tanh",
  intermediate_size: 6912,
  num_hidden_layers: 26,
  num_attention_heads: 4,
  num_key_value_heads: 1,
  head_dim: 256,
  vocab_size: 262144,
  max_position_embeddings: 32768,
  query_pre_attn_scalar: 256,
  rope_theta: 1000000,
  rope_local_base_freq: 10000,
  rope_scaling: null,
  sliding_window: 512,
  sliding_window_pattern: 6,
};
const GEMMA2 = {
  architectures: ["Gemma2ForCausalLM"],
  hidden_act: "gelu_pytorch_tanh",
  hidden_activation: "gelu_pytorch_tanh",
  hidden_size: 2304,
  intermediate_size: 9216,
  num_hidden_layers: 26,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  vocab_size: 256000,
  rope_theta: 10000,
};

/** Square roots of hidden sizes in bfloat16, float16 and float32, by torch.tensor(...).to(...). */
const ROOTS:
  readonly (readonly [hidden: number, bfloat16: number, half: number, single: number])[] = [
    [640, 25.25, 25.296875, 25.298221588134766],
    [1152, 34.0, 33.9375, 33.941123962402344],
    [2304, 48.0, 48.0, 48.0],
    [2560, 50.5, 50.59375, 50.59644317626953],
    [3584, 59.75, 59.875, 59.866519927978516],
    [3840, 62.0, 61.96875, 61.967735290527344],
    [4608, 68.0, 67.875, 67.88224792480469],
    [5376, 73.5, 73.3125, 73.32121276855469],
  ];

for (const [hidden, bfloat16, float16, float32] of ROOTS) {
  Deno.test(`embeddings of ${hidden} channels are scaled in the type that config.json names`, () => {
    const scale = (named: object) =>
      gemma3.config({ ...GEMMA3, hidden_size: hidden, ...named }).embeddingScale;
    assert.equal(scale({ torch_dtype: "bfloat16" }), bfloat16);
    assert.equal(scale({ dtype: "bfloat16" }), bfloat16);
    assert.equal(scale({ torch_dtype: "float16" }), float16);
    assert.equal(scale({ torch_dtype: "float32" }), float32);
    assert.equal(scale({}), float32);
  });
}

/** Layers that attend to all keys, and those whose angles have a theta. */
function layersOf({ windows, ropes, ropeOf }: DecoderConfig, theta: number) {
  return {
    full: windows.flatMap((window, layer) => window === undefined ? [layer] : []),
    turned: ropeOf.flatMap((at, layer) => ropes[at]!.theta === theta ? [layer] : []),
  };
}

Deno.test("Gemma 3 attends to all keys in every sixth layer, where its theta is another", () => {
  const config = gemma3.config(GEMMA3);
  const full = [5, 11, 17, 23];
  assert.deepEqual(layersOf(config, 1e6), { full, turned: full });
  assert.deepEqual(new Set(config.windows), new Set([512, undefined]));
  assert.equal(config.attentionScale, 1 / 16);
  assert.equal(config.tied, true);
  const five = {
    ...GEMMA3,
    rope_local_base_freq: undefined,
    rope_theta: undefined,
    rope_parameters: {
      sliding_attention: { rope_type: "default", rope_theta: 10000 },
      full_attention: { rope_type: "default", rope_theta: 1000000 },
    },
  };
  assert.deepEqual(gemma3.config(five), config);
});

Deno.test("Gemma 3 has the pattern of layers that config.json says, by a number or a list", () => {
  const third = gemma3.config({ ...GEMMA3, num_hidden_layers: 7, sliding_window_pattern: 3 });
  assert.deepEqual(layersOf(third, 1e6), { full: [2, 5], turned: [2, 5] });
  const types = ["full_attention", "sliding_attention", "sliding_attention"];
  const listed = gemma3.config({ ...GEMMA3, num_hidden_layers: 3, layer_types: types });
  assert.deepEqual(layersOf(listed, 1e6), { full: [0], turned: [0] });
});

Deno.test("scaled rotary positions of Gemma 3 are those of layers that attend to all keys", () => {
  const { ropes, ropeOf } = gemma3.config({
    ...GEMMA3,
    rope_scaling: { rope_type: "linear", factor: 8 },
  });
  const types = ropeOf.map((at) => ropes[at]!.scaling.type);
  assert.deepEqual(types.slice(4, 7), ["default", "linear", "default"]);
});

Deno.test("Gemma 2 has caps and a window in every second layer though config.json is silent", () => {
  const config = gemma2.config(GEMMA2);
  assert.deepEqual(config.windows.slice(0, 4), [4096, undefined, 4096, undefined]);
  assert.deepEqual([config.attentionCap, config.logitCap], [50, 30]);
  assert.deepEqual([config.headSize, config.attentionScale], [256, 1 / 16]);
  const uncapped = gemma2.config({
    ...GEMMA2,
    attn_logit_softcapping: null,
    final_logit_softcapping: null,
    query_pre_attn_scalar: 144,
  });
  assert.deepEqual([uncapped.attentionCap, uncapped.logitCap], [undefined, undefined]);
  assert.equal(uncapped.attentionScale, 1 / 12);
});

const REFUSED: readonly (readonly [what: string, change: object, message: RegExp])[] = [
  [
    "a cap on scores",
    { attn_logit_softcapping: 50 },
    /attn_logit_softcapping is 50, expected none/,
  ],
  ["attention in both directions", { use_bidirectional_attention: true }, /use_bidirectional_att/],
  ["another activation", { hidden_activation: "relu" }, /hidden_activation/],
  [
    "types of too few layers",
    { layer_types: ["full_attention"] },
    /layer_types has 1 entries, expected 26 of full_attention and sliding_attention/,
  ],
  [
    "types of layers that it has not",
    { num_hidden_layers: 1, layer_types: ["chunked_attention"] },
    /one of them "chunked_attention", expected 1 of/,
  ],
];

for (const [what, change, message] of REFUSED) {
  Deno.test(`a config.json of Gemma 3 with ${what} is refused`, () => {
    assert.throws(() => gemma3.config({ ...GEMMA3, ...change }), message);
  });
}
