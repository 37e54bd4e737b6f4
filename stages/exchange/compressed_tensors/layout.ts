import {
  groupColumns,
  type LinearScheme,
  schemeKind,
  type WeightScheme,
} from "../../quant/schemes.ts";
import type { CodedWeight } from "../../quant/coded_weight.ts";
import type { PartOutline } from "../checkpoint_format.ts";
import { type BitLines, wordsOf } from "../bit_lines.ts";
import type { CodedLinear } from "../subject.ts";

/** How the tensors of a linear are stored. */
export interface CompressedLayout {
  /** Codes without gaps in 32-bit words (`pack-quantized`), or a signed byte each. */
  readonly codes: "packed" | "bytes";
  /** Scales a row and group, or a single one. */
  readonly scales: "rows" | "tensor";
  /** Zero points in words down the outputs, or a signed byte each. */
  readonly zeros: "none" | "packed" | "bytes";
}

/** The name of a layout in `quantization_config`. */
export function formatOf({ codes }: CompressedLayout): "pack-quantized" | "int-quantized" {
  return codes === "packed" ? "pack-quantized" : "int-quantized";
}

/**
 * How a scheme is written: bytes for 8-bit weights with 8-bit inputs, words for the others.
 *
 * The library would give 4-bit weights with 8-bit inputs a byte a code too; vLLM runs those on CPUs
 * alone, and takes the words on GPUs as well.
 */
export function writtenLayout({ weights: { bits, zero }, inputs }: LinearScheme): CompressedLayout {
  const bytes = bits === 8 && inputs !== undefined;
  return {
    codes: bytes ? "bytes" : "packed",
    scales: "rows",
    zeros: zero === "none" ? "none" : bytes ? "bytes" : "packed",
  };
}

/** The tensors of a linear in a layout, as they are written. */
export function layoutParts(
  { rows, columns, scheme: { weights } }: CodedLinear,
  layout: CompressedLayout,
): readonly PartOutline[] {
  const { bits } = weights;
  const groups = columns / groupColumns(weights, columns);
  const parts: PartOutline[] = layout.codes === "packed"
    ? [
      { part: "weight_packed", dtypes: ["I32"], shape: [rows, wordsOf(columns, bits)] },
      { part: "weight_shape", dtypes: ["I64", "I32"], shape: [2] },
    ]
    : [{ part: "weight", dtypes: ["I8"], shape: [rows, columns] }];
  parts.push({
    part: "weight_scale",
    dtypes: wideScales(weights) ? ["F32", "F16", "BF16"] : ["F16", "BF16", "F32"],
    shape: layout.scales === "tensor" ? [1] : [rows, groups],
  });
  if (layout.zeros === "packed") {
    const shape = [wordsOf(rows, bits), groups];
    parts.push({ part: "weight_zero_point", dtypes: ["I32"], shape });
  } else if (layout.zeros === "bytes") {
    const shape = layout.scales === "tensor" ? [1] : [rows, groups];
    parts.push({ part: "weight_zero_point", dtypes: ["I8"], shape });
  }
  return parts;
}

/** How codes lie in `weight_packed`. */
export function packedCodeLines(
  { rows, columns, scheme: { bits, zero } }: Pick<CodedWeight, "rows" | "columns" | "scheme">,
): BitLines {
  const words = [wordsOf(columns, bits), 1] as const;
  const signed = zero === "none";
  return { bits, lines: rows, length: columns, values: [columns, 1], words, signed };
}

/** How zero points [rows, groups] lie in `weight_zero_point`: down the outputs. */
export function packedZeroLines(
  { rows, groups, bits }: { readonly rows: number; readonly groups: number; readonly bits: number },
): BitLines {
  return { bits, lines: groups, length: rows, values: [1, groups], words: [1, groups] };
}

/** The tensors of a linear in a layout, with what others write beside. */
export function readableParts(
  linear: CodedLinear,
  layout: CompressedLayout,
): readonly PartOutline[] {
  const shape = [linear.columns];
  const order: PartOutline = { part: "weight_g_idx", dtypes: ["I32"], shape, optional: true };
  return [...layoutParts(linear, layout), order];
}

/**
 * Whether group scales are written in single precision: products of an f16 factor and an integer,
 * which without a zero point are made to be halves, see `rowScale()`.
 */
export function wideScales(scheme: WeightScheme): boolean {
  return schemeKind(scheme) === "two_level" && scheme.zero !== "none";
}
