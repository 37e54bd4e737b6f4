import type { GgufMetadata } from "./metadata.ts";
import type { GgufClass, GgufFacts } from "./model_class.ts";

/** The class of the architecture a GGUF file names; throws a `TypeError` where none of these is it. */
export function ggufClass(metadata: GgufMetadata, classes: readonly GgufClass[]): GgufClass {
  const architecture = metadata.text("general.architecture");
  const found = classes.find((each) => each.architecture === architecture);
  if (found) return found;
  const known = new Set(classes.map((each) => each.architecture));
  throw new TypeError(
    `Cannot open "${metadata.path}": its general.architecture is ${
      JSON.stringify(architecture)
    }, expected one of ${[...known].join(", ")}`,
  );
}

/** `config.json` as transformers 4 would write it for the model of a GGUF file. */
export function ggufConfig(
  metadata: GgufMetadata,
  { architecture, name, type, config }: GgufClass,
  facts: GgufFacts,
): Record<string, unknown> {
  const required = (key: string): number => {
    const value = metadata.number(`${architecture}.${key}`);
    if (value !== undefined) return value;
    throw new TypeError(
      `Cannot read the configuration of "${metadata.path}": no ${architecture}.${key}, expected it`,
    );
  };
  const optional = (key: string) => metadata.number(`${architecture}.${key}`);
  // Sizes are divided by counts before the configuration is checked as a whole.
  const count = (key: string, usual?: number): number => {
    const value = usual === undefined ? required(key) : optional(key) ?? usual;
    if (Number.isSafeInteger(value) && value > 0) return value;
    throw new TypeError(
      `Cannot read the configuration of "${metadata.path}": ${architecture}.${key} is ${value}, ` +
        "expected a count of at least 1",
    );
  };
  if ((optional("expert_count") ?? 0) > 0) {
    throw new TypeError(
      `Cannot open "${metadata.path}": ${optional("expert_count")} experts, expected a dense model`,
    );
  }
  const hidden = count("embedding_length");
  const heads = count("attention.head_count");
  const headSize = ggufHeadSize(metadata, architecture);
  const theta = optional("rope.freq_base") ?? 10_000;
  return {
    architectures: [name],
    model_type: type,
    vocab_size: facts.vocabulary,
    hidden_size: hidden,
    intermediate_size: count("feed_forward_length"),
    num_hidden_layers: count("block_count"),
    num_attention_heads: heads,
    num_key_value_heads: count("attention.head_count_kv", heads),
    head_dim: headSize,
    hidden_act: "silu",
    max_position_embeddings: count("context_length"),
    rms_norm_eps: shortest(required("attention.layer_norm_rms_epsilon")),
    rope_theta: shortest(theta),
    rope_scaling: ropeScaling(metadata, architecture, {
      theta,
      headSize,
      factors: facts.ropeFactors,
    }),
    tie_word_embeddings: facts.tied,
    ...config(facts),
    ...tokenId("bos_token_id", metadata.number("tokenizer.ggml.bos_token_id")),
    ...tokenId("eos_token_id", metadata.number("tokenizer.ggml.eos_token_id")),
    torch_dtype: "float32",
  };
}

/** Size of an attention head; throws where values or rotary dimensions have another one. */
export function ggufHeadSize(metadata: GgufMetadata, architecture: string): number {
  const number = (key: string) => metadata.number(`${architecture}.${key}`);
  const rotary = number("rope.dimension_count");
  const size = number("attention.key_length") ?? rotary ??
    (number("embedding_length") ?? NaN) / (number("attention.head_count") ?? NaN);
  const value = number("attention.value_length") ?? size;
  const even = Number.isInteger(size / 2) && size > 0;
  if (even && value === size && (rotary ?? size) === size) return size;
  throw new TypeError(
    `Cannot open "${metadata.path}": heads of ${size} with values of ${value} and ${
      rotary ?? size
    } rotary dimensions, expected one even size`,
  );
}

function tokenId(key: string, id: number | undefined): Record<string, number> {
  return id === undefined ? {} : { [key]: id };
}

/** The shortest decimal of a number stored in single precision: 1e-5, not 0.00000999999974. */
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return short;
  }
  return value;
}

function ropeScaling(
  metadata: GgufMetadata,
  architecture: string,
  { theta, headSize, factors }: {
    readonly theta: number;
    readonly headSize: number;
    readonly factors: Float32Array | undefined;
  },
): Record<string, unknown> | null {
  const type = metadata.text(`${architecture}.rope.scaling.type`);
  const factor = metadata.number(`${architecture}.rope.scaling.factor`) ??
    metadata.number(`${architecture}.rope.scale_linear`) ?? 1;
  if (type !== undefined && type !== "none" && type !== "linear") {
    throw new TypeError(
      `Cannot open "${metadata.path}": its ${architecture}.rope.scaling.type is "${type}", ` +
        `expected none or linear`,
    );
  }
  if (factors !== undefined) return llama3Scaling(metadata, { theta, headSize }, factors);
  return type === "none" || factor === 1 ? null : { rope_type: "linear", factor };
}

/**
 * Metadata keys of what llama3 scaling is made from, which other programs do not write: the factors in
 * `rope_freqs.weight` are all they read. GGUF's own keys of scaling would scale once more.
 */
export const LLAMA3_KEYS = {
  factor: "quattuor.rope.factor",
  original_max_position_embeddings: "quattuor.rope.original_max_position_embeddings",
  low_freq_factor: "quattuor.rope.low_freq_factor",
  high_freq_factor: "quattuor.rope.high_freq_factor",
} as const;

/** llama3 scaling as `config.json` says it. */
export type Llama3 = Readonly<Record<keyof typeof LLAMA3_KEYS, number>>;

/** The values every published Llama 3.1 to 3.3 has; most files keep only what follows from them. */
const PUBLISHED = {
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
} as const;

function llama3Scaling(
  metadata: GgufMetadata,
  rotary: { readonly theta: number; readonly headSize: number },
  factors: Float32Array,
): Record<string, unknown> | null {
  if (factors.every((factor) => factor === 1)) return null;
  const said = Object.entries(LLAMA3_KEYS).flatMap(([key, path]) => {
    const value = metadata.number(path);
    return value === undefined ? [] : [[key, shortest(value)] as const];
  });
  const most = factors.reduce((most, each) => Math.max(most, each), 1);
  const scaling: Llama3 = { factor: most, ...PUBLISHED, ...Object.fromEntries(said) };
  const expected = llama3Factors(scaling, rotary);
  const agrees = factors.length === expected.length &&
    expected.every((each, i) => Math.abs(factors[i]! / each - 1) < 1e-4);
  if (!agrees) {
    throw new TypeError(
      `Cannot read tensor "rope_freqs.weight" of "${metadata.path}": its factors up to ${most} ` +
        `are not those of llama3 scaling over ${scaling.original_max_position_embeddings} ` +
        `positions, expected them to be`,
    );
  }
  return { rope_type: "llama3", ...scaling };
}

/** What llama3 scaling divides each rotary frequency by: content of `rope_freqs.weight`. */
export function llama3Factors(
  scaling: Llama3,
  { theta, headSize }: { readonly theta: number; readonly headSize: number },
): Float32Array<ArrayBuffer> {
  const { factor, low_freq_factor: low, high_freq_factor: high } = scaling;
  return Float32Array.from({ length: headSize / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** (2 * i / headSize);
    const turns = scaling.original_max_position_embeddings / wavelength;
    if (turns > high) return 1;
    if (turns < low) return factor;
    const smooth = (turns - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}
