import { type CodeValues, emptyCodes } from "../../kernels/codes/integer_codes.ts";
import {
  clamp,
  codeOf,
  codeRange,
  INPUT_CODES,
  type Quantizer,
  scaleAndZero,
} from "../../kernels/codes/quantizer.ts";
import type { CodedWeight } from "./coded_weight.ts";
import { protectiveRange, rowScale } from "./row_scale.ts";
import { groupColumns, largestGroup, schemeKind, type WeightScheme } from "./schemes.ts";

/**
 * A matrix on the host, row-major: [rows, columns]. Without values it is a header, that goes through
 * the arithmetic below for nothing: loops go over values.
 */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array<ArrayBuffer>;
}

/**
 * The values that the codes of one weight can take: a scale and a zero for each row and group.
 *
 * With two levels, `rowScales` turn the weight into 8-bit integers within `bound` (QServe's
 * protective range), and scales and zeros are integers over those.
 */
export interface WeightGrid extends Quantizer {
  readonly scheme: WeightScheme;
  readonly rows: number;
  readonly columns: number;
  /** Columns of a group. */
  readonly group: number;
  /** [rows, groups]. */
  readonly scales: Float32Array<ArrayBuffer>;
  readonly zeros: Float32Array<ArrayBuffer>;
  readonly rowScales?: Float32Array<ArrayBuffer>;
  readonly bound?: number;
}

/** Smallest and largest value of each group, as the scheme looks at them: [rows, groups]. */
export interface GroupRanges {
  readonly min: Float32Array<ArrayBuffer>;
  readonly max: Float32Array<ArrayBuffer>;
}

/** The weight as its groups see it: itself, or with two levels divided by its row scales. */
export interface WeightDomain extends Matrix {
  readonly rowScales?: Float32Array<ArrayBuffer>;
  readonly bound?: number;
}

/** Throws unless groups of the scheme divide the columns of a weight into whole words of codes. */
export function checkGroup(name: string, scheme: WeightScheme, columns: number): void {
  const group = groupColumns(scheme, columns);
  if (columns % group !== 0) {
    throw new RangeError(
      `Cannot quantize "${name}" in groups of ${group}: it has ${columns} columns, expected a multiple of ${group}; the largest group up to ${group} that divides it is ${
        largestGroup(columns, group)
      }`,
    );
  }
  if (group % 8 !== 0) {
    throw new RangeError(
      `Cannot quantize "${name}" in groups of ${group}: expected a multiple of 8, which codes are packed by`,
    );
  }
}

/** What the groups of a weight see, see `WeightDomain`. */
export function domainOf(weight: Matrix, scheme: WeightScheme): WeightDomain {
  if (schemeKind(scheme) !== "two_level") return weight;
  const { rows, columns } = weight;
  const bound = protectiveRange(scheme);
  const rowScales = new Float32Array(rows);
  const values = new Float32Array(weight.values.length);
  for (let row = 0; row < rows; row++) {
    const from = weight.values.subarray(row * columns, (row + 1) * columns);
    const scale = rowScale(largestOf(from), bound, scheme);
    rowScales[row] = scale;
    const to = values.subarray(row * columns, (row + 1) * columns);
    for (let c = 0; c < from.length; c++) to[c] = clamp(from[c]! / scale, -bound, bound);
  }
  return { rows, columns, values, rowScales, bound };
}

/** Measures the groups of a weight's domain; the largest magnitude where there is no zero point. */
export function measureGroups(domain: Matrix, scheme: WeightScheme): GroupRanges {
  const { columns, values } = domain;
  const group = groupColumns(scheme, columns);
  const count = values.length / group;
  const min = new Float32Array(count);
  const max = new Float32Array(count);
  for (let at = 0; at < count; at++) {
    let [least, most] = [Infinity, -Infinity];
    for (let i = at * group; i < (at + 1) * group; i++) {
      const value = values[i]!;
      if (value < least) least = value;
      if (value > most) most = value;
    }
    [min[at], max[at]] = scheme.zero === "none"
      ? [0, Math.max(Math.abs(least), Math.abs(most))]
      : [least, most];
  }
  if (scheme.group !== "tensor") return { min, max };
  return {
    min: min.fill(min.reduce((a, b) => Math.min(a, b), Infinity)),
    max: max.fill(max.reduce((a, b) => Math.max(a, b), -Infinity)),
  };
}

