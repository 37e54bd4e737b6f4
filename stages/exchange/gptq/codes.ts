import { valueOf } from "../../../kernels/codes/quantizer.ts";
import type { RowRange } from "../../formats/checkpoint.ts";
import {
  type CodedWeight,
  groupsOf,
  type OneLevelWeight,
  plainRows,
} from "../../quant/coded_weight.ts";
import { groupColumns } from "../../quant/schemes.ts";
import type { PartOutline } from "../checkpoint_format.ts";
import { type BitLines, packLines, unpackLines } from "../bit_lines.ts";
import { type GptqVersion, moveUp, setSymmetric } from "./zeros.ts";
import { groupMajor, readGroups } from "../group_scales.ts";
import type { LinearParts, PartValues } from "../part_values.ts";
import type { CodedLinear } from "../subject.ts";

/** The tensors of a quantized linear. */
export function gptqParts(
  { rows, columns, bias, scheme: { weights } }: CodedLinear,
): readonly PartOutline[] {
  const { bits } = weights;
  const groups = Math.ceil(columns / groupColumns(weights, columns));
  return [
    { part: "qweight", dtypes: ["I32"], shape: [columns * bits / 32, rows] },
    { part: "qzeros", dtypes: ["I32"], shape: [groups, rows * bits / 32] },
    { part: "scales", dtypes: ["F16", "BF16", "F32"], shape: [groups, rows] },
    { part: "g_idx", dtypes: ["I32"], shape: [columns], optional: true },
    // AutoGPTQ once gave every linear a bias; one of zeros is none.
    ...bias ? [] : [
      {
        part: "bias",
        dtypes: ["F16", "BF16", "F32"],
        shape: [rows],
        optional: true,
        written: false,
      } as const,
    ],
  ];
}

/** The values of one part. */
export function packGptq(
  coded: CodedWeight,
  part: string,
  { version, name }: { readonly version: GptqVersion; readonly name: string },
): ArrayBufferView {
  const weight = plainRows(coded);
  const { rows, columns, scheme: { bits, zero } } = weight;
  const groups = groupsOf(weight);
  if (part === "scales") return groupMajor(weight.scales, { rows, groups });
  if (part === "g_idx") {
    const width = columns / groups;
    return Int32Array.from({ length: columns }, (_, input) => Math.floor(input / width));
  }
  const middle = 2 ** (bits - 1);
  const { codes, zeros } = version === 1 && zero !== "none" ? withoutZeroes(weight, name) : weight;
  if (part === "qweight") return packLines(codes, codeLines(weight));
  const points = zeros ? new Uint8Array(zeros) : new Uint8Array(rows * groups).fill(middle);
  if (version === 1) { for (let i = 0; i < points.length; i++) points[i]! -= 1; }
  return packLines(points, zeroLines({ rows, groups, bits }));
}

/** The codes of a linear; throws a sentence where a part breaks a rule. */
export function unpackGptq(
  linear: CodedLinear,
  parts: LinearParts,
  version: GptqVersion,
): CodedWeight {
  const { name, rows, columns, scheme: { weights } } = linear;
  checkPlainGroups(linear, parts);
  const [scales, zeros] = readGrid(linear, parts, version);
  const codes = unpackLines(
    parts.qweight as Int32Array,
    codeLines({ rows, columns, scheme: weights }),
  );
  checkBias(parts.bias, `${name}.bias`);
  const grid = { scheme: weights, rows, columns, scales, codes };
  return weights.zero === "none" ? grid : { ...grid, zeros };
}

/** The values of some rows of a linear, whatever the order of its groups. */
export function gptqValues(
  linear: CodedLinear,
  parts: LinearParts,
  { version, range = { start: 0, end: linear.rows } }: {
    readonly version: GptqVersion;
    readonly range?: RowRange | undefined;
  },
): Float32Array<ArrayBuffer> {
  const { name, rows, columns, scheme: { weights } } = linear;
  const index = groupIndex(linear, parts);
  const [scales, zeros, groups] = readGrid(linear, parts, version);
  checkBias(parts.bias, `${name}.bias`);
  const lines = codeLines({ rows, columns, scheme: weights });
  const codes = unpackLines((parts.qweight as Int32Array).subarray(range.start), {
    ...lines,
    lines: range.end - range.start,
    signed: false,
  });
  const values = new Float32Array(codes.length);
  for (let row = range.start, at = 0; row < range.end; row++) {
    const from = row * groups;
    for (let input = 0; input < columns; input++, at++) {
      const g = from + index[input]!;
      values[at] = valueOf(codes[at]!, scales[g]!, zeros[g]!, "pre_scale");
    }
  }
  return values;
}

