import type { WeightScheme } from "./schemes.ts";
import type { WeightGrid } from "./weight_grid.ts";

/** A quantized weight as it is stored; tensor names are the linear's name and these, with a dot. */
export interface PackedWeight {
  /** u32 [rows, columns / 8] nibbles or [rows, columns / 4] bytes, the first column lowest. */
  readonly codes: Uint32Array<ArrayBuffer>;
  /** f16 [rows, groups]; with two levels [rows]. */
  readonly scales: Float16Array<ArrayBuffer>;
  /** f16 [rows, groups] for post-scale zeros, u8 for pre-scale ones. */
  readonly zeros?: Float16Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;
  /** With two levels: integer scales u8 [rows, groups]. */
  readonly group_scales?: Uint8Array<ArrayBuffer>;
  /** With two levels and a zero point: i8 [rows, groups], what is taken from code times scale. */
  readonly group_zeros?: Int8Array<ArrayBuffer>;
}

/** The parts of a stored weight with their shapes and safetensors types, known from its scheme. */
export function packedParts(
  { bits, zero, levels }: WeightScheme,
  { rows, columns, groups }: {
    readonly rows: number;
    readonly columns: number;
    readonly groups: number;
  },
): readonly {
  readonly part: keyof PackedWeight;
  readonly dtype: "U32" | "F16" | "U8" | "I8";
  readonly shape: readonly [number, number];
}[] {
  const codes = {
    part: "codes",
    dtype: "U32",
    shape: [rows, columns / (bits <= 4 ? 8 : 4)],
  } as const;
  if (levels === 2) {
    const scales = [
      { part: "scales", dtype: "F16", shape: [rows, 1] },
      { part: "group_scales", dtype: "U8", shape: [rows, groups] },
    ] as const;
    if (zero === "none") return [codes, ...scales];
    return [codes, ...scales, { part: "group_zeros", dtype: "I8", shape: [rows, groups] }];
  }
  const scales = { part: "scales", dtype: "F16", shape: [rows, groups] } as const;
  if (zero === "none") return [codes, scales];
  const dtype = zero === "post_scale" ? "F16" : "U8";
  return [codes, scales, { part: "zeros", dtype, shape: [rows, groups] }];
}

/** Packs codes [rows, columns] with their grid. */
export function packWeight(
  codes: Int16Array,
  grid: WeightGrid,
  { bits, zero, levels }: WeightScheme,
): PackedWeight {
  const packed = packCodes(codes, bits);
  if (levels === 2) {
    const { scales, zeros, rowScales } = grid;
    const factors = {
      scales: new Float16Array(rowScales!),
      group_scales: new Uint8Array(scales),
    };
    if (zero === "none") return { codes: packed, ...factors };
    return {
      codes: packed,
      ...factors,
      group_zeros: Int8Array.from(
        zeros,
        (z, at) => zero === "pre_scale" ? z * scales[at]! : z,
      ),
    };
  }
  const scales = new Float16Array(grid.scales);
  if (zero === "none") return { codes: packed, scales };
  const zeros = zero === "post_scale" ? new Float16Array(grid.zeros) : new Uint8Array(grid.zeros);
  return { codes: packed, scales, zeros };
}

/** Codes as 4-bit nibbles (2 to 4 bits) or bytes of 32-bit words, two's complement where signed. */
export function packCodes(codes: Int16Array, bits: number): Uint32Array<ArrayBuffer> {
  const width = bits <= 4 ? 4 : 8;
  const each = 32 / width;
  const mask = 2 ** width - 1;
  const words = new Uint32Array(codes.length / each);
  for (let i = 0; i < codes.length; i++) {
    words[Math.floor(i / each)]! |= (codes[i]! & mask) << (width * (i % each));
  }
  return words;
}
