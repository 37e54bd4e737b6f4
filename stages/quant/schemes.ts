import { z } from "zod";
import { ZERO_DOMAINS, type ZeroDomain } from "../../kernels/codes/quantizer.ts";

/** Where the zero point of codes stands, see `ZeroDomain` of the kernels. */
export const zeroDomain = z.enum(Object.keys(ZERO_DOMAINS) as ZeroDomain[]);

/** What the codes of a weight mean: the same in YAML, in code and in `model.json`. */
export const weightScheme = z.strictObject({
  bits: z.union([z.literal(2), z.literal(3), z.literal(4), z.literal(8)]).default(4),
  zero: zeroDomain.default("post_scale"),
  group: z.union([z.int().positive(), z.enum(["row", "tensor"])]).default(128).describe(
    "Columns of a row that share a scale; a whole row or the whole tensor by name.",
  ),
  levels: z.union([z.literal(1), z.literal(2)]).default(1).describe(
    "2 makes group scales 8-bit integers under one f16 scale a row (QServe's progressive groups).",
  ),
  full: z.literal(true).exactOptional().describe(
    "Without zero points, all codes under half a step more: -8 to 7 under the range over 7.5 (Atom).",
  ),
  outlier_bits: z.literal(8).exactOptional().describe(
    "Bits of the last group of each row, and of the inputs there (Atom); needs inputs in groups.",
  ),
});

/** The schemes that searches of channels know: codes of one width. */
export const oneWidthScheme = weightScheme.omit({ outlier_bits: true });

/** What to do where a group does not divide the columns of a weight. */
export const unevenGroup = z.enum(["refuse", "shrink"]).default("refuse").describe(
  "Where the group does not divide a weight's columns: refuse, or take the largest that does.",
);

/** See `weightScheme`. */
export type WeightScheme = z.infer<typeof weightScheme>;

/**
 * How the input of a linear becomes signed codes: with a scale a token, or under one `range` (the
 * largest magnitude calibration saw) for all tokens.
 */
export interface InputScheme {
  readonly bits: 8 | 4;
  readonly range: "dynamic" | number;
  /** Factor above 0 and below 1 on the range; what lies beyond gets the outermost codes. */
  readonly clip?: number;
  /** Channels that share a scale, those of the weight's groups; all of a token unless said. */
  readonly group?: number;
  /** Bits of the last group, which is not clipped; those of all groups unless said. */
  readonly outlier_bits?: 8;
}

/** Whether inputs are 8-bit codes of their whole range, which other programs know. */
export function plainBytes({ bits, clip, group }: InputScheme): boolean {
  return bits === 8 && clip === undefined && group === undefined;
}

/** Precision of one linear: its weight's codes, and its input's where that is quantized too. */
export interface LinearScheme {
  readonly weights: WeightScheme;
  readonly inputs?: InputScheme;
}

/** Columns that share a scale in a row of `columns`. */
export function groupColumns({ group }: Pick<WeightScheme, "group">, columns: number): number {
  return typeof group === "number" ? group : columns;
}

/**
 * How the scales of a weight lie: one a row or for all of it (`plain`), one a group (`grouped`), or
 * integers a group under one a row (`two_level`).
 */
export type SchemeKind = "plain" | "grouped" | "two_level";

/** The kind of a scheme. */
export function schemeKind({ group, levels }: Pick<WeightScheme, "group" | "levels">): SchemeKind {
  if (levels === 2) return "two_level";
  return typeof group === "number" ? "grouped" : "plain";
}

/**
 * The scheme under which codes have one scale: itself, or that of the 8-bit integers which codes of two
 * levels stand for.
 */
export function plainScheme(scheme: WeightScheme): WeightScheme {
  return schemeKind(scheme) === "two_level"
    ? { bits: 8, zero: "none", group: "row", levels: 1 }
    : scheme;
}

/** Scheme in the words of the field, such as `W4 g128 two-level`. */
export function weightWords(scheme: WeightScheme): string {
  const { bits, group, zero } = scheme;
  const grouped = typeof group === "number" ? `g${group}` : `per ${group}`;
  const levels = schemeKind(scheme) === "two_level" ? ["two-level"] : [];
  const more = [
    ...scheme.full ? ["full"] : [],
    ...scheme.outlier_bits === undefined ? [] : [`outliers of ${scheme.outlier_bits} bits`],
  ];
  return [`W${bits}`, grouped, ...levels, zero.replace("_", "-"), ...more].join(" ");
}

