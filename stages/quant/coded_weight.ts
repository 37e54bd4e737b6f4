import type { CodeValues } from "../../kernels/codes/integer_codes.ts";
import { valueOf } from "../../kernels/codes/quantizer.ts";
import { groupColumns, plainScheme, type WeightScheme } from "./schemes.ts";

/** A matrix in codes, without what they mean. */
interface CodedMatrix<Codes> {
  readonly scheme: WeightScheme;
  readonly rows: number;
  readonly columns: number;
  /** [rows, columns]. */
  readonly codes: Codes;
}

/** A weight whose codes have one scale. */
export interface OneLevelWeight<Codes = CodeValues> extends CodedMatrix<Codes> {
  /** [rows, groups]. */
  readonly scales: Float16Array<ArrayBuffer>;
  /** Like `scales`: halves where they stand behind the scale, codes where before it. */
  readonly zeros?: Float16Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;
  readonly rowScales?: undefined;
}

/** A weight whose codes become 8-bit integers, which have a scale a row. */
export interface TwoLevelWeight<Codes = CodeValues> extends CodedMatrix<Codes> {
  /** Integers [rows, groups]. */
  readonly scales: Uint8Array<ArrayBuffer>;
  /** Like `scales`: what is taken from code times scale; both wrap as bytes do. */
  readonly zeros?: Int8Array<ArrayBuffer>;
  /** [rows]. */
  readonly rowScales: Float16Array<ArrayBuffer>;
}

/**
 * A quantized weight, from where its codes are found to where they are stored, run or exported: codes
 * one by one, scales and zeros as they are stored.
 */
export type CodedWeight<Codes = CodeValues> = OneLevelWeight<Codes> | TwoLevelWeight<Codes>;

/** Consecutive rows of a weight. */
export interface Rows {
  readonly start: number;
  readonly end: number;
}

/** Groups of a row. */
export function groupsOf(
  { scheme, columns }: Pick<CodedWeight, "scheme" | "columns">,
): number {
  return columns / groupColumns(scheme, columns);
}

/** What codes of some rows stand for, of all unless said: [rows, columns]. */
export function codedValues(
  weight: CodedWeight,
  rows?: Rows,
): Float32Array<ArrayBuffer> {
  const { codes, scales, zeros, scheme: { zero: domain } } = plainRows(weight, rows);
  const values = new Float32Array(codes.length);
  const group = codes.length / scales.length;
  for (let at = 0; at < scales.length; at++) {
    const [scale, zero] = [scales[at]!, zeros?.[at] ?? 0];
    for (let i = at * group; i < (at + 1) * group; i++) {
      values[i] = valueOf(codes[i]!, scale, zero, domain);
    }
  }
  return values;
}

/** Some rows of a weight, all unless said; those of two levels as the 8-bit weight they stand for. */
export function plainRows(
  weight: CodedWeight,
  rows: Rows = { start: 0, end: weight.rows },
): OneLevelWeight {
  const part = someRows(weight, rows);
  if (!part.rowScales) return part;
  const { codes, scales, zeros, rowScales, ...matrix } = part;
  const integers = new Int8Array(codes.length);
  const group = codes.length / scales.length;
  for (let at = 0; at < scales.length; at++) {
    const [scale, zero] = [scales[at]!, zeros?.[at] ?? 0];
    for (let i = at * group; i < (at + 1) * group; i++) {
      integers[i] = integerOf(codes[i]!, scale, zero);
    }
  }
  return { ...matrix, scheme: plainScheme(part.scheme), codes: integers, scales: rowScales };
}

/** The integer under a row's scale that a code of two levels stands for; it wraps as a byte. */
function integerOf(code: number, scale: number, zero: number): number {
  return valueOf(code, scale, zero, "post_scale") << 24 >> 24;
}

/** Some rows of a weight, over the same memory. */
function someRows(weight: CodedWeight, { start, end }: Rows): CodedWeight {
  const { scheme, columns } = weight;
  const groups = groupsOf(weight);
  const cut = <Values extends { subarray(from: number, to: number): Values }>(
    values: Values,
    width: number,
  ) => values.subarray(start * width, end * width);
  const matrix = { scheme, rows: end - start, columns, codes: cut(weight.codes, columns) };
  return weight.rowScales
    ? {
      ...matrix,
      scales: cut(weight.scales, groups),
      ...weight.zeros && { zeros: cut(weight.zeros, groups) },
      rowScales: cut(weight.rowScales, 1),
    }
    : {
      ...matrix,
      scales: cut(weight.scales, groups),
      ...weight.zeros && { zeros: cut(weight.zeros, groups) },
    };
}
