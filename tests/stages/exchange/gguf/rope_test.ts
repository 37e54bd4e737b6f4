import { strict as assert } from "node:assert";
import type { GgufEntries } from "../../../../stages/formats/gguf/encoding.ts";
import { ggufMetadata } from "../../../../stages/formats/gguf/metadata.ts";
import { ggufRopeScaling, ROPE_TENSORS } from "../../../../stages/formats/gguf/rope.ts";
import { refusedRope, ropeEntries, ropeTensors } from "../../../../stages/exchange/gguf/rope.ts";
import { subjectOf } from "../../../../stages/exchange/subject.ts";
import { readRopes } from "../../../../stages/models/rope_config.ts";
import { assertWithin } from "../../../support/tolerance.ts";

const LLAMA = {
  architectures: ["LlamaForCausalLM"],
  hidden_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 32,
  vocab_size: 8,
  rope_theta: 5000,
  max_position_embeddings: 512,
};
const YARN = { type: "yarn", factor: 4, original_max_position_embeddings: 128 };
const LONGROPE = {
  type: "longrope",
  short_factor: [1, 1.1, 1.25, 1.5, 2, 2.5, 3, 4],
  long_factor: [1, 1.5, 2.5, 4, 7, 11, 16, 24],
  original_max_position_embeddings: 128,
  attention_factor: 1.25,
};
const LLAMA3 = {
  type: "llama3",
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 64,
};

for (
  const scaling of [
    undefined,
    { type: "linear", factor: 2.5 },
    YARN,
    { ...YARN, attention_factor: 0.8 },
    LONGROPE,
    LLAMA3,
  ]
) {
  Deno.test(`a GGUF file gives rotary scaling ${scaling?.type ?? "none"} back`, () => {
    const { ropes: [rope] } = readRopes({ ...LLAMA, rope_scaling: scaling }, { headSize: 16 });
    const tensors = ropeTensors(rope!);
    const divisors = Object.fromEntries(
      Object.entries(ROPE_TENSORS).flatMap(([key, name]) =>
        tensors.has(name) ? [[key, tensors.get(name)!]] : []
      ),
    );
    const read = ggufRopeScaling(metadataOf(ropeEntries(rope!, "llama")), "llama", {
      theta: 5000,
      channels: 16,
      divisors,
    });
    const { ropes: [again] } = readRopes({ ...LLAMA, rope_scaling: read ?? {} }, { headSize: 16 });
    assert.deepEqual(again, rope);
  });
}

Deno.test("YaRN is told to llama.cpp by its keys, with what it does not scale by itself", () => {
  const { ropes: [rope] } = readRopes({ ...LLAMA, rope_scaling: YARN }, { headSize: 16 });
  // Names of gguf-py's Keys.Rope; llama.cpp multiplies by 1 + 0.1 ln(factor) itself, as transformers does.
  assert.deepEqual(ropeEntries(rope!, "llama"), {
    "llama.rope.dimension_count": { u32: 16 },
    "llama.rope.freq_base": { f32: 5000 },
    "llama.rope.scaling.type": { text: "yarn" },
    "llama.rope.scaling.factor": { f32: 4 },
    "llama.rope.scaling.original_context_length": { u32: 128 },
  });
  const scaled = readRopes(
    { ...LLAMA, rope_scaling: { ...YARN, attention_factor: 0.8 } },
    { headSize: 16 },
  );
  const entry = ropeEntries(scaled.ropes[0]!, "llama")["llama.rope.scaling.attn_factor"];
  assertWithin((entry as { f32: number }).f32, 0.8 / (1 + 0.1 * Math.log(4)), 1e-7);
});

const REFUSED: readonly (readonly [Record<string, unknown>, RegExp])[] = [
  [
    { rope_scaling: { type: "dynamic", factor: 2 } },
    /by the length of a sequence \(dynamic\), expected/,
  ],
  [
    { rope_scaling: { ...YARN, beta_fast: 16 } },
    /^YaRN has beta_fast 16, beta_slow 1, expected 32 and 1: /,
  ],
  [{ rope_scaling: { ...YARN, truncate: false } }, /and no whole bounds \(truncate\), expected/],
  [
    { architectures: ["Qwen2ForCausalLM"], rope_scaling: LLAMA3 },
    /scaled \(llama3\), which llama.cpp does not read for Qwen2ForCausalLM, expected none, linear or yarn$/,
  ],
  [
    { architectures: ["SmolLM3ForCausalLM"], num_key_value_heads: 2, no_rope_layers: [1, 0] },
    /^layer 1 turns no queries and keys, expected it to in a smollm3 of llama.cpp$/,
  ],
  [{
    layer_types: ["sliding_attention", "full_attention"],
    rope_scaling: { sliding_attention: { rope_theta: 1 }, full_attention: { rope_theta: 2 } },
  }, /^its layers have 2 rotary embeddings, expected one in a llama of llama.cpp$/],
];

for (const [json, message] of REFUSED) {
  Deno.test(`a GGUF file refuses ${Deno.inspect(json, { compact: true })}`, () => {
    const record = { history: [], hadamard: [], linears: {}, kv: [] };
    const subject = subjectOf({ config: { ...LLAMA, ...json }, record });
    assert.match([...refusedRope(subject)].map(({ text }) => text).join("; "), message);
  });
}

const FILES: readonly (readonly [GgufEntries, RegExp])[] = [
  [
    { "x.rope.scaling.type": { text: "ntk" } },
    /type is "ntk", expected none, linear, yarn or longrope$/,
  ],
  [
    { "x.rope.scaling.yarn_log_multiplier": { f32: 0.1 } },
    /yarn_log_multiplier is 0.1\d*, expected 0 or none$/,
  ],
  [
    { "x.rope.scaling.type": { text: "longrope" } },
    /expected both rope_factors_short.weight and rope_factors_long/,
  ],
  [
    { "x.rope.scaling.attn_factor": { f32: 2 } },
    /attn_factor is 2 with scaling none, expected it with yarn or/,
  ],
];

for (const [entries, message] of FILES) {
  Deno.test(`reading a GGUF file refuses ${Deno.inspect(entries, { compact: true })}`, () => {
    const read = () =>
      ggufRopeScaling(metadataOf(entries), "x", { theta: 5000, channels: 16, divisors: {} });
    assert.throws(read, message);
  });
}

/** What a reader of a file finds. */
function metadataOf(entries: GgufEntries) {
  const values = Object.entries(entries).map(([key, entry]) => {
    const [[type, value]] = Object.entries(entry) as [[string, number | string]];
    return [key, type === "f32" ? Math.fround(value as number) : value] as const;
  });
  return ggufMetadata({ metadata: new Map(values) } as never, "model.gguf");
}