/** The largest group up to `most` that divides `columns` and is a multiple of 8. */
export function largestGroup(columns: number, most: number): number {
  for (let group = Math.floor(most / 8) * 8; group > 8; group -= 8) {
    if (columns % group === 0) return group;
  }
  return 8;
}

/** How the inputs of linears get their scales. */
export type Activations = "none" | "dynamic" | "static";

/** How the inputs of linears are quantized, as manifests say it: 8 bits by a word, or more of it. */
export const activationScheme = z.union([
  z.enum(["none", "dynamic", "static"]),
  z.strictObject({
    range: z.enum(["dynamic", "static"]).default("dynamic"),
    bits: z.union([z.literal(8), z.literal(4)]).default(8),
    clip: z.number().positive().max(1).default(1).describe("Factor on ranges."),
    group: z.int().positive().optional().describe(
      "Channels that share a scale, as many as in the groups of weights; all of a token unless said.",
    ),
  }),
]);

/** Channels of inputs that share a scale; all of a token where undefined. */
export function activationGroup(scheme: z.infer<typeof activationScheme>): number | undefined {
  return typeof scheme === "string" ? undefined : scheme.group;
}

/** Which scales the inputs have. */
export function activationRange(scheme: z.infer<typeof activationScheme>): Activations {
  return typeof scheme === "string" ? scheme : scheme.range;
}

/**
 * Throws unless there is a kernel that runs weights of this scheme on such inputs; says which
 * schemes there are.
 */
export function checkScheme(
  scheme: WeightScheme,
  activations: Activations,
  inputGroup?: number,
): void {
  const { bits, zero, group, levels } = scheme;
  const why = codesProblem(scheme, inputGroup) ??
    (inputGroup === undefined
      ? problem(scheme, activations)
      : groupsProblem(scheme, activations, inputGroup));
  if (!why) return;
  throw new TypeError(
    `Cannot run weights of ${bits} bits, zero ${zero}, group ${group}, levels ${levels} with activations ${activations}: ${why}`,
  );
}

/** What is wrong with codes that only some schemes can have. */
function codesProblem(
  scheme: WeightScheme,
  inputGroup: number | undefined,
): string | undefined {
  const { bits, zero, group, full, outlier_bits: outlierBits } = scheme;
  const twoLevels = schemeKind(scheme) === "two_level";
  if (full && (zero !== "none" || twoLevels)) {
    return "full codes are those without zero points of one level, expected zero none and levels 1, or no full";
  }
  if (outlierBits === undefined) return undefined;
  if (zero !== "none" || twoLevels || bits === 8 || typeof group !== "number") {
    return "outliers are bytes behind smaller codes in groups, expected up to 4 bits, zero none, a number for group and levels 1";
  }
  return inputGroup === undefined
    ? "outliers are multiplied group by group, expected activations with a group"
    : undefined;
}

/** What is wrong with weights under inputs in groups. */
function groupsProblem(
  scheme: WeightScheme,
  activations: Activations,
  inputGroup: number,
): string | undefined {
  const { bits, zero, group } = scheme;
  if (activations !== "dynamic") {
    return "inputs in groups have scales that are measured on each token, expected range dynamic";
  }
  if (schemeKind(scheme) === "two_level" || bits === 8 || zero === "post_scale") {
    return "sums of groups are integers of smaller codes, expected up to 4 bits, levels 1 and zero none or pre_scale";
  }
  return group === inputGroup
    ? undefined
    : `inputs have groups of ${inputGroup}, expected those of weights`;
}

function problem(scheme: WeightScheme, activations: Activations): string | undefined {
  const { bits, zero, group } = scheme;
  const kind = schemeKind(scheme);
  if (kind === "two_level") {
    if (bits === 8) {
      return "two levels are 8-bit integers made of smaller codes, expected 2 to 4 bits";
    }
    if (typeof group !== "number") return "two levels need groups, expected a number for group";
    return activations === "none"
      ? "two levels are for 8-bit activations, expected activations dynamic or static, or levels 1"
      : undefined;
  }
  if (activations === "none") return undefined;
  if (bits === 8 && zero !== "none") {
    return "unsigned bytes do not fit the integer product, expected zero none";
  }
  return kind === "grouped"
    ? "one integer sum over a row allows no scale a group, expected levels 2 or group row"
    : undefined;
}

/** The scheme of a weight with so many columns, whose group may have to be made smaller. */
export function schemeFor(
  scheme: WeightScheme,
  columns: number,
  uneven: "refuse" | "shrink",
): WeightScheme {
  const { group } = scheme;
  if (uneven === "refuse" || typeof group !== "number" || columns % group === 0) return scheme;
  return { ...scheme, group: largestGroup(columns, group) };
}
