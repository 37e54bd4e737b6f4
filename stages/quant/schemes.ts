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
});

/** What to do where a group does not divide the columns of a weight. */
export const unevenGroup = z.enum(["refuse", "shrink"]).default("refuse").describe(
  "Where the group does not divide a weight's columns: refuse, or take the largest that does.",
);

/** See `weightScheme`. */
export type WeightScheme = z.infer<typeof weightScheme>;

/**
 * How the input of a linear becomes signed 8-bit codes: with a scale a token, or under one `range`
 * (the largest magnitude calibration saw) for all tokens.
 */
export interface InputScheme {
  readonly bits: 8;
  readonly range: "dynamic" | number;
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
  return [`W${bits}`, grouped, ...levels, zero.replace("_", "-")].join(" ");
}
