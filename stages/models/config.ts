import { z } from "zod";
import type { LinearRole } from "./site.ts";

/** How the angles of rotary position embedding are scaled; the names are those of transformers. */
export type RopeScaling =
  | { readonly type: "default" }
  | { readonly type: "linear"; readonly factor: number }
  | {
    readonly type: "llama3";
    readonly factor: number;
    readonly lowFrequencyFactor: number;
    readonly highFrequencyFactor: number;
    readonly originalPositions: number;
  };

/** What a decoder-only transformer is, read once from `config.json`. */
export interface DecoderConfig {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** Inner size of the MLP. */
  readonly inner: number;
  readonly vocabulary: number;
  /** Longest context the model was made for. */
  readonly positions: number;
  readonly normEps: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling;
  /** Whether the head is the embedding table. */
  readonly tied: boolean;
  /** Which linears of a layer have a bias. */
  readonly biases: readonly LinearRole[];
  /** Keys each layer's attention sees, where that is fewer than all. */
  readonly windows: readonly (number | undefined)[];
}

/** More would be no model: sizes are multiplied, and every layer is listed. */
const count = z.int().positive().max(2 ** 31);
const layerCount = count.max(10_000);
const rope = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: z.number().positive().optional(),
  factor: z.number().positive().optional(),
  low_freq_factor: z.number().positive().optional(),
  high_freq_factor: z.number().positive().optional(),
  original_max_position_embeddings: count.optional(),
});

/** The keys of `config.json` that decoders of the Llama kind share, as transformers 4 and 5 write them. */
const decoderJson = z.looseObject({
  hidden_size: count,
  num_hidden_layers: layerCount,
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  intermediate_size: count,
  vocab_size: count,
  max_position_embeddings: count.default(2048),
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: rope.nullish(),
  rope_parameters: rope.nullish(),
  tie_word_embeddings: z.boolean().default(false),
  hidden_act: z.literal("silu").default("silu"),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  sliding_window: count.nullish(),
  use_sliding_window: z.boolean().optional(),
  max_window_layers: z.int().nonnegative().optional(),
  layer_types: z.array(z.string()).nullish(),
});

/** What `decoderJson` reads. */
export type DecoderJson = z.infer<typeof decoderJson>;

/** Parses the shared keys; all problems in one error. */
export function parseDecoderJson(json: unknown): DecoderJson {
  const parsed = decoderJson.safeParse(json);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new TypeError(`Cannot read config.json: ${problems.join("; ")}`);
}

/** What a family says beside the shared keys. */
export interface Particulars {
  readonly biases: readonly LinearRole[];
  readonly windows: readonly (number | undefined)[];
}

/** A decoder's config from the shared keys and its family's particulars. */
export function decoderConfig(json: DecoderJson, particulars: Particulars): DecoderConfig {
  const heads = json.num_attention_heads;
  const kvHeads = json.num_key_value_heads ?? heads;
  if (heads % kvHeads !== 0) {
    throw new RangeError(
      `Cannot read config.json: num_key_value_heads is ${kvHeads}, expected a divisor of num_attention_heads ${heads}`,
    );
  }
  const parameters = json.rope_parameters ?? json.rope_scaling ?? {};
  return {
    hidden: json.hidden_size,
    layers: json.num_hidden_layers,
    heads,
    kvHeads,
    headSize: json.head_dim ?? json.hidden_size / heads,
    inner: json.intermediate_size,
    vocabulary: json.vocab_size,
    positions: json.max_position_embeddings,
    normEps: json.rms_norm_eps,
    ropeTheta: parameters.rope_theta ?? json.rope_theta ?? 10000,
    ropeScaling: ropeScaling(parameters, json.max_position_embeddings),
    tied: json.tie_word_embeddings,
    ...particulars,
  };
}

/** No window in any layer. */
export function noWindows(json: DecoderJson): undefined[] {
  return Array.from({ length: json.num_hidden_layers }, () => undefined);
}

/** Windows as Qwen has them: of layers from `max_window_layers` on, if the config turns them on at all. */
export function laterWindows(json: DecoderJson): (number | undefined)[] {
  const window = json.use_sliding_window ? json.sliding_window ?? undefined : undefined;
  const first = json.max_window_layers ?? json.num_hidden_layers;
  return Array.from({ length: json.num_hidden_layers }, (_, layer) => {
    const sliding = json.layer_types
      ? json.layer_types[layer] === "sliding_attention"
      : layer >= first;
    return sliding ? window : undefined;
  });
}

function ropeScaling(json: z.infer<typeof rope>, positions: number): RopeScaling {
  const type = json.rope_type ?? json.type ?? "default";
  const need = (key: "factor" | "low_freq_factor" | "high_freq_factor"): number => {
    const value = json[key];
    if (value !== undefined) return value;
    throw new TypeError(
      `Cannot read config.json: rope scaling "${type}" has no ${key}, expected a number`,
    );
  };
  if (type === "default") return { type };
  if (type === "linear") return { type, factor: need("factor") };
  if (type === "llama3") {
    return {
      type,
      factor: need("factor"),
      lowFrequencyFactor: need("low_freq_factor"),
      highFrequencyFactor: need("high_freq_factor"),
      originalPositions: json.original_max_position_embeddings ?? positions,
    };
  }
  throw new TypeError(
    `Cannot read config.json: rope scaling is "${type}", expected default, linear or llama3`,
  );
}
