import { type CodedWeight, groupsOf, plainRows } from "../../quant/coded_weight.ts";
import { groupColumns } from "../../quant/schemes.ts";
import type { PartOutline } from "../checkpoint_format.ts";
import { groupMajor, readGroups } from "../group_scales.ts";
import type { LinearParts } from "../part_values.ts";
import type { CodedLinear } from "../subject.ts";

/** Inputs that a group may have. */
export const TINYCHAT_GROUPS = [128, 64, 32] as const;

/**
 * Rows of scales that a linear with so many inputs has: its groups in packs of eight, whole packs for
 * 1024 inputs.
 */
export function scaleRows(columns: number, group: number): number {
  const packs = Math.ceil(columns / group / 8);
  const multiple = 128 / group;
  return 8 * Math.ceil(packs / multiple) * multiple;
}

/** The tensors of a quantized linear. */
export function tinychatParts(
  { rows, columns, scheme: { weights } }: CodedLinear,
): PartOutline[] {
  const height = scaleRows(columns, groupColumns(weights, columns));
  const dtypes = ["F16", "BF16", "F32"] as const;
  return [
    { part: "qweight", dtypes: ["I16"], shape: [rows / 4, columns] },
    { part: "scales", dtypes, shape: [height, rows] },
    { part: "scaled_zeros", dtypes, shape: [height, rows] },
  ];
}

/** The values of one part. */
export function packTinychat(weight: CodedWeight, part: string, name: string): ArrayBufferView {
  const { rows, columns, scheme, scales, zeros } = plainRows(weight);
  if (part === "qweight") return packInterleaved(weight);
  const groups = groupsOf(weight);
  const padded = new Float16Array(scaleRows(columns, columns / groups) * rows);
  if (part === "scales") {
    padded.set(groupMajor(scales, { rows, groups }));
    return padded;
  }
  const scaled = new Float32Array(scales.length);
  for (let i = 0; i < scaled.length; i++) {
    // No negative zero, which has other bits.
    scaled[i] = 0 - (scheme.zero === "pre_scale" ? zeros![i]! * scales[i]! : zeros![i]!);
  }
  padded.set(groupMajor(scaled, { rows, groups }));
  const at = padded.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return padded;
  throw new RangeError(
    `Cannot pack "${name}" as tinychat: output ${at % rows} has a scaled zero of ${
      scaled[at % rows * groups + Math.floor(at / rows)]
    }, expected a number of half precision`,
  );
}

/** The codes of a linear; throws a sentence where a part breaks a rule. */
export function unpackTinychat(
  { name, rows, columns, scheme: { weights: scheme } }: CodedLinear,
  parts: LinearParts,
): CodedWeight {
  const groups = groupsOf({ scheme, columns });
  for (const part of ["scales", "scaled_zeros"]) {
    const values = parts[part] as Float32Array;
    const beyond = values.subarray(groups * rows).findIndex((value) => value !== 0);
    if (beyond < 0) continue;
    throw new RangeError(
      `tensor "${name}.${part}": row ${groups + Math.floor(beyond / rows)} holds ${
        values[groups * rows + beyond]
      }, expected 0 after ${groups} groups`,
    );
  }
  const read = (part: string) =>
    readGroups(parts[part]!, { tensor: `${name}.${part}`, rows, groups });
  const zeros = read("scaled_zeros");
  for (let i = 0; i < zeros.length; i++) zeros[i] = 0 - zeros[i]!;
  const codes = unpackInterleaved(parts.qweight as Int16Array, { rows, columns });
  return { scheme, rows, columns, codes, scales: read("scales"), zeros };
}

/**
 * Words of 16 bits [rows / 4, columns]: four rows take turns by 16 words for 64 columns, and a word
 * holds the columns j, j + 8, j + 16, j + 24 of 32.
 */
function packInterleaved(
  { codes, rows, columns }: Pick<CodedWeight, "codes" | "rows" | "columns">,
): Int16Array<ArrayBuffer> {
  const words = new Int16Array(rows * columns / 4);
  let to = 0;
  for (let row = 0; row < rows; row += 4) {
    for (let block = 0; block < columns; block += 64) {
      for (let r = row; r < row + 4; r++) {
        for (let half = 0; half < 64; half += 32) {
          const from = r * columns + block + half;
          for (let i = from; i < from + 8; i++) {
            words[to++] = codes[i]! & 15 | (codes[i + 8]! & 15) << 4 |
              (codes[i + 16]! & 15) << 8 | codes[i + 24]! << 12;
          }
        }
      }
    }
  }
  return words;
}

function unpackInterleaved(
  words: Int16Array,
  { rows, columns }: Pick<CodedWeight, "rows" | "columns">,
): Uint8Array<ArrayBuffer> {
  const codes = new Uint8Array(rows * columns);
  let at = 0;
  for (let row = 0; row < rows; row += 4) {
    for (let block = 0; block < columns; block += 64) {
      for (let r = row; r < row + 4; r++) {
        for (let half = 0; half < 64; half += 32) {
          const to = r * columns + block + half;
          for (let i = to; i < to + 8; i++) {
            const word = words[at++]!;
            codes[i] = word & 15;
            codes[i + 8] = word >> 4 & 15;
            codes[i + 16] = word >> 8 & 15;
            codes[i + 24] = word >> 12 & 15;
          }
        }
      }
    }
  }
  return codes;
}
