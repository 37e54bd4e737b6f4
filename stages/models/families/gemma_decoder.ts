import { z } from "zod";
import type { GgufClass, GgufFacts, GgufModel } from "../../formats/gguf/model_class.ts";
import { type DecoderJson, parseDecoderJson, type Particulars } from "../config.ts";
import { readConfig } from "../config_keys.ts";
import { GAIN_OFFSET } from "../whole_gains.ts";
import type { Family } from "../family.ts";
import { loadDecoderLayer } from "./decoder_layer.ts";
import { decoderLayout } from "./decoder_layout.ts";

/** The norms of a layer of Gemma 2 and 3. */
const GEMMA_NORMS = {
  attention: { before: "input_layernorm", behind: "post_attention_layernorm" },
  mlp: { before: "pre_feedforward_layernorm", behind: "post_feedforward_layernorm" },
} as const;

/** What Gemma 2 and 3 are alike in: gains are stored as w of 1 + w. */
export const GEMMA = {
  gainOffset: 1,
  layout: decoderLayout,
  load: loadDecoderLayer,
} as const satisfies Partial<Family>;

const cap = z.number().positive().nullish();

/** The keys of `config.json` that only Gemma has. */
const gemmaJson = z.looseObject({
  hidden_activation: z.literal("gelu_pytorch_tanh").nullish(),
  query_pre_attn_scalar: z.number().positive().default(256),
  attn_logit_softcapping: cap,
  final_logit_softcapping: cap,
  use_bidirectional_attention: z.literal(false).nullish(),
  dtype: z.string().nullish(),
  torch_dtype: z.string().nullish(),
});

/** What `gemmaJson` reads, and what all decoders have. */
type GemmaJson = z.infer<typeof gemmaJson> & DecoderJson;

/** Reads both, with what transformers takes for keys that a file leaves out. */
export function parseGemmaJson(json: unknown, defaults: object): GemmaJson {
  const given = { head_dim: 256, tie_word_embeddings: true, ...defaults, ...json as object };
  const gemma = readConfig(gemmaJson, given);
  // Published files have the activation of Gemma 1 too, which nothing reads.
  return { ...gemma, ...parseDecoderJson({ ...given, hidden_act: "silu" }) };
}

/** The layers of a config by type: those it lists, else a full one behind every `period` - 1 with a window. */
export function layerTypes(
  { layer_types, num_hidden_layers }: DecoderJson,
  period: number,
): readonly string[] {
  const types = layer_types ?? Array.from(
    { length: num_hidden_layers },
    (_, layer) => (layer + 1) % period === 0 ? "full_attention" : "sliding_attention",
  );
  const odd = types.find((type) => type !== "full_attention" && type !== "sliding_attention");
  if (types.length === num_hidden_layers && odd === undefined) return types;
  throw new TypeError(
    `Cannot read config.json: layer_types has ${types.length} entries${
      odd === undefined ? "" : `, one of them "${odd}"`
    }, expected ${num_hidden_layers} of full_attention and sliding_attention`,
  );
}

/** What files of Gemma 2 and 3 for llama.cpp are alike in. */
export const GEMMA_GGUF = {
  interleaved: false,
  ownHeadSize: true,
  partialRotary: false,
  ropeDivisors: false,
  parts: {
    post_attention_norm: "post_attention_layernorm",
    ffn_norm: "pre_feedforward_layernorm",
    post_ffw_norm: "post_feedforward_layernorm",
  },
  cautions: ({ hidden, embeddingScale }) => {
    const root = Math.fround(Math.sqrt(hidden));
    return embeddingScale === root
      ? []
      : [`multiplies embeddings by ${root}, where the model has it rounded to ${embeddingScale}`];
  },
} as const satisfies Partial<GgufClass>;

/** What `config.json` says of both; llama.cpp's files have whole gains. `large` is told from its layers. */
export function gemmaGgufConfig(
  { window, number }: GgufFacts,
  large: number,
): Readonly<Record<string, unknown>> {
  return {
    hidden_act: "gelu_pytorch_tanh",
    hidden_activation: "gelu_pytorch_tanh",
    query_pre_attn_scalar: number("block_count") === large
      ? Math.floor(number("embedding_length")! / number("attention.head_count")!)
      : number("attention.key_length"),
    sliding_window: window ?? null,
    [GAIN_OFFSET]: 0,
  };
}

/** What llama.cpp computes otherwise in a Gemma; models of `large` layers scale scores by the hidden size. */
export function* gemmaDifferences(
  { hidden, layers, heads, headSize, biases, attentionScale }: GgufModel,
  large: number,
): Generator<string> {
  const [biased] = biases;
  if (biased !== undefined) {
    yield `its ${biased}_proj has a bias, expected none in a Gemma of llama.cpp`;
  }
  const size = layers === large ? Math.floor(hidden / heads) : headSize;
  if (attentionScale !== size ** -0.5) {
    yield `its scores are multiplied by ${attentionScale}, expected ${
      size ** -0.5
    }, 1 / sqrt(${size}), in a Gemma of llama.cpp with ${layers} layers`;
  }
}

/** What a decoder of Gemma's has otherwise than Llama. */
export function gemmaParticulars(json: GemmaJson, types: readonly string[]): Particulars {
  const window = json.sliding_window ?? undefined;
  return {
    biases: json.attention_bias ? ["q", "k", "v", "o"] : [],
    windows: types.map((type) => type === "sliding_attention" ? window : undefined),
    layerNorms: GEMMA_NORMS,
    activation: "gelu_pytorch_tanh",
    embeddingScale: embeddingScale(json),
    attentionScale: json.query_pre_attn_scalar ** -0.5,
    attentionCap: json.attn_logit_softcapping ?? undefined,
    logitCap: json.final_logit_softcapping ?? undefined,
  };
}

/**
 * The square root of the hidden size, rounded to the element type that `config.json` names, as
 * transformers rounds it; to single precision where it names none.
 */
function embeddingScale({ hidden_size, dtype, torch_dtype }: GemmaJson): number {
  const root = Math.fround(Math.sqrt(hidden_size));
  const type = dtype ?? torch_dtype;
  if (type === "float16") return Math.f16round(root);
  return type === "bfloat16" ? widenBrain(root) : root;
}

/** A positive number to 8 significant bits, halves to even. */
function widenBrain(value: number): number {
  const [words] = [new Uint32Array(Float32Array.of(value).buffer)];
  words[0] = words[0]! + 0x7fff + (words[0]! >>> 16 & 1) & 0xffff0000;
  return new Float32Array(words.buffer)[0]!;
}
