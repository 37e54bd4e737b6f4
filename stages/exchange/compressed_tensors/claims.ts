import { z } from "zod";

/** How numbers are quantized, in the words of compressed-tensors' `QuantizationArgs`. */
const quantizationArgs = z.looseObject({
  num_bits: z.int().default(8),
  type: z.string().default("int"),
  symmetric: z.boolean().default(true),
  group_size: z.int().nullish(),
  strategy: z.string().nullish(),
  dynamic: z.union([z.boolean(), z.string()]).default(false),
});

/** See `quantizationArgs`. */
export type QuantizationArgs = z.infer<typeof quantizationArgs>;

const configGroup = z.looseObject({
  targets: z.array(z.string()),
  weights: quantizationArgs.nullish(),
  input_activations: quantizationArgs.nullish(),
  output_activations: quantizationArgs.nullish(),
  format: z.string().nullish(),
});

const claim = z.looseObject({
  config_groups: z.record(z.string(), configGroup),
  format: z.string().nullish(),
  ignore: z.array(z.string()).nullish(),
  kv_cache_scheme: z.unknown().optional(),
  sparsity_config: z.unknown().optional(),
  transform_config: z.unknown().optional(),
});

/** What a checkpoint says of the quantization of a linear. */
export interface LinearClaim {
  /** The name of its group in `config_groups`. */
  readonly group: string;
  readonly weights: QuantizationArgs;
  readonly inputs: QuantizationArgs | undefined;
  /** How its weight is stored, such as `"pack-quantized"`. */
  readonly format: string;
}

const METHOD = "compressed-tensors";
/** Repetitions of a pattern: with more of them, or of groups, a match may take forever. */
const MOST_REPEATS = 5;
const REPEATS = /[+*{]/g;
const REPEATED_GROUP = /\)[+*{]/;

/** What `config.json` says in the words of compressed-tensors, if it does. */
export function claimIn(config: unknown): Record<string, unknown> | undefined {
  const { quantization_config, compression_config } = config as Record<string, unknown>;
  const found = (quantization_config ?? compression_config) as Record<string, unknown> | null;
  if (typeof found !== "object" || found === null) return undefined;
  // Files from before the method had a name say it by the key alone.
  return (found.quant_method ?? (compression_config && METHOD)) === METHOD ? found : undefined;
}

/** Whether all that a config quantizes is float8, which is read as values and not as codes. */
export function claimsFloat8(config: unknown): boolean {
  const groups = claim.safeParse(claimIn(config)).data?.config_groups ?? {};
  const weights = Object.values(groups).flatMap(({ weights }) => weights ?? []);
  return weights.length > 0 &&
    weights.every(({ type, num_bits }) => type === "float" && num_bits === 8);
}

/**
 * What a checkpoint says of its linears: the group of each by its name, by a pattern, or by its class,
 * in this order, as the library resolves targets; nothing of those in full precision.
 */
export function readClaims(
  config: unknown,
  { path, names }: { readonly path: string; readonly names: readonly string[] },
): ReadonlyMap<string, LinearClaim> {
  const { config_groups, format, ignore, ...rest } = parseClaim(config, path);
  for (const [key, what] of Object.entries(REFUSED)) {
    if (!isSet(rest[key])) continue;
    throw claimRefusal(path, `it has a ${key}`, `none: ${what}`);
  }
  const targets = new Map<string, string>();
  for (const [group, { targets: each }] of Object.entries(config_groups)) {
    // A target that stands in several groups belongs to the last one.
    for (const target of each) targets.set(target, group);
  }
  const matches = matcher(path);
  const sorted = [...targets.keys()].sort(byExactness);
  const claims = new Map<string, LinearClaim>();
  for (const name of names) {
    if (ignore?.some((target) => matches(target, name) || CLASSES.includes(target))) continue;
    const target = sorted.find((target) => matches(target, name)) ??
      CLASSES.find((name) => targets.has(name));
    const group = target === undefined ? undefined : targets.get(target);
    if (group === undefined) continue;
    const found = config_groups[group]!;
    const at = `its group ${group}`;
    const { weights, input_activations: inputs, output_activations: outputs } = found;
    if (outputs) throw claimRefusal(path, `${at} quantizes outputs`, "inputs and weights alone");
    const stored = found.format ?? format ?? "none";
    if (!weights || stored === "dense") {
      if (inputs) {
        throw claimRefusal(path, `${at} quantizes inputs of dense weights`, "weights too");
      }
      continue;
    }
    claims.set(name, { group, weights, inputs: inputs ?? undefined, format: stored });
  }
  return claims;
}

/** What models cannot be read with, by their keys beside the groups. */
const REFUSED = {
  kv_cache_scheme: "the KV cache's scales of others have no place in a model here",
  sparsity_config: "sparse weights are not read",
  transform_config: "transforms run beside the linears",
} as const;

/** Classes of a linear that targets name. */
const CLASSES: readonly string[] = ["Linear", "Module"];

function parseClaim(config: unknown, path: string): z.infer<typeof claim> {
  const parsed = claim.safeParse(claimIn(config));
  if (parsed.success) return parsed.data;
  const [{ path: at, message } = { path: [], message: "" }] = parsed.error.issues;
  throw claimRefusal(
    path,
    `${at.join(".")} of its quantization_config is ${message}`,
    "the library's",
  );
}

function isSet(value: unknown): boolean {
  if (value === undefined || value === null) return false;
  return typeof value !== "object" || Object.keys(value).length > 0;
}

/** Names before patterns, each in the order of the alphabet. */
function byExactness(a: string, b: string): number {
  const patterns = Number(a.includes("re:")) - Number(b.includes("re:"));
  return patterns || (a < b ? -1 : Number(a > b));
}

/** Tells whether a target is the name of a module or a pattern that its name begins with. */
function matcher(path: string): (target: string, name: string) => boolean {
  const patterns = new Map<string, RegExp>();
  const patternOf = (target: string) => {
    const known = patterns.get(target);
    if (known) return known;
    if (REPEATED_GROUP.test(target) || (target.match(REPEATS)?.length ?? 0) > MOST_REPEATS) {
      const is = `its target "${target.slice(0, 80)}" could take forever to match`;
      throw claimRefusal(path, is, `at most ${MOST_REPEATS} repetitions, and none of groups`);
    }
    try {
      const pattern = new RegExp(`^(?:${target.slice("re:".length)})`);
      patterns.set(target, pattern);
      return pattern;
    } catch {
      throw claimRefusal(path, `its target "${target}" is no pattern`, "a regular expression");
    }
  };
  return (target, name) =>
    target.startsWith("re:") ? patternOf(target).test(name) : target === name;
}

/** The error for a checkpoint that says what cannot be read. */
export function claimRefusal(path: string, is: string, expected: string): TypeError {
  return new TypeError(`Cannot read "${path}" as compressed_tensors: ${is}, expected ${expected}`);
}
