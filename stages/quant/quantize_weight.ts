import { z } from "zod";
import type { Device } from "../../kernels/device/device.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { type GptqFactor, round } from "./gptq.ts";
import { QuadraticForm } from "./quadratic_form.ts";
import { type RangeSearch, searchRanges } from "./range_search.ts";
import type { WeightScheme } from "./schemes.ts";
import {
  dequantize,
  domainOf,
  gridFor,
  type Matrix,
  measureGroups,
  roundToNearest,
  type WeightDomain,
  type WeightGrid,
} from "./weight_grid.ts";

/** How codes are found: by rounding to nearest, or by GPTQ. */
export const roundingMethod = z.enum(["rtn", "gptq"]);

/** How one weight is quantized. */
export interface WeightRecipe {
  readonly scheme: WeightScheme;
  /** Ranges are searched, or all multiplied by one ratio. */
  readonly range: RangeSearch | number;
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

/** Codes of a weight, and what they cost. */
export interface QuantizedWeight {
  readonly codes: Int16Array<ArrayBuffer>;
  readonly grid: WeightGrid;
  /** Squared error relative to the weight. */
  readonly weightError: number;
  /** Squared error of the outputs relative to the outputs. */
  readonly outputError?: number;
  /** Rows that rounding to nearest served better than GPTQ. */
  readonly rtnRows?: number;
}

/**
 * Quantizes one weight: measures or searches the ranges of its groups, then finds its codes.
 *
 * GPTQ is greedy, so that a row may come out worse than rounded to nearest, by the error of its
 * outputs; such a row is rounded to nearest.
 */
export async function quantizeWeight(
  device: Device,
  weight: Matrix,
  { scheme, range }: WeightRecipe,
  inputs: InputFacts | undefined,
): Promise<QuantizedWeight> {
  const domain = domainOf(weight, scheme);
  const ranges = measureGroups(domain, scheme);
  const ratios = typeof range === "number"
    ? range
    : await searchRanges(device, { domain, scheme, ranges, gram: inputs?.gram }, range);
  const grid = gridFor(domain, scheme, ranges, ratios);
  const nearest = roundToNearest(domain, grid);
  const error = relativeError(dequantize(nearest, grid), weight.values);
  if (!inputs) return { codes: nearest, grid, weightError: error };
  const { form } = inputs;
  const outputs = total(await rowErrors(device, weight, form));
  const ofNearest = await rowErrors(device, errorMatrix(weight, nearest, grid), form);
  if (!inputs.factor) {
    const outputError = ratio(total(ofNearest), outputs);
    return { codes: nearest, grid, weightError: error, outputError };
  }
  const codes = await gptqCodes(device, domain, grid, inputs.factor);
  const ofGptq = await rowErrors(device, errorMatrix(weight, codes, grid), form);
  let rtnRows = 0;
  for (let row = 0; row < weight.rows; row++) {
    if (ofGptq[row]! <= ofNearest[row]!) continue;
    const [start, end] = [row * weight.columns, (row + 1) * weight.columns];
    codes.set(nearest.subarray(start, end), start);
    ofGptq[row] = ofNearest[row]!;
    rtnRows++;
  }
  return {
    codes,
    grid,
    weightError: relativeError(dequantize(codes, grid), weight.values),
    outputError: ratio(total(ofGptq), outputs),
    rtnRows,
  };
}

async function gptqCodes(
  device: Device,
  domain: WeightDomain,
  { scales, zeros, zero, low, high, group }: WeightGrid,
  factor: GptqFactor,
): Promise<Int16Array<ArrayBuffer>> {
  const codes = await round(device, factor, {
    weight: domain.values,
    scales,
    zeros,
    zero,
    range: [low, high],
    group,
    ...domain.bound !== undefined && { bound: domain.bound },
  });
  return codes as Int16Array<ArrayBuffer>;
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

function errorMatrix({ rows, columns, values }: Matrix, codes: Int16Array, grid: WeightGrid) {
  const error = dequantize(codes, grid);
  values.forEach((value, i) => error[i]! -= value);
  return { rows, columns, values: error };
}

function relativeError(got: Float32Array, expected: Float32Array): number {
  let [error, size] = [0, 0];
  expected.forEach((value, i) => {
    error += (got[i]! - value) ** 2;
    size += value ** 2;
  });
  return ratio(error, size);
}

function ratio(error: number, size: number): number {
  return size === 0 ? 0 : error / size;
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
