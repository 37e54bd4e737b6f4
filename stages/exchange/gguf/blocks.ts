import { codeBlocks, type CodeType, type GgmlCodes } from "../../formats/gguf/ggml_codes.ts";
import type { RowRange } from "../../formats/checkpoint.ts";
import { type CodedWeight, groupsOf } from "../../quant/coded_weight.ts";

/** Rows of a coded weight in the blocks of a type that holds its scheme; see `typesOf()`. */
export function weightBlocks(
  weight: CodedWeight,
  type: CodeType,
  rows: RowRange,
): Uint8Array<ArrayBuffer> {
  return codeBlocks(type, codesFor(weight, type, rows));
}

function codesFor(weight: CodedWeight, type: CodeType, { start, end }: RowRange): GgmlCodes {
  const { scheme: { zero, levels }, columns, scales, zeros } = weight;
  const groups = groupsOf(weight);
  const group = columns / groups;
  const codes = weight.codes.subarray(start * columns, end * columns);
  const ranged = { start: start * groups, end: end * groups };
  if (levels === 2) {
    const signed = innerCodes(weight, { start, end });
    return { codes: signed, group: columns, scales: scales.subarray(start, end) };
  }
  const own = { codes, group, scales: scales.subarray(ranged.start, ranged.end) };
  if (zero === "none") return own;
  const here = zeros!.subarray(ranged.start, ranged.end);
  if (here instanceof Float16Array) return { ...own, zeros: here };
  if (type === "Q8_0") return { ...own, codes: differences(codes, here, group) };
  // The nearest half-precision number to each product, which few products are.
  return { ...own, zeros: Float16Array.from(here, (zero, at) => zero * own.scales[at]!) };
}

/** The 8-bit integers that codes under two levels stand for; they wrap as bytes do. */
function innerCodes(weight: CodedWeight, { start, end }: RowRange): Int8Array<ArrayBuffer> {
  const { columns, codes, group_scales: factors, group_zeros: zeros } = weight;
  const groups = groupsOf(weight);
  const group = columns / groups;
  const inner = new Int8Array((end - start) * columns);
  for (let g = start * groups, to = 0; g < end * groups; g++) {
    const [factor, zero] = [factors![g]!, zeros?.[g] ?? 0];
    for (let i = g * group; i < (g + 1) * group; i++) inner[to++] = codes[i]! * factor - zero;
  }
  return inner;
}

/** Codes with the zero of their group taken away. */
function differences(
  codes: Int8Array | Uint8Array,
  zeros: Uint8Array,
  group: number,
): Int8Array<ArrayBuffer> {
  const signed = new Int8Array(codes.length);
  for (let g = 0; g < zeros.length; g++) {
    const zero = zeros[g]!;
    for (let i = g * group; i < (g + 1) * group; i++) signed[i] = codes[i]! - zero;
  }
  return signed;
}
