import { type CodedWeight, groupsOf } from "../../quant/coded_weight.ts";
import { packLines } from "../bit_lines.ts";
import { packedCodeLines, packedZeroLines, wideScales } from "./layout.ts";

/** The values of one tensor of a linear, see `layoutParts()`. */
export function packTensor(weight: CodedWeight, part: string): ArrayBufferView {
  const { scheme: { bits }, rows, columns, codes } = weight;
  switch (part) {
    case "weight_packed":
      return packLines(codes, packedCodeLines(weight));
    case "weight_shape":
      return BigInt64Array.of(BigInt(rows), BigInt(columns));
    case "weight_scale":
      return groupScales(weight);
    case "weight_zero_point":
      return packLines(
        zeroPoints(weight),
        packedZeroLines({ rows, groups: groupsOf(weight), bits }),
      );
    default:
      return codes;
  }
}

/** Scales [rows, groups], with two levels the products of both. */
function groupScales(weight: CodedWeight): Float16Array | Float32Array {
  const { scheme, rowScales } = weight;
  if (!rowScales) return weight.scales;
  const groups = groupsOf(weight);
  const products = Float32Array.from(
    weight.scales,
    (scale, at) => rowScales[Math.floor(at / groups)]! * scale,
  );
  if (wideScales(scheme)) return products;
  const halves = new Float16Array(products);
  const at = products.findIndex((product, at) => product !== halves[at]);
  if (at < 0) return halves;
  throw new RangeError(
    `Cannot write the scale of output ${Math.floor(at / groups)}, group ${at % groups}: it is ${
      products[at]
    }, expected what half precision holds; quantize the model again`,
  );
}

/** The zero point of each group as an unsigned code, [rows, groups]. */
function zeroPoints(weight: CodedWeight): Uint8Array {
  const { scheme: { bits }, zeros, rowScales } = weight;
  if (!rowScales) return zeros as Uint8Array;
  return weight.scales.map((scale, at) => {
    // Kept as a signed byte, though up to 255: the integer product wraps.
    const product = zeros![at]! & 0xff;
    const zero = product / scale;
    if (Number.isInteger(zero) && zero < 2 ** bits) return zero;
    const groups = groupsOf(weight);
    throw new RangeError(
      `Cannot write the zero point of output ${Math.floor(at / groups)}, group ${
        at % groups
      }: it is ${product} over a scale of ${scale}, expected a code times that`,
    );
  });
}
