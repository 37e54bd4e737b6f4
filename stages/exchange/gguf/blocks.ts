import type { CodeValues } from "../../../kernels/codes/integer_codes.ts";
import { codeBlocks, type CodeType, type GgmlCodes } from "../../formats/gguf/ggml_codes.ts";
import type { RowRange } from "../../formats/checkpoint.ts";
import { type CodedWeight, plainRows } from "../../quant/coded_weight.ts";

/** Rows of a coded weight in the blocks of a type that holds its scheme; see `typesOf()`. */
export function weightBlocks(
  weight: CodedWeight,
  type: CodeType,
  rows: RowRange,
): Uint8Array<ArrayBuffer> {
  return codeBlocks(type, codesFor(weight, type, rows));
}

function codesFor(weight: CodedWeight, type: CodeType, rows: RowRange): GgmlCodes {
  const { codes, scales, zeros } = plainRows(weight, rows);
  const own = { codes, group: codes.length / scales.length, scales };
  if (!zeros) return own;
  if (zeros instanceof Float16Array) return { ...own, zeros };
  if (type === "Q8_0") return { ...own, codes: differences(codes, zeros) };
  // The nearest half-precision number to each product, which few products are.
  return { ...own, zeros: Float16Array.from(zeros, (zero, at) => zero * scales[at]!) };
}

/** Codes with the zero of their group taken away. */
function differences(codes: CodeValues, zeros: Uint8Array): Int8Array<ArrayBuffer> {
  const group = codes.length / zeros.length;
  const signed = new Int8Array(codes.length);
  for (let g = 0; g < zeros.length; g++) {
    const zero = zeros[g]!;
    for (let i = g * group; i < (g + 1) * group; i++) signed[i] = codes[i]! - zero;
  }
  return signed;
}
