import type { GgufMetadata } from "./metadata.ts";

/** Tensors that llama.cpp divides rotary frequencies by, each f32 [channels that turn / 2]. */
export const ROPE_TENSORS = {
  all: "rope_freqs.weight",
  short: "rope_factors_short.weight",
  long: "rope_factors_long.weight",
} as const;

/** Divisors of rotary frequencies: for all sequences, or for short and for long ones. */
export type RopeDivisors = { readonly [name in keyof typeof ROPE_TENSORS]?: Float32Array };

/** What divisors depend on. */
export interface Rotary {
  readonly theta: number;
  /** Channels of a head that turn. */
  readonly channels: number;
}

/** The scale of attention that llama.cpp gives YaRN by itself; a file's `attn_factor` is on top of it. */
export function ownAttention(factor: number): number {
  return 1 + 0.1 * Math.log(factor);
}

/** `rope_scaling` of `config.json` for the rotary embedding of a GGUF file; null where it has none. */
export function ggufRopeScaling(
  metadata: GgufMetadata,
  architecture: string,
  { divisors, ...rotary }: Rotary & { readonly divisors: RopeDivisors },
): Record<string, unknown> | null {
  const name = (key: string) => `${architecture}.rope.scaling.${key}`;
  const number = (key: string) => metadata.number(name(key));
  const refuse = (what: string, expected: string) =>
    new TypeError(`Cannot open "${metadata.path}": its ${what}, expected ${expected}`);
  const type = metadata.text(name("type"));
  if (type !== undefined && !["none", "linear", "yarn", "longrope"].includes(type)) {
    throw refuse(`${name("type")} is "${type}"`, "none, linear, yarn or longrope");
  }
  const factor = shortest(
    number("factor") ?? metadata.number(`${architecture}.rope.scale_linear`) ?? 1,
  );
  const attention = number("attn_factor") ?? 1;
  const original = number("original_context_length") ??
    metadata.number(`${architecture}.context_length`);
  const { all, short, long } = divisors;
  for (const key of ["yarn_log_multiplier", "yarn_ext_factor", "yarn_attn_factor"]) {
    const usual = key === "yarn_log_multiplier" ? 0 : 1;
    if ((number(key) ?? usual) !== usual) {
      throw refuse(`${name(key)} is ${number(key)}`, `${usual} or none`);
    }
  }
  if (short || long || type === "longrope") {
    if (!short || !long) {
      throw refuse(
        "rotary frequencies are scaled for short and long sequences by only some tensors",
        `both ${ROPE_TENSORS.short} and ${ROPE_TENSORS.long}`,
      );
    }
    if (factor !== 1) {
      throw refuse(`${name("factor")} is ${factor} beside factors a pair`, "1 or none");
    }
    return {
      rope_type: "longrope",
      short_factor: Array.from(short, shortest),
      long_factor: Array.from(long, shortest),
      original_max_position_embeddings: original,
      attention_factor: shortest(attention),
    };
  }
  if (all?.some((divisor) => divisor !== 1)) {
    const scaled = factor !== 1 && type !== "none";
    if (scaled) {
      throw refuse(`${name("factor")} is ${factor} beside ${ROPE_TENSORS.all}`, "1 or none");
    }
    refuseAttention();
    return llama3Scaling(metadata, rotary, all);
  }
  if (type === "yarn") {
    const [fast, slow] = [number("yarn_beta_fast"), number("yarn_beta_slow")];
    return {
      rope_type: "yarn",
      factor,
      original_max_position_embeddings: original,
      ...attention !== 1 && { attention_factor: shortest(attention * ownAttention(factor)) },
      ...fast !== undefined && { beta_fast: shortest(fast) },
      ...slow !== undefined && { beta_slow: shortest(slow) },
    };
  }
  refuseAttention();
  return type === "none" || factor === 1 ? null : { rope_type: "linear", factor };

  function refuseAttention(): void {
    if (attention === 1) return;
    throw refuse(
      `${name("attn_factor")} is ${attention} with scaling ${type ?? "none"}`,
      "it with yarn or longrope alone",
    );
  }
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
  rotary: Rotary,
  factors: Float32Array,
): Record<string, unknown> {
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
  { theta, channels }: Rotary,
): Float32Array<ArrayBuffer> {
  const { factor, low_freq_factor: low, high_freq_factor: high } = scaling;
  return Float32Array.from({ length: channels / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** (2 * i / channels);
    const turns = scaling.original_max_position_embeddings / wavelength;
    if (turns > high) return 1;
    if (turns < low) return factor;
    const smooth = (turns - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/** The shortest decimal of a number stored in single precision: 1e-5, not 0.00000999999974. */
export function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return short;
  }
  return value;
}