/** Ranges of groups that as many neighbouring rows share: the widest of them. Outliers keep theirs. */
export function sharedRanges(
  { min, max }: GroupRanges,
  { rows, scheme, columns }: Pick<WeightGrid, "rows" | "scheme" | "columns">,
  share: number,
): GroupRanges {
  const groups = columns / groupColumns(scheme, columns);
  if (max.length === 0) return { min, max };
  const shared = (all: Float32Array<ArrayBuffer>, wider: (a: number, b: number) => number) =>
    all.map((value, at) => {
      if (isOutlier(at, { scheme, groups })) return value;
      const [row, group] = [Math.floor(at / groups), at % groups];
      const first = row - row % share;
      let widest = value;
      for (let other = first; other < Math.min(first + share, rows); other++) {
        widest = wider(widest, all[other * groups + group]!);
      }
      return widest;
    });
  return { min: shared(min, Math.min), max: shared(max, Math.max) };
}

/** Whether a group [rows, groups] is the last of its row and has codes of more bits. */
function isOutlier(
  at: number,
  { scheme, groups }: { readonly scheme: WeightScheme; readonly groups: number },
): boolean {
  return scheme.outlier_bits !== undefined && at % groups === groups - 1;
}

/** The codes of a scheme's last groups that have more bits. */
export const OUTLIERS: Quantizer = { ...INPUT_CODES, scale: "f16" };

/** The grid of a weight for measured ranges, each multiplied by its ratio where there are ratios. */
export function gridFor(
  domain: WeightDomain,
  scheme: WeightScheme,
  ranges: GroupRanges,
  ratios?: Float32Array | number,
): WeightGrid {
  const { rows, columns, rowScales, bound } = domain;
  const [low, high] = codeRange(scheme);
  const codes: Quantizer = {
    low,
    high,
    zero: scheme.zero,
    scale: rowScales ? "int8" : "f16",
  };
  const count = ranges.min.length;
  const scales = new Float32Array(count);
  const zeros = new Float32Array(count);
  for (let at = 0; at < count; at++) {
    if (isOutlier(at, { scheme, groups: columns / groupColumns(scheme, columns) })) {
      scales[at] = scaleAndZero({ min: 0, max: ranges.max[at]! }, OUTLIERS).scale;
      continue;
    }
    const ratio = typeof ratios === "number" ? ratios : ratios?.[at] ?? 1;
    const min = Math.fround(ranges.min[at]! * ratio);
    const wide = Math.fround(ranges.max[at]! * ratio);
    // Signed codes of two levels fill int8 as they are: a wider range would only leave it.
    const max = scheme.zero === "none" ? Math.min(wide, bound ?? Infinity) : wide;
    const found = scaleAndZero({ min, max }, codes);
    scales[at] = found.scale;
    zeros[at] = found.zero;
  }
  return {
    ...codes,
    scheme,
    rows,
    columns,
    group: groupColumns(scheme, columns),
    scales,
    zeros,
    ...rowScales && { rowScales },
    ...bound !== undefined && { bound },
  };
}

/** Domain and grid of a weight from its plain ranges. */
export function gridOf(
  weight: Matrix,
  scheme: WeightScheme,
): { readonly domain: WeightDomain; readonly grid: WeightGrid } {
  const domain = domainOf(weight, scheme);
  return { domain, grid: gridFor(domain, scheme, measureGroups(domain, scheme)) };
}

/** A weight's domain in codes, each value rounded to the nearest. */
export function roundToNearest({ values }: Matrix, grid: WeightGrid): CodedWeight {
  const codes = emptyCodes(values.length, { signed: grid.zero === "none" });
  const { scheme, columns, group, scales, zeros } = grid;
  for (let at = 0; at < scales.length; at++) {
    const [scale, zero] = [scales[at]!, zeros[at]!];
    const kinds = isOutlier(at, { scheme, groups: columns / group }) ? OUTLIERS : grid;
    for (let i = at * group; i < (at + 1) * group; i++) {
      codes[i] = codeOf(values[i]!, scale, zero, kinds);
    }
  }
  return gridWeight(codes, grid);
}

/** The weight of codes [rows, columns] on a grid. */
export function gridWeight(codes: CodeValues, grid: WeightGrid): CodedWeight {
  const { scheme, rows, columns, scales, zeros, zero, rowScales } = grid;
  const matrix = { scheme, rows, columns, codes };
  if (rowScales) {
    const products = zero === "pre_scale" ? zeros.map((z, at) => z * scales[at]!) : zeros;
    return {
      ...matrix,
      scales: new Uint8Array(scales),
      ...zero !== "none" && { zeros: new Int8Array(products) },
      rowScales: new Float16Array(rowScales),
    };
  }
  return {
    ...matrix,
    scales: new Float16Array(scales),
    ...zero === "pre_scale" && { zeros: new Uint8Array(zeros) },
    ...zero === "post_scale" && { zeros: new Float16Array(zeros) },
  };
}

function largestOf(values: Float32Array): number {
  // By places: V8 takes twenty times as long with an iterator here.
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]!));
  return most;
}
