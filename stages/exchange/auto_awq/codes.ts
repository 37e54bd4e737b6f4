import { type CodedWeight, groupsOf, plainRows } from "../../quant/coded_weight.ts";
import { groupColumns } from "../../quant/schemes.ts";
import type { PartOutline } from "../checkpoint_format.ts";
import { groupMajor, readGroups } from "../group_scales.ts";
import type { LinearParts } from "../part_values.ts";
import type { CodedLinear } from "../subject.ts";

/** The output of eight that each nibble of a word holds, the lowest one first. */
const ORDER = [0, 2, 4, 6, 1, 3, 5, 7] as const;

/** The tensors of a quantized linear. */
export function awqParts({ rows, columns, scheme: { weights } }: CodedLinear): PartOutline[] {
  const groups = columns / groupColumns(weights, columns);
  return [
    { part: "qweight", dtypes: ["I32"], shape: [columns, rows / 8] },
    { part: "qzeros", dtypes: ["I32"], shape: [groups, rows / 8] },
    { part: "scales", dtypes: ["F16", "BF16", "F32"], shape: [groups, rows] },
  ];
}

/** The values of one part. */
export function packAwq(coded: CodedWeight, part: string): ArrayBufferView {
  const weight = plainRows(coded);
  const { rows, columns, scheme: { zero } } = weight;
  const groups = groupsOf(weight);
  if (part === "scales") return groupMajor(weight.scales, { rows, groups });
  const signed = zero === "none";
  if (part === "qweight") return packNibbles(weight.codes, { rows, columns }, signed ? 8 : 0);
  const zeros = signed ? new Uint8Array(rows * groups).fill(8) : weight.zeros as Uint8Array;
  return packNibbles(zeros, { rows, columns: groups });
}

/** The codes of a linear; throws a sentence where a part breaks a rule. */
export function unpackAwq(
  { name, rows, columns, scheme: { weights: scheme } }: CodedLinear,
  parts: LinearParts,
): CodedWeight {
  const groups = groupsOf({ scheme, columns });
  return {
    scheme,
    rows,
    columns,
    codes: unpackNibbles(parts.qweight as Int32Array, { rows, columns }),
    scales: readGroups(parts.scales!, { tensor: `${name}.scales`, rows, groups }),
    zeros: unpackNibbles(parts.qzeros as Int32Array, { rows, columns: groups }),
  };
}

interface Shape {
  readonly rows: number;
  readonly columns: number;
}

/** Turns nibbles [rows, columns] into words [columns, rows / 8]; `flip` inverts bits of each. */
function packNibbles(
  values: Uint8Array | Int8Array,
  { rows, columns }: Shape,
  flip = 0,
): Int32Array<ArrayBuffer> {
  const wide = rows / 8;
  const words = new Int32Array(wide * columns);
  for (let to = 0; to < wide; to++) {
    for (let nibble = 0; nibble < 8; nibble++) {
      const from = (8 * to + ORDER[nibble]!) * columns;
      const shift = 4 * nibble;
      for (let column = 0; column < columns; column++) {
        words[column * wide + to]! |= ((values[from + column]! ^ flip) & 15) << shift;
      }
    }
  }
  return words;
}

function unpackNibbles(words: Int32Array, { rows, columns }: Shape): Uint8Array<ArrayBuffer> {
  const wide = rows / 8;
  const values = new Uint8Array(rows * columns);
  for (let from = 0; from < wide; from++) {
    for (let nibble = 0; nibble < 8; nibble++) {
      const to = (8 * from + ORDER[nibble]!) * columns;
      const shift = 4 * nibble;
      for (let column = 0; column < columns; column++) {
        values[to + column] = words[column * wide + from]! >>> shift & 15;
      }
    }
  }
  return values;
}
