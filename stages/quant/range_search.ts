import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { groupDot, roundingError } from "../../kernels/mod.ts";
import { QuadraticForm } from "./quadratic_form.ts";
import type { RangeSearch } from "./range_params.ts";
import { groupColumns, type WeightScheme } from "./schemes.ts";
import { gridFor, type GroupRanges, type WeightDomain, type WeightGrid } from "./weight_grid.ts";

/** The ratios tried, 1 first: down to the smallest, then up to the largest. */
export function rangeRatios({ max_shrink, max_expand, grids }: RangeSearch): number[] {
  const steps = Array.from({ length: grids }, (_, i) => (i + 1) / grids);
  return [
    1,
    ...steps.map((step) => 1 - step * (1 - max_shrink)),
    ...max_expand > 1 ? steps.map((step) => 1 + step * (max_expand - 1)) : [],
  ];
}

/**
 * The ratio of each group's range that gives the smallest error when the weight is rounded to
 * nearest, [rows, groups]; the earlier ratio wins ties.
 *
 * Errors of products and outputs are quadratic forms of the Gram matrix, which are sums over all
 * calibration tokens. Outputs with a ratio a group are judged by partial products
 * (.github/ALGORITHMS.md#range-search).
 */
export async function searchRanges(
  device: Device,
  { domain, scheme, ranges, gram }: {
    readonly domain: WeightDomain;
    readonly scheme: WeightScheme;
    readonly ranges: GroupRanges;
    readonly gram: Float32Array | undefined;
  },
  asked: RangeSearch,
): Promise<Float32Array<ArrayBuffer>> {
  // Rows of a tensor that share one scale share its ratio.
  const search = scheme.group === "tensor" ? { ...asked, granularity: "layer" as const } : asked;
  const { rows, columns } = domain;
  const group = groupColumns(scheme, columns);
  const groups = columns / group;
  const ratios = rangeRatios(search);
  const errors = new Errors(ratios, {
    groups,
    count: ranges.min.length,
    granularity: search.granularity,
  });
  const width = columnsAtOnce(columns, group, search);
  const height = Math.max(1, Math.floor(device.limits.bindingBytes / (4 * width)));
  for (let from = 0; from < columns; from += width) {
    const place = { from, width: Math.min(width, columns - from), group };
    using form = openForm(device, gram, { ...place, columns }, search);
    for (let first = 0; first < rows; first += height) {
      const end = Math.min(rows, first + height);
      const part = slice(domain, ranges, { ...place, first, end });
      const shape = [part.domain.rows, part.domain.columns];
      using weight = device.upload(f32(shape, part.domain.values), "weight");
      for (const [at, ratio] of ratios.entries()) {
        const grid = gridFor(part.domain, scheme, part.ranges, ratio);
        using error = errorOf(device, weight, grid);
        using sums = form
          ? form.of(error, group)
          : device.run(groupDot, { a: error, b: error }, { group }).y;
        const { data } = await device.read(sums);
        const begins = { row: first, group: from / group };
        errors.add(at, begins, data as Float32Array, part.domain);
      }
    }
  }
  return errors.best();
}

/** Columns that are searched at once, where groups have nothing to do with each other. */
const WIDTH = 1024;

/** The same in whole groups; all columns where what they err together decides. */
function columnsAtOnce(columns: number, group: number, { granularity }: RangeSearch): number {
  if (granularity === "layer") return columns;
  return Math.min(columns, Math.max(group, WIDTH - WIDTH % group));
}

/** Columns of a weight, whole groups of them. */
interface ColumnPlace {
  readonly from: number;
  readonly width: number;
  readonly group: number;
}

/** What rounding to the grid's nearest codes does to a weight's domain. */
function errorOf(device: Device, weight: TensorRef, grid: WeightGrid): Tensor {
  const { zero, low, high, rows, columns, group } = grid;
  const shape = [rows, columns / group];
  using scales = device.upload(f32(shape, grid.scales), "scales");
  using zeros = device.upload(f32(shape, grid.zeros), "zeros");
  return device.run(roundingError, { weight, scales, zeros }, { zero, low, high }).error;
}