/** Words lie along the inputs: [columns * bits / 32, rows]. */
function codeLines(
  { rows, columns, scheme: { bits, zero } }: Pick<CodedWeight, "rows" | "columns" | "scheme">,
): BitLines {
  const signed = zero === "none";
  return { bits, lines: rows, length: columns, values: [columns, 1], words: [1, rows], signed };
}

/** Words lie along the outputs: [groups, rows * bits / 32]. */
function zeroLines(
  { rows, groups, bits }: { readonly rows: number; readonly groups: number; readonly bits: number },
): BitLines {
  const words = [rows * bits / 32, 1] as const;
  return { bits, lines: groups, length: rows, values: [1, groups], words };
}

/**
 * A weight without zero points of 0, which programs read in different ways when they are stored less
 * one: codes and zero point of such groups move up by one, which changes no value.
 */
function withoutZeroes(
  weight: OneLevelWeight,
  name: string,
): Pick<OneLevelWeight, "codes" | "zeros"> {
  const { zeros, columns, scheme: { bits } } = weight;
  if (!zeros!.includes(0)) return weight;
  const width = columns / groupsOf(weight);
  const moved = { codes: weight.codes.slice(), zeros: new Uint8Array(zeros!) };
  for (let g = 0; g < moved.zeros.length; g++) {
    if (moved.zeros[g] !== 0) continue;
    moved.zeros[g] = 1;
    for (let i = g * width; i < (g + 1) * width; i++) {
      if (++moved.codes[i]! < 2 ** bits) continue;
      throw new RangeError(
        `Cannot pack "${name}" as gptq: output ${
          Math.floor(i / columns)
        } has a group with zero point 0 and code ${
          2 ** bits - 1
        }, expected a zero point from 1; export to gptq_v2`,
      );
    }
  }
  return moved;
}

/** Scales and zero points of groups, [rows, groups]. */
function readGrid(
  { name, rows, columns, scheme: { weights } }: CodedLinear,
  parts: LinearParts,
  version: GptqVersion,
): readonly [
  scales: Float16Array<ArrayBuffer>,
  zeros: Uint8Array<ArrayBuffer>,
  groups: number,
] {
  const { bits, zero } = weights;
  const groups = Math.ceil(columns / groupColumns(weights, columns));
  const scales = readGroups(parts.scales!, { tensor: `${name}.scales`, rows, groups });
  const lines = zeroLines({ rows, groups, bits });
  const zeros = unpackLines(parts.qzeros as Int32Array, lines) as Uint8Array<ArrayBuffer>;
  const place = { tensor: `${name}.qzeros`, groups, version };
  if (zero === "none") setSymmetric(zeros, 2 ** (bits - 1), place);
  else if (version === 1) moveUp(zeros, 2 ** bits - 1, place);
  return [scales, zeros, groups];
}

function checkBias(bias: PartValues | undefined, tensor: string): void {
  const at = (bias as Float32Array | undefined)?.findIndex((value) => value !== 0) ?? -1;
  if (at < 0) return;
  throw new RangeError(
    `tensor "${tensor}": output ${at} is ${
      bias![at]
    }, expected 0: the architecture has no bias there`,
  );
}

/** The group of every input. */
function groupIndex(
  { name, columns, scheme: { weights } }: CodedLinear,
  { g_idx }: LinearParts,
): Int32Array {
  const width = groupColumns(weights, columns);
  const groups = Math.ceil(columns / width);
  if (!g_idx) return Int32Array.from({ length: columns }, (_, input) => Math.floor(input / width));
  const index = g_idx as Int32Array;
  const at = index.findIndex((group) => group < 0 || group >= groups);
  if (at < 0) return index;
  throw new RangeError(
    `tensor "${name}.g_idx": input ${at} is in group ${index[at]}, expected 0 to ${groups - 1}`,
  );
}

/** Throws unless groups are full and lie side by side, as those of packed weights do. */
function checkPlainGroups(linear: CodedLinear, parts: LinearParts): void {
  const { name, columns, scheme: { weights } } = linear;
  const index = groupIndex(linear, parts);
  const width = groupColumns(weights, columns);
  if (columns % width !== 0) {
    throw new TypeError(
      `tensor "${name}.scales": the last group has ${
        columns % width
      } inputs, expected ${width} as the others; set codes to dequantize where it is loaded`,
    );
  }
  const at = index.findIndex((group, input) => group !== Math.floor(input / width));
  if (at < 0) return;
  throw new TypeError(
    `tensor "${name}.g_idx": input ${at} is in group ${index[at]}, expected ${
      Math.floor(at / width)
    }: its groups lie over inputs in another order; set codes to dequantize where it is loaded`,
  );
}
