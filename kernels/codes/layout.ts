import type { CodeWords } from "./integer_codes.ts";
import type { ZeroDomain } from "./quantizer.ts";

/** Adds 8 to each nibble of a word, which turns signed codes into unsigned ones. */
const FLIP_SIGNS = 0x88888888;
/** 1 in each nibble of a word. */
const ONES = 0x11111111;

/** Rows of a weight whose codes lie in words. */
export interface WeightRows {
  readonly scheme: {
    readonly bits: number;
    readonly zero: ZeroDomain;
    readonly outlier_bits?: number;
  };
  readonly rows: number;
  readonly codes: CodeWords;
  /** [rows, groups]. */
  readonly scales: ArrayLike<number>;
  /** Like `scales`, where there is a zero point. */
  readonly zeros?: ArrayLike<number>;
  /** With two levels: [rows], above scales and zeros that are integers. */
  readonly rowScales?: ArrayLike<number> | undefined;
}

/** Rows of a weight as a kernel takes them. */
export interface WeightLayout {
  readonly codes: CodeWords;
  /** f32 [rows, 2] scale and scaled zero, for 8-bit inputs. */
  readonly rows?: Float32Array<ArrayBuffer>;
  /** Scales and zeros of groups: two f16 a word, or with two levels 16 bits a group. */
  readonly groups?: Uint32Array<ArrayBuffer>;
}

/** Words that a row's groups take with two levels, half a word each. */
export function twoLevelWords(groups: number): number {
  return Math.ceil(groups / 2);
}

/** A weight of one level as `matmulCodes` takes it. */
export function floatLayout({ codes, scales, zeros }: WeightRows): WeightLayout {
  const pairs = new Float16Array(2 * scales.length);
  for (let at = 0; at < scales.length; at++) {
    pairs[2 * at] = scales[at]!;
    pairs[2 * at + 1] = zeros?.[at] ?? 0;
  }
  return { codes, groups: new Uint32Array(pairs.buffer) };
}

/** A weight of two levels, or with a scale a row, as `matmulInt8` takes it. */
export function integerLayout(weight: WeightRows): WeightLayout {
  const { scheme: { bits, zero }, scales, zeros, rowScales } = weight;
  if (rowScales) {
    // By as little as makes them unsigned, for code times scale must be a byte.
    const shift = zero === "none" ? largestCode(bits) : 0;
    return {
      codes: raised(weight.codes, shift),
      rows: rowPairs(rowScales, () => 0),
      groups: groupBytes(weight, shift),
    };
  }
  if (bits === 8) return { codes: weight.codes, rows: rowPairs(scales, () => 0) };
  // Nibbles are unsigned here, the zero point makes up for it.
  const shift = zero === "none" ? 8 : 0;
  const scaledZero = (scale: number, row: number) =>
    zero === "post_scale" ? zeros![row]! : (zeros?.[row] ?? shift) * scale;
  return { codes: raised(weight.codes, shift), rows: rowPairs(scales, scaledZero) };
}

/**
 * A weight with a scale a group, signed or with integer zero points, as `matmulGroups` takes it: nibbles are
 * unsigned, the bytes of outliers stay as they are.
 */
export function groupedLayout(
  { scheme: { zero, outlier_bits: outlierBits }, rows, codes, scales, zeros }: WeightRows,
): WeightLayout {
  const groups = scales.length / rows;
  const words = codes.length / rows;
  // So many groups of nibbles, and one of bytes, take as many words as eight and two of each.
  const outliers = outlierBits === undefined ? 0 : 2 * words / (groups + 1);
  const shift = zero === "none" ? 8 : 0;
  const unsigned = codes.map((word, at) =>
    shift > 0 && at % words < words - outliers ? word ^ FLIP_SIGNS : word
  );
  const pairs = Uint16Array.from({ length: 2 * scales.length }, (_, i) => {
    const at = i >> 1;
    if (i % 2 === 0) return halfBits(scales[at]!);
    return outlierBits !== undefined && at % groups === groups - 1 ? 0 : zeros?.[at] ?? shift;
  });
  return { codes: unsigned, groups: new Uint32Array(pairs.buffer) };
}

function halfBits(value: number): number {
  return new Uint16Array(new Float16Array([value]).buffer)[0]!;
}

/** The largest of signed codes. */
function largestCode(bits: number): number {
  return 2 ** (bits - 1) - 1;
}

/** Nibbles of words raised by as much as makes signed ones unsigned: 1 to 8, or not at all. */
function raised(codes: CodeWords, shift: number): CodeWords {
  if (shift === 0) return codes;
  const less = (8 - shift) * ONES;
  return codes.map((word) => ((word ^ FLIP_SIGNS) >>> 0) - less);
}

/** Scale and scaled zero of every row: what is taken from code times scale. */
function rowPairs(
  scales: ArrayLike<number>,
  scaledZero: (scale: number, row: number) => number,
): Float32Array<ArrayBuffer> {
  const pairs = new Float32Array(2 * scales.length);
  for (let row = 0; row < scales.length; row++) {
    pairs[2 * row] = scales[row]!;
    pairs[2 * row + 1] = scaledZero(scales[row]!, row);
  }
  return pairs;
}

/** Integer scale and zero of every group, a byte each, in whole words a row. */
function groupBytes(
  { scales, zeros, rows }: WeightRows,
  shift: number,
): Uint32Array<ArrayBuffer> {
  const groups = scales.length / rows;
  const words = twoLevelWords(groups);
  const bytes = new Uint8Array(4 * words * rows);
  for (let at = 0; at < scales.length; at++) {
    const to = 4 * words * Math.floor(at / groups) + 2 * (at % groups);
    bytes[to] = scales[at]!;
    bytes[to + 1] = zeros?.[at] ?? shift * scales[at]!;
  }
  return new Uint32Array(bytes.buffer);
}
