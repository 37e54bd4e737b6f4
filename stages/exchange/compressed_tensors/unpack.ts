import type { CodeValues } from "../../../kernels/codes/integer_codes.ts";
import { type CodedWeight, groupsOf, type TwoLevelWeight } from "../../quant/coded_weight.ts";
import { groupColumns, schemeKind, type WeightScheme } from "../../quant/schemes.ts";
import { unpackLines } from "../bit_lines.ts";
import { type CompressedLayout, packedCodeLines, packedZeroLines } from "./layout.ts";
import { halfValues } from "../group_scales.ts";
import { factorsOf } from "./scales.ts";
import type { LinearParts, PartValues } from "../part_values.ts";
import type { CodedLinear } from "../subject.ts";

type Zeros = Uint8Array<ArrayBuffer>;

/**
 * The codes of a linear from its tensors; throws a sentence where one breaks a rule.
 *
 * Scales of one level in other types than half precision are rounded to that, by at most 2^-11 of
 * themselves; those that lose more are refused.
 */
export function unpackTensors(
  { name, rows, columns, scheme: { weights } }: CodedLinear,
  parts: LinearParts,
  layout: CompressedLayout,
): CodedWeight {
  const shape = { rows, columns };
  const packed = layout.codes === "packed";
  if (packed) checkShape(name, { ...shape, values: parts.weight_shape! });
  const group = groupColumns(weights, columns);
  const order = parts.weight_g_idx;
  if (order) checkOrder(name, { order, group });
  const codes = packed
    ? naming(
      `${name}.weight_packed`,
      () =>
        unpackLines(
          parts.weight_packed! as Int32Array,
          packedCodeLines({ ...shape, scheme: weights }),
        ),
    )
    : naming(`${name}.weight`, () => byteCodes(parts.weight! as Int8Array, weights));
  const plain = { ...shape, scheme: weights, codes };
  const groups = groupsOf(plain);
  const zeros = layout.zeros === "none" ? undefined : naming(
    `${name}.weight_zero_point`,
    () =>
      layout.zeros === "packed"
        ? unpackLines(
          parts.weight_zero_point! as Int32Array,
          packedZeroLines({ rows, groups, bits: weights.bits }),
        ) as Zeros
        : byteCodes(parts.weight_zero_point! as Int8Array, weights) as Zeros,
  );
  if (schemeKind(weights) === "two_level") {
    return twoLevels(plain, { name, scales: parts.weight_scale!, zeros });
  }
  const scales = halfValues(parts.weight_scale!, { tensor: `${name}.weight_scale`, each: "value" });
  if (layout.scales === "rows") return { ...plain, scales, ...zeros && { zeros } };
  return {
    ...plain,
    scales: new Float16Array(rows).fill(scales[0]!),
    ...zeros && { zeros: new Uint8Array(rows).fill(zeros[0]!) },
  };
}

/** A weight of two levels: scales taken apart, and 8-bit weights that stay in int8. */
function twoLevels(
  weight: Omit<TwoLevelWeight, "scales" | "rowScales">,
  { name, scales, zeros }: {
    readonly name: string;
    readonly scales: PartValues;
    readonly zeros: Zeros | undefined;
  },
): TwoLevelWeight {
  const { rows, columns, codes, scheme: { bits } } = weight;
  const groups = groupsOf(weight);
  const width = columns / groups;
  const found = new Float16Array(rows);
  const factors = new Uint8Array(rows * groups);
  for (let row = 0; row < rows; row++) {
    const of = scales.subarray(row * groups, (row + 1) * groups) as Float32Array;
    const taken = factorsOf(of);
    if (!taken) {
      throw new RangeError(
        `tensor "${name}.weight_scale": the scales of output ${row} are no products of a half and small integers, expected that as for the outputs before`,
      );
    }
    found[row] = taken.row;
    factors.set(taken.groups, row * groups);
  }
  // What makes codes unsigned where the integer product takes them.
  const shift = zeros ? 0 : 2 ** (bits - 1) - 1;
  for (let at = 0; at < factors.length; at++) {
    let [least, most] = [Infinity, -Infinity];
    for (let i = at * width; i < (at + 1) * width; i++) {
      const code = codes[i]!;
      if (code < least) least = code;
      if (code > most) most = code;
    }
    const [factor, zero] = [factors[at]!, zeros?.[at] ?? 0];
    const [low, high] = [(least - zero) * factor, (most - zero) * factor];
    if (low >= -128 && high <= 127 && least + shift >= 0 && (most + shift) * factor <= 255) {
      continue;
    }
    throw new RangeError(
      `tensor "${name}.weight_scale": codes ${least} to ${most} of output ${
        Math.floor(at / groups)
      }, group ${
        at % groups
      } make 8-bit weights of ${low} to ${high} by a scale of ${factor}, expected what fits int8 and an unsigned byte`,
    );
  }
  return {
    ...weight,
    scales: factors,
    // Bytes that wrap, as in the integer product.
    ...zeros && { zeros: Int8Array.from(factors, (factor, at) => factor * zeros[at]!) },
    rowScales: found,
  };
}

/** Signed bytes as codes: themselves without a zero point, else from 0 on. */
function byteCodes(bytes: Int8Array, { bits, zero }: WeightScheme): CodeValues {
  const half = 2 ** (bits - 1);
  const codes = zero === "none" ? new Int8Array(bytes) : new Uint8Array(bytes.length);
  const shift = zero === "none" ? 0 : half;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte < -half || byte >= half) {
      throw new RangeError(`value ${i} is ${byte}, expected ${-half} to ${half - 1}`);
    }
    codes[i] = byte + shift;
  }
  return codes;
}

function checkShape(
  name: string,
  { rows, columns, values }: {
    readonly rows: number;
    readonly columns: number;
    readonly values: PartValues;
  },
): void {
  if (Number(values[0]) === rows && Number(values[1]) === columns) return;
  throw new RangeError(
    `tensor "${name}.weight_shape" is [${
      Array.from(values as Int32Array, Number).join(", ")
    }], expected [${rows}, ${columns}]`,
  );
}

/** Throws where groups lie over other columns than those that follow each other. */
function checkOrder(
  name: string,
  { order, group }: { readonly order: PartValues; readonly group: number },
): void {
  const groups = order as Int32Array;
  // The library fills it with -1 where nothing was ordered.
  if (groups.every((at) => at === -1)) return;
  const column = groups.findIndex((at, column) => at !== Math.floor(column / group));
  if (column < 0) return;
  throw new RangeError(
    `tensor "${name}.weight_g_idx" puts input ${column} into group ${groups[column]}, expected ${
      Math.floor(column / group)
    }: groups over ordered inputs are not read`,
  );
}

function naming<Result>(tensor: string, unpack: () => Result): Result {
  try {
    return unpack();
  } catch (error) {
    throw new RangeError(`tensor "${tensor}": ${(error as Error).message}`);
  }
}
