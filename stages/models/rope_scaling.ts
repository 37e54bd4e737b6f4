import { z } from "zod";
import type { RopeScaling } from "./rope.ts";

const count = z.int().positive();
const number = z.number().positive();
const factors = z.array(number).min(1);

/** All keys that some scaling has, as transformers 4 and 5 write them; null is as if left out. */
const keys = {
  rope_type: z.string().nullish(),
  type: z.string().nullish(),
  rope_theta: number.nullish(),
  partial_rotary_factor: number.max(1).nullish(),
  factor: number.nullish(),
  original_max_position_embeddings: count.nullish(),
  attention_factor: number.nullish(),
  beta_fast: number.nullish(),
  beta_slow: number.nullish(),
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
  truncate: z.boolean().nullish(),
  short_factor: factors.nullish(),
  long_factor: factors.nullish(),
  low_freq_factor: number.nullish(),
  high_freq_factor: number.nullish(),
  /** Whether the model was trained with its scaling; it changes nothing. */
  finetuned: z.boolean().nullish(),
};
/** Rope parameters of `config.json`; all problems of keys that no scaling has are told at once. */
export const ropeParameters = z.strictObject(keys);

/** See `ropeParameters`. */
export type RopeParameters = z.infer<typeof ropeParameters>;

type Key = keyof RopeParameters;

/** Keys that change nothing in a scaling that does not use them. */
const HARMLESS: readonly Key[] = [
  "rope_type",
  "type",
  "rope_theta",
  "partial_rotary_factor",
  "original_max_position_embeddings",
  "finetuned",
];

/** The lengths that scalings go by, as `config.json` has them beside rope parameters. */
export interface PositionsJson {
  readonly max_position_embeddings: number;
  readonly original_max_position_embeddings?: number | null | undefined;
}

/** A scaling that `config.json` can name. */
type Named = Exclude<RopeScaling["type"], "none">;

/** What each scaling uses beside those. */
const USED: Readonly<Record<Named, readonly Key[]>> = {
  default: [],
  linear: ["factor"],
  dynamic: ["factor"],
  yarn: [
    "factor",
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "truncate",
  ],
  longrope: ["factor", "attention_factor", "short_factor", "long_factor"],
  llama3: ["factor", "low_freq_factor", "high_freq_factor"],
};

/** The scaling that rope parameters say; throws with the key that is missing or that it does not use. */
export function scalingOf(json: RopeParameters, model: PositionsJson): RopeScaling {
  const type = scalingType(json);
  const unused = (Object.keys(json) as Key[])
    .filter((key) => (json[key] ?? undefined) !== undefined)
    .filter((key) => !HARMLESS.includes(key) && !USED[type].includes(key));
  if (unused.length > 0) {
    throw new TypeError(
      `Cannot read config.json: rope scaling "${type}" has ${unused.join(", ")}, expected ${
        USED[type].join(", ") || "none of it"
      } alone; remove what it does not use`,
    );
  }
  const need = <K extends Key>(key: K): NonNullable<RopeParameters[K]> => {
    const value = json[key];
    if (value !== undefined && value !== null) return value as NonNullable<RopeParameters[K]>;
    throw new TypeError(
      `Cannot read config.json: rope scaling "${type}" has no ${key}, expected ${
        key.endsWith("_factor") && type === "longrope" ? "a list of numbers" : "a number"
      }`,
    );
  };
  const positions = model.max_position_embeddings;
  const originalPositions = model.original_max_position_embeddings ??
    json.original_max_position_embeddings ?? positions;
  const stretch = json.factor ?? positions / originalPositions;
  switch (type) {
    case "default":
      return { type };
    case "linear":
      return { type, factor: need("factor") };
    case "dynamic":
      return { type, factor: need("factor"), positions };
    case "yarn":
      return {
        type,
        factor: stretch,
        betaFast: json.beta_fast ?? 32,
        betaSlow: json.beta_slow ?? 1,
        truncate: json.truncate ?? true,
        attention: Math.fround(json.attention_factor ?? yarnAttention(stretch, json)),
        originalPositions,
      };
    case "longrope":
      return {
        type,
        short: need("short_factor"),
        long: need("long_factor"),
        attention: Math.fround(
          json.attention_factor ?? longropeAttention(stretch, originalPositions),
        ),
        originalPositions,
      };
    case "llama3":
      return {
        type,
        factor: need("factor"),
        lowFrequencyFactor: need("low_freq_factor"),
        highFrequencyFactor: need("high_freq_factor"),
        originalPositions,
      };
  }
}

function scalingType(json: RopeParameters): Named {
  const said = json.rope_type ?? json.type ?? "default";
  // As Phi-3 was first published.
  const type = said === "su" ? "longrope" : said;
  if (type in USED) return type as Named;
  throw new TypeError(
    `Cannot read config.json: rope scaling is "${type}", expected one of ${
      Object.keys(USED).join(", ")
    }`,
  );
}

/** The scale of attention where `config.json` has none: Peng et al. 2023, section 3.4. */
function yarnAttention(
  factor: number,
  { mscale, mscale_all_dim: all }: Pick<RopeParameters, "mscale" | "mscale_all_dim">,
): number {
  const scale = (by: number) => factor <= 1 ? 1 : 0.1 * by * Math.log(factor) + 1;
  return mscale && all ? scale(mscale) / scale(all) : scale(1);
}

/** The same of LongRoPE, section 3.3. */
function longropeAttention(factor: number, originalPositions: number): number {
  return factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalPositions));
}
