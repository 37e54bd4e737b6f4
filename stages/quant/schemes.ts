import { z } from "zod";

/**
 * Where the zero point of unsigned codes stands: `none` (signed symmetric codes, x = q * s),
 * `pre_scale` (x = (q - z) * s, z an integer) or `post_scale` (x = q * s - z, z as wide as s).
 */
export const zeroDomain = z.enum(["none", "pre_scale", "post_scale"]);

/** See `zeroDomain`. */
export type ZeroDomain = z.infer<typeof zeroDomain>;

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

/** Smallest and largest code; without zero point signed and symmetric (algorithms: -127 to 127). */
export function codeRange(
  { bits, zero }: { readonly bits: number; readonly zero: ZeroDomain },
): readonly [low: number, high: number] {
  const most = 2 ** (bits - 1) - 1;
  return zero === "none" ? [-most, most] : [0, 2 ** bits - 1];
}

/** Columns that share a scale in a row of `columns`. */
export function groupColumns({ group }: Pick<WeightScheme, "group">, columns: number): number {
  return typeof group === "number" ? group : columns;
}

/** Scheme in the words of the field, such as `W4 g128 two-level`. */
export function weightWords({ bits, group, levels, zero }: WeightScheme): string {
  const grouped = typeof group === "number" ? `g${group}` : `per ${group}`;
  return [`W${bits}`, grouped, ...levels === 2 ? ["two-level"] : [], zero.replace("_", "-")]
    .join(" ");
}

/**
 * Bits a weight takes with its scales and zeros, as stored: codes of 2 to 4 bits travel in nibbles.
 */
export function storedBits(scheme: WeightScheme, columns: number): number {
  const group = groupColumns(scheme, columns);
  const code = scheme.bits <= 4 ? 4 : 8;
  if (scheme.levels === 2) return code + 16 / columns + 16 / group;
  const zero = { none: 0, pre_scale: 8, post_scale: 16 }[scheme.zero];
  return code + (16 + zero) / group;
}
