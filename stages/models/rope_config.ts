import { z } from "zod";
import { type Rope, type RopeScaling, STILL } from "./rope.ts";

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
const parameters = z.strictObject(keys);
type Parameters = z.infer<typeof parameters>;
type Key = keyof Parameters;

/** Keys that change nothing in a scaling that does not use them. */
const HARMLESS: readonly Key[] = [
  "rope_type",
  "type",
  "rope_theta",
  "partial_rotary_factor",
  "original_max_position_embeddings",
  "finetuned",
];

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

/** What `config.json` says that rotary embeddings follow from. */
export interface RopeJson {
  readonly rope_theta?: number | null | undefined;
  readonly rope_scaling?: unknown;
  readonly rope_parameters?: unknown;
  readonly partial_rotary_factor?: number | null | undefined;
  readonly max_position_embeddings: number;
  readonly original_max_position_embeddings?: number | null | undefined;
  readonly num_hidden_layers: number;
  readonly layer_types?: readonly string[] | null | undefined;
}

/** What a family knows of its rotary embeddings. */
export interface RopeFacts {
  readonly headSize: number;
  /** Theta where `config.json` has none. */
  readonly theta?: number;
  /** Whether its layers can turn some of a head's channels alone. */
  readonly partial?: boolean;
  /** Whether a layer leaves queries and keys as they are. */
  readonly still?: (layer: number) => boolean;
}

/** The rotary embeddings of a model, and which of them each layer has. */
export interface Ropes {
  readonly ropes: readonly Rope[];
  readonly ropeOf: readonly number[];
}

/**
 * Reads the rotary embeddings of a `config.json`: one for all layers, or one for each type of layer, and
 * none where a family's layers have none.
 */
export function readRopes(json: RopeJson, { still = () => false, ...facts }: RopeFacts): Ropes {
  const { ropes, ropeOf } = saidRopes(json, facts);
  if (!ropeOf.some((_, layer) => still(layer))) return { ropes, ropeOf };
  return {
    ropes: [...ropes, STILL],
    ropeOf: ropeOf.map((at, layer) => still(layer) ? ropes.length : at),
  };
}

function saidRopes(json: RopeJson, facts: RopeFacts): Ropes {
  const [given = {}] = [json.rope_scaling, json.rope_parameters]
    .filter((each) => Object.keys(each ?? {}).length > 0);
  const layers = json.num_hidden_layers;
  if (!byType(given)) {
    return { ropes: [readRope(given, json, facts)], ropeOf: Array<number>(layers).fill(0) };
  }
  const types = Object.keys(given);
  const ropes = types.map((type) => readRope(given[type], json, facts));
  const ropeOf = Array.from({ length: layers }, (_, layer) => {
    const type = json.layer_types?.[layer];
    const found = types.indexOf(type ?? "");
    if (found >= 0) return found;
    throw new TypeError(
      `Cannot read config.json: layer ${layer} is of type ${
        type ?? "none"
      } by layer_types, expected one of those with rope parameters, ${types.join(", ")}`,
    );
  });
  return { ropes, ropeOf };
}

/** Whether rope parameters are told for each type of layer. */
function byType(given: unknown): given is Readonly<Record<string, unknown>> {
  const values = Object.values(given as Record<string, unknown>);
  return values.length > 0 &&
    values.every((value) => typeof value === "object" && value !== null && !Array.isArray(value));
}

function readRope(given: unknown, json: RopeJson, facts: RopeFacts): Rope {
  const parsed = parameters.safeParse(given);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) =>
      [path.join("."), message].filter((part) => part !== "").join(": ")
    );
    throw new TypeError(`Cannot read config.json: rope scaling has ${problems.join("; ")}`);
  }
  const rope = parsed.data;
  const scaling = scalingOf(rope, json);
  const channels = channelsOf(rope.partial_rotary_factor ?? json.partial_rotary_factor ?? 1, facts);
  if (scaling.type === "longrope") checkFactors(scaling, channels);
  return { theta: rope.rope_theta ?? json.rope_theta ?? facts.theta ?? 10000, channels, scaling };
}

function channelsOf(share: number, { headSize, partial = false }: RopeFacts): number {
  const channels = Math.floor(headSize * share);
  if (share === 1 || partial && channels > 0 && channels % 2 === 0) return channels;
  throw new RangeError(
    partial
      ? `Cannot read config.json: partial_rotary_factor ${share} turns ${channels} of ${headSize} channels of a head, expected an even number of them`
      : `Cannot read config.json: partial_rotary_factor is ${share}, expected 1: in this architecture all channels of a head turn`,
  );
}

function checkFactors(
  { short, long }: RopeScaling & { readonly type: "longrope" },
  channels: number,
): void {
  for (const [key, { length }] of [["short_factor", short], ["long_factor", long]] as const) {
    if (length === channels / 2) continue;
    throw new RangeError(
      `Cannot read config.json: ${key} has ${length} numbers, expected ${
        channels / 2
      }, one for each pair of channels that turn`,
    );
  }
}

function scalingOf(json: Parameters, model: RopeJson): RopeScaling {
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
  const need = <K extends Key>(key: K): NonNullable<Parameters[K]> => {
    const value = json[key];
    if (value !== undefined && value !== null) return value as NonNullable<Parameters[K]>;
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

function scalingType(json: Parameters): Named {
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
  { mscale, mscale_all_dim: all }: Pick<Parameters, "mscale" | "mscale_all_dim">,
): number {
  const scale = (by: number) => factor <= 1 ? 1 : 0.1 * by * Math.log(factor) + 1;
  return mscale && all ? scale(mscale) / scale(all) : scale(1);
}

/** The same of LongRoPE, section 3.3. */
function longropeAttention(factor: number, originalPositions: number): number {
  return factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalPositions));
}
