import { packedParts, type PackedWeight } from "./packed.ts";
import { groupColumns, type WeightScheme } from "./schemes.ts";

/** Codes one by one: signed without a zero point, else unsigned. */
export type CodeValues = Int8Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;

/** A quantized weight whose codes lie one by one: what formats of other programs are made from. */
export interface CodedWeight extends Omit<PackedWeight, "codes"> {
  readonly scheme: WeightScheme;
  readonly rows: number;
  readonly columns: number;
  /** [rows, columns]. */
  readonly codes: CodeValues;
}

/** Takes the codes of a stored weight of so many columns out of their words. */
export function unpackWeight(
  packed: PackedWeight,
  scheme: WeightScheme,
  columns: number,
): CodedWeight {
  const signed = scheme.zero === "none";
  const words = packed.codes;
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  const rows = words.length * (scheme.bits <= 4 ? 8 : 4) / columns;
  return { ...packed, scheme, rows, columns, codes: unpackBytes(bytes, scheme.bits, signed) };
}

/** Packs the codes of a weight as model artifacts hold them; see `packedParts()`. */
function packCoded({ codes, scheme, rows, columns, ...grid }: CodedWeight): PackedWeight {
  const bytes = new Uint8Array(codes.buffer, codes.byteOffset, codes.length);
  if (scheme.bits > 4) return { ...grid, codes: new Uint32Array(bytes.slice().buffer) };
  const packed = new Uint8Array(rows * columns / 2);
  for (let i = 0; i < packed.length; i++) {
    packed[i] = bytes[2 * i]! & 15 | bytes[2 * i + 1]! << 4;
  }
  return { ...grid, codes: new Uint32Array(packed.buffer) };
}

/** The parts of a coded weight as model artifacts hold them, with shapes, types and values. */
export function storedParts(weight: CodedWeight): readonly {
  readonly part: keyof PackedWeight;
  readonly dtype: "U32" | "F16" | "U8" | "I8";
  readonly shape: readonly [number, number];
  readonly values: ArrayBufferView;
}[] {
  const packed = packCoded(weight);
  return packedParts(weight.scheme, { ...weight, groups: groupsOf(weight) })
    .map((each) => ({ ...each, values: packed[each.part]! }));
}

/** Groups of a row. */
export function groupsOf(
  { scheme, columns }: Pick<CodedWeight, "scheme" | "columns">,
): number {
  return columns / groupColumns(scheme, columns);
}

/**
 * What codes of some rows stand for, of all unless said: [rows, columns].
 *
 * By single-precision arithmetic, rounded after every step; with two levels the integers are exact
 * and wrap as bytes do in the integer product.
 */
export function codedValues(
  weight: CodedWeight,
  range: { readonly start: number; readonly end: number } = { start: 0, end: weight.rows },
): Float32Array<ArrayBuffer> {
  const { scheme, columns, codes, scales, zeros, group_scales, group_zeros } = weight;
  const groups = groupsOf(weight);
  const width = columns / groups;
  const values = new Float32Array((range.end - range.start) * columns);
  let to = 0;
  for (let row = range.start; row < range.end; row++) {
    for (let g = 0; g < groups; g++) {
      const at = row * groups + g;
      const from = row * columns + g * width;
      if (scheme.levels === 2) {
        const [scale, factor] = [scales[row]!, group_scales![at]!];
        const zero = group_zeros?.[at] ?? 0;
        for (let i = from; i < from + width; i++) {
          values[to++] = (codes[i]! * factor - zero << 24 >> 24) * scale;
        }
        continue;
      }
      const scale = scales[at]!;
      if (scheme.zero === "post_scale") {
        const zero = zeros![at]!;
        for (let i = from; i < from + width; i++) {
          values[to++] = Math.fround(codes[i]! * scale) - zero;
        }
      } else {
        const zero = zeros?.[at] ?? 0;
        for (let i = from; i < from + width; i++) values[to++] = (codes[i]! - zero) * scale;
      }
    }
  }
  return values;
}

function unpackBytes(bytes: Uint8Array, bits: number, signed: boolean): CodeValues {
  if (bits > 4) {
    const own = bytes.slice();
    return signed ? new Int8Array(own.buffer) : own;
  }
  const codes = new Uint8Array(bytes.length * 2);
  for (let i = 0; i < bytes.length; i++) {
    codes[2 * i] = bytes[i]! & 15;
    codes[2 * i + 1] = bytes[i]! >> 4;
  }
  if (!signed) return codes;
  const own = new Int8Array(codes.buffer);
  for (let i = 0; i < own.length; i++) own[i] = own[i]! << 28 >> 28;
  return own;
}
