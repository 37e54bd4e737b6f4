import type { Device } from "../../kernels/device/device.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { codedValues, type CodedWeight } from "./coded_weight.ts";
import { descend, type DescentOptions } from "./descent.ts";
import type { ErrorSums } from "./error_sums.ts";
import { round } from "./gptq.ts";
import { roundGroups } from "./gptq_groups.ts";
import type { GptqFactor } from "./gptq_factor.ts";
import { QuadraticForm } from "./quadratic_form.ts";
import type { RangeSearch } from "./range_params.ts";
import { searchRanges } from "./range_search.ts";
import type { WeightScheme } from "./schemes.ts";
import {
  domainOf,
  gridFor,
  gridWeight,
  type GroupRanges,
  type Matrix,
  measureGroups,
  roundToNearest,
  sharedRanges,
  type WeightDomain,
  type WeightGrid,
} from "./weight_grid.ts";

/** How one weight is quantized. */
export interface WeightMethod {
  readonly scheme: WeightScheme;
  /** Ranges are searched, or all multiplied by one ratio. */
  readonly range: RangeSearch | number;
  /** Neighbouring rows that share a scale; 1 unless said. */
  readonly share?: number;
  /** Whether GPTQ measures groups as it reaches them; before it begins unless said. */
  readonly along?: boolean;
  /** How the codes of GPTQ are improved; not unless said. */
  readonly descent?: Omit<DescentOptions, "gram"> | undefined;
}

/** What calibration knows of the inputs of some weights. */
export interface InputFacts {
  /** Sum of x x^T. */
  readonly gram: Float32Array;
  /** The same on the device. */
  readonly form: QuadraticForm;
  /** Its factor, where GPTQ is to be used. */
  readonly factor?: GptqFactor;
}

/** Whether the codes of a row have nothing to do with those of rows that share no scale with it. */
export function rowsApart({ scheme, range }: Pick<WeightMethod, "scheme" | "range">): boolean {
  return scheme.group !== "tensor" &&
    (typeof range === "number" || range.granularity === "group");
}

/**
 * Quantizes a weight, or some of its rows where those stand apart (see `rowsApart`): measures or searches the
 * ranges of its groups, then finds its codes and adds what they cost to `sums`.
 *
 * GPTQ is greedy, so that a row may come out worse than rounded to nearest, by the error of its
 * outputs; such a row is rounded to nearest. Each row keeps the best of what was tried, where it has scales of
 * its own that are known before.
 */
export async function quantizeWeight(
  device: Device,
  weight: Matrix,
  { scheme, range, share = 1, along = false, descent }: WeightMethod,
  { inputs, sums }: { readonly inputs: InputFacts | undefined; readonly sums: ErrorSums },
): Promise<CodedWeight> {
  const domain = domainOf(weight, scheme);
  const ranges = sharedRanges(measureGroups(domain, scheme), { ...domain, scheme }, share);
  const ratios = typeof range === "number"
    ? range
    : await searchRanges(device, { domain, scheme, ranges, gram: inputs?.gram }, range);
  const grid = gridFor(domain, scheme, ranges, ratios);
  const nearest = roundToNearest(domain, grid);
  if (!inputs) {
    sums.addWeight(codedValues(nearest), weight.values);
    return nearest;
  }
  const { form, factor } = inputs;
  const attempt = async (coded: CodedWeight): Promise<Attempt> => ({
    weight: coded,
    errors: await rowErrors(device, errorMatrix(weight, coded), form),
  });
  let best = await attempt(nearest);
  if (factor && along) {
    const how = { scheme, ratio: typeof range === "number" ? range : 1, share };
    best = await attempt(await roundGroups(device, factor, weight, how));
  } else if (factor) {
    const attempts: Attempt[] = [];
    for (const grid of gptqGrids(domain, scheme, { ranges, ratios, range })) {
      const coded = await gptqWeight(device, domain, grid, factor);
      attempts.push(await attempt(coded));
      if (!descent) continue;
      const how = { ...descent, gram: inputs.gram };
      const codes = await descend(device, domain, grid, coded.codes, how);
      attempts.push(await attempt(gridWeight(codes, grid)));
    }
    const [first, ...others] = attempts;
    others.forEach((other) => keepBetterRows(first!, other));
    // Rows that share scales are rounded alike.
    if (share === 1) sums.addNearest(keepBetterRows(first!, best));
    best = first!;
  }
  sums.addOutputs(best.errors, await rowErrors(device, weight, form));
  sums.addWeight(codedValues(best.weight), weight.values);
  return best.weight;
}

/** A weight that might be kept, with the squared output error of each row. */
interface Attempt {
  readonly weight: CodedWeight;
  readonly errors: number[];
}

/** Takes over the rows in which `other` errs less; how many they are. */
function keepBetterRows(best: Attempt, other: Attempt): number {
  const { rows } = best.weight;
  const parts = (["codes", "scales", "zeros"] as const).map((part) =>
    [best.weight[part], other.weight[part]] as const
  );
  let better = 0;
  for (let row = 0; row < rows; row++) {
    if (!(other.errors[row]! < best.errors[row]!)) continue;
    for (const [to, from] of parts) {
      if (!to || !from) continue;
      const width = to.length / rows;
      to.set(from.subarray(row * width, (row + 1) * width), row * width);
    }
    best.errors[row] = other.errors[row]!;
    better++;
  }
  return better;
}

/**
 * The grids that GPTQ tries: the one of the ratios found, and those of ratios on the way back to 1,
 * for what rounding to nearest gains by clipping GPTQ may gain without.
 */
function gptqGrids(
  domain: WeightDomain,
  scheme: WeightScheme,
  { ranges, ratios, range }: {
    readonly ranges: GroupRanges;
    readonly ratios: Float32Array | number;
    readonly range: WeightMethod["range"];
  },
): WeightGrid[] {
  if (typeof ratios === "number" || typeof range === "number" || scheme.group === "tensor") {
    return [gridFor(domain, scheme, ranges, ratios)];
  }
  return range.gptq_shares.map((share) =>
    gridFor(domain, scheme, ranges, ratios.map((ratio) => 1 + share * (ratio - 1)))
  );
}

async function gptqWeight(
  device: Device,
  domain: WeightDomain,
  grid: WeightGrid,
  factor: GptqFactor,
): Promise<CodedWeight> {
  const { scales, zeros, zero, low, high, group } = grid;
  const codes = await round(device, factor, {
    weight: domain.values,
    rows: domain.rows,
    scales,
    zeros,
    zero,
    range: [low, high],
    group,
    ...domain.bound !== undefined && { bound: domain.bound },
  });
  return gridWeight(codes, grid);
}

/** The form of each row of a matrix, some rows at a time. */
async function rowErrors(device: Device, matrix: Matrix, form: QuadraticForm): Promise<number[]> {
  const { rows, columns, values } = matrix;
  const height = Math.max(1, Math.floor(device.limits.bindingBytes / (4 * columns)));
  const errors: number[] = [];
  for (let first = 0; first < rows; first += height) {
    const end = Math.min(rows, first + height);
    const part = values.subarray(first * columns, end * columns);
    using error = device.upload(f32([end - first, columns], part), "weight error");
    using sums = form.of(error, columns);
    errors.push(...(await device.read(sums)).data);
  }
  return errors;
}

function errorMatrix({ rows, columns, values }: Matrix, coded: CodedWeight): Matrix {
  const error = codedValues(coded);
  for (let i = 0; i < values.length; i++) error[i]! -= values[i]!;
  return { rows, columns, values: error };
}
