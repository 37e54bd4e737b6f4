import { type CodedWeight, plainRows } from "../../quant/coded_weight.ts";
import { groupColumns } from "../../quant/schemes.ts";
import { bytesOf } from "../../formats/half.ts";
import type { LinearParts, PartValues } from "../part_values.ts";
import { halfValues } from "../group_scales.ts";
import { formOf } from "./form.ts";
import { packGroups, packTiles, unpackGroups, unpackTiles } from "./layout.ts";
import type { CodedLinear } from "../subject.ts";

/** The smallest signed code of 4 bits, which symmetric schemes leave out. */
const LEAST_CODE = -8;
/** Largest product of code and scale: four bytes are multiplied at once, and none may carry. */
const LARGEST_PRODUCT = 255;

/** The values of one tensor of a linear, see `qserveParts()`. */
export function packQserve(weight: CodedWeight, part: string): ArrayBufferView {
  const { rows, columns, codes, scales, zeros, rowScales } = weight;
  switch (part) {
    case "weight":
      return codes;
    case "qweight":
      return packTiles(codes, { rows, columns, shift: shiftOf(weight) });
    case "s1_szeros":
      return scaledZeros(weight);
    case "s2_scales":
      return packGroups(scales as Uint8Array, { rows, sign: 1 });
    case "s2_zeros": {
      const shift = shiftOf(weight);
      const taken = zeros ?? scales.map((scale) => scale * shift);
      return packGroups(taken as Int8Array | Uint8Array, { rows, sign: -1 });
    }
    default:
      return rowScales ?? scales;
  }
}

/**
 * What makes signed codes unsigned, and is then their zero point; under two levels as little as will
 * do, for the product of code and scale must be a byte.
 */
function shiftOf({ scheme, codes, rowScales }: CodedWeight): number {
  if (scheme.zero !== "none") return 0;
  return !rowScales || codes.includes(LEAST_CODE) ? -LEAST_CODE : -LEAST_CODE - 1;
}

/** Zero points times their scales: exact but for pre-scale ones, whose product is rounded. */
function scaledZeros(weight: CodedWeight): Float16Array<ArrayBuffer> {
  const { scheme, scales, zeros } = plainRows(weight);
  if (scheme.zero === "post_scale") return zeros as Float16Array<ArrayBuffer>;
  const shift = shiftOf(weight);
  return scales.map((scale, row) => scale * (zeros?.[row] ?? shift));
}

/**
 * The codes of a linear from its tensors; throws a sentence where one breaks a rule of the kernels.
 *
 * Scales in wider types are rounded to half precision, which is what the engine does when it loads
 * them; those that do not fit there are refused.
 */
export function unpackQserve(
  { name, rows, columns, scheme: { weights } }: CodedLinear,
  parts: LinearParts,
): CodedWeight {
  const shape = { rows, columns };
  const halves = (part: string) =>
    halfValues(parts[part]!, { tensor: `${name}.${part}`, each: "output" });
  const form = formOf(weights);
  if (form === "bytes") {
    const codes = signedBytes(parts.weight!);
    return { ...shape, scheme: weights, codes, scales: halves("dequant_scale") };
  }
  const codes = unpackTiles(bytesOf(parts.qweight!), shape);
  const scales = halves("s1_scales");
  if (form === "channel") {
    return { ...shape, scheme: weights, codes, scales, zeros: halves("s1_szeros") };
  }
  const factors = unpackGroups(signedBytes(parts.s2_scales!), shape);
  const offsets = unpackGroups(signedBytes(parts.s2_zeros!), shape);
  checkGroups(name, { codes, factors, offsets, columns, group: groupColumns(weights, columns) });
  return {
    ...shape,
    scheme: weights,
    codes,
    scales: new Uint8Array(factors.buffer),
    // -128 stays as it is, which is the same in bytes that wrap.
    zeros: offsets.map((offset) => -offset),
    rowScales: scales,
  };
}

/** Throws unless codes times scales stay in a byte, and in int8 with what is added. */
function checkGroups(
  name: string,
  { codes, factors, offsets, columns, group }: {
    readonly codes: Uint8Array;
    readonly factors: Int8Array;
    readonly offsets: Int8Array;
    readonly columns: number;
    readonly group: number;
  },
): void {
  for (let at = 0; at < factors.length; at++) {
    const [factor, offset] = [factors[at]!, offsets[at]!];
    let [least, most] = [15, 0];
    for (let i = at * group; i < (at + 1) * group; i++) {
      const code = codes[i]!;
      if (code < least) least = code;
      if (code > most) most = code;
    }
    const where = `output ${Math.floor(at * group / columns)}, group ${at % (columns / group)}`;
    if (factor < 0) {
      throw new RangeError(
        `tensor "${name}.s2_scales": ${where} is ${factor}, expected 0 to 127`,
      );
    }
    if (most * factor > LARGEST_PRODUCT) {
      throw new RangeError(
        `tensor "${name}.s2_scales": ${where} is ${factor}, which makes ${
          most * factor
        } of code ${most}, expected products up to ${LARGEST_PRODUCT}, above which bytes carry`,
      );
    }
    for (const value of [least * factor + offset, most * factor + offset]) {
      if (value >= -128 && value <= 127) continue;
      throw new RangeError(
        `tensor "${name}.s2_zeros": ${where} is ${offset}, which makes 8-bit weights of ${value}, expected -128 to 127`,
      );
    }
  }
}

function signedBytes(values: PartValues): Int8Array<ArrayBuffer> {
  return new Int8Array(values.buffer, values.byteOffset, values.length);
}
