import { z } from "zod";
import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { groupDot, roundingError } from "../../kernels/mod.ts";
import { QuadraticForm } from "./quadratic_form.ts";
import { groupColumns, type WeightScheme } from "./schemes.ts";
import { gridFor, type GroupRanges, type WeightDomain, type WeightGrid } from "./weight_grid.ts";

/** How ranges of groups are shrunk so that rounding costs less. */
export const rangeSearch = z.strictObject({
  objective: z.enum(["tensor", "products", "outputs"]).default("outputs").describe(
    "What is compared: the weight, the partial products of each group, or the outputs.",
  ),
  granularity: z.enum(["group", "channel_group", "layer"]).default("group").describe(
    "What gets a ratio of its own: a group of a row, a group of columns in all rows, or all. With weights per tensor it is all.",
  ),
  max_shrink: z.number().positive().max(1).default(0.2).describe("The smallest ratio."),
  max_expand: z.number().min(1).default(1).describe("The largest ratio."),
  grids: z.int().positive().default(80).describe("Steps from 1 to the smallest ratio."),
  gptq_shares: z.array(z.number().min(0).max(1)).min(1).default([1]).describe(
    "Shares of the found shrinking that GPTQ tries; each row keeps the one of least output error.",
  ),
});

/** See `rangeSearch`. */
export type RangeSearch = z.infer<typeof rangeSearch>;

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
  using form = openForm(device, { gram, columns, group }, search);
  const errors = new Errors(ratios, {
    groups,
    count: ranges.min.length,
    granularity: search.granularity,
  });
  const height = Math.max(1, Math.floor(device.limits.bindingBytes / (4 * columns)));
  for (let first = 0; first < rows; first += height) {
    const part = slice(domain, ranges, { first, end: Math.min(rows, first + height) });
    const shape = [part.domain.rows, columns];
    using weight = device.upload(f32(shape, part.domain.values), "weight");
    for (const [at, ratio] of ratios.entries()) {
      const grid = gridFor(part.domain, scheme, part.ranges, ratio);
      using error = errorOf(device, weight, grid);
      using sums = form
        ? form.of(error, group)
        : device.run(groupDot, { a: error, b: error }, { group }).y;
      const { data } = await device.read(sums);
      errors.add(at, first, data as Float32Array, domain.rowScales);
    }
  }
  return errors.best();
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
  { gram, columns, group }: {
    readonly gram: Float32Array | undefined;
    readonly columns: number;
    readonly group: number;
  },
  { objective, granularity }: RangeSearch,
): QuadraticForm | undefined {
  if (objective === "tensor") return undefined;
  if (!gram) {
    throw new TypeError(
      `Cannot search ranges by ${objective}: there is no Gram matrix, expected stats with gram: true; or set objective to tensor`,
    );
  }
  const whole = objective === "outputs" && granularity === "layer";
  return new QuadraticForm(device, gram, { columns, ...whole ? {} : { block: group } });
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

  /** Adds the errors [rows, groups] of rows from `first` on; row scales turn them into the weight's. */
  add(ratio: number, first: number, errors: Float32Array, rowScales?: Float32Array): void {
    const groups = this.#groups;
    const sums = this.#sums[ratio]!;
    errors.forEach((error, at) => {
      const row = first + Math.floor(at / groups);
      sums[this.#unit(row, at % groups)]! += error * (rowScales?.[row] ?? 1) ** 2;
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

function slice(
  { columns, values, rowScales, bound }: WeightDomain,
  { min, max }: GroupRanges,
  { first, end }: { readonly first: number; readonly end: number },
): { readonly domain: WeightDomain; readonly ranges: GroupRanges } {
  const groups = min.length === 0 ? 0 : min.length / (values.length / columns);
  return {
    domain: {
      rows: end - first,
      columns,
      values: values.slice(first * columns, end * columns),
      ...rowScales && { rowScales: rowScales.slice(first, end) },
      ...bound !== undefined && { bound },
    },
    ranges: {
      min: min.slice(first * groups, end * groups),
      max: max.slice(first * groups, end * groups),
    },
  };
}
