import { type Rope, type RopeScaling, STILL } from "./rope.ts";
import { type PositionsJson, ropeParameters, scalingOf } from "./rope_scaling.ts";

/** What `config.json` says that rotary embeddings follow from. */
export interface RopeJson extends PositionsJson {
  readonly rope_theta?: number | null | undefined;
  readonly rope_scaling?: unknown;
  readonly rope_parameters?: unknown;
  readonly partial_rotary_factor?: number | null | undefined;
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
  const parsed = ropeParameters.safeParse(given);
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