function openForm(
  device: Device,
  gram: Float32Array | undefined,
  { from, width, group, columns }: ColumnPlace & { readonly columns: number },
  { objective, granularity }: RangeSearch,
): QuadraticForm | undefined {
  if (objective === "tensor") return undefined;
  if (!gram) {
    throw new TypeError(
      `Cannot search ranges by ${objective}: there is no Gram matrix, expected stats with gram: true; or set objective to tensor`,
    );
  }
  const whole = objective === "outputs" && granularity === "layer";
  const square = width === columns ? gram : squareOf(gram, { from, width, columns });
  return new QuadraticForm(device, square, { columns: width, ...whole ? {} : { block: group } });
}

/** The square on the diagonal of a matrix [columns, columns] that some columns share. */
function squareOf(
  gram: Float32Array,
  { from, width, columns }: Pick<ColumnPlace, "from" | "width"> & { readonly columns: number },
): Float32Array {
  const square = new Float32Array(gram.length === 0 ? 0 : width * width);
  for (let row = 0; row * width < square.length; row++) {
    const start = (from + row) * columns + from;
    square.set(gram.subarray(start, start + width), row * width);
  }
  return square;
}

/** Sums errors by what gets a ratio, and picks. */
class Errors {
  readonly #ratios: readonly number[];
  /** Groups of all rows. */
  readonly #count: number;
  readonly #groups: number;
  readonly #sums: readonly Float64Array[];
  readonly #unit: (row: number, group: number) => number;

  constructor(
    ratios: readonly number[],
    { groups, count, granularity }: {
      readonly groups: number;
      readonly count: number;
      readonly granularity: RangeSearch["granularity"];
    },
  ) {
    this.#ratios = ratios;
    this.#count = count;
    this.#groups = groups;
    this.#unit = {
      group: (row: number, group: number) => row * groups + group,
      channel_group: (_row: number, group: number) => group,
      layer: () => 0,
    }[granularity];
    const units = { group: count, channel_group: Math.min(groups, count), layer: 1 }[granularity];
    this.#sums = ratios.map(() => new Float64Array(units));
  }

  /**
   * Adds the errors [rows, groups] of some groups of some rows, that begin at a row and group; row scales
   * turn them into the weight's.
   */
  add(
    ratio: number,
    { row: first, group }: { readonly row: number; readonly group: number },
    errors: Float32Array,
    { rows, rowScales }: Pick<WeightDomain, "rows" | "rowScales">,
  ): void {
    const groups = errors.length / rows;
    const sums = this.#sums[ratio]!;
    errors.forEach((error, at) => {
      const row = Math.floor(at / groups);
      sums[this.#unit(first + row, group + at % groups)]! += error * (rowScales?.[row] ?? 1) ** 2;
    });
  }

  best(): Float32Array<ArrayBuffer> {
    const groups = this.#groups;
    const chosen = Float64Array.from(this.#sums[0]!, (_, unit) => {
      let at = 0;
      this.#sums.forEach((sums, i) => at = sums[unit]! < this.#sums[at]![unit]! ? i : at);
      return this.#ratios[at]!;
    });
    return Float32Array.from(
      { length: this.#count },
      (_, at) => chosen[this.#unit(Math.floor(at / groups), at % groups)]!,
    );
  }
}

/** Some columns of some rows, with the ranges of their groups. */
function slice(
  { columns, values, rowScales, bound }: WeightDomain,
  { min, max }: GroupRanges,
  { first, end, from, width, group }: ColumnPlace & {
    readonly first: number;
    readonly end: number;
  },
): { readonly domain: WeightDomain; readonly ranges: GroupRanges } {
  const cut = (all: Float32Array<ArrayBuffer>, unit: number) => {
    const line = columns / unit;
    const [start, held] = [from / unit, width / unit];
    if (held === line || all.length === 0) return all.slice(first * line, end * line);
    const part = new Float32Array((end - first) * held);
    for (let row = first; row < end; row++) {
      const begin = row * line + start;
      part.set(all.subarray(begin, begin + held), (row - first) * held);
    }
    return part;
  };
  return {
    domain: {
      rows: end - first,
      columns: width,
      values: cut(values, 1),
      ...rowScales && { rowScales: rowScales.slice(first, end) },
      ...bound !== undefined && { bound },
    },
    ranges: { min: cut(min, group), max: cut(max, group) },
  };
}
