import type { Device, TensorRef } from "../../kernels/device/device.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { matmul, matmulCodes } from "../../kernels/mod.ts";
import { scaleOf, valueOf } from "../../kernels/codes/quantizer.ts";
import { clamp, roundEven } from "../../kernels/codes/round_even.ts";
import { packCodes } from "../quant/packed.ts";
import type { WeightScheme } from "../quant/schemes.ts";
import { gridOf, type Matrix, roundToNearest, type WeightGrid } from "../quant/weight_grid.ts";

const MOST_INPUT_CODE = 127;
/** Most bytes of changed inputs kept from one weight to the next. */
const KEPT_BYTES = 2 ** 28;

/**
 * A change of the channels between an activation and its linears that keeps their product: inputs
 * become x[index[j]] / scale[j], columns of the weight w[index[j]] * scale[j].
 */
export interface ChannelMap {
  readonly index?: Uint32Array<ArrayBuffer>;
  readonly scale?: Float32Array<ArrayBuffer>;
}

/** What a search quantizes. */
export interface SearchPrecision {
  readonly weights: WeightScheme;
  /** Whether inputs are 8-bit codes with a scale a token. */
  readonly quantizeInputs: boolean;
}

/**
 * Errors of linears that share their inputs, under candidate channel maps: for each, the sum over
 * inputs and outputs of (Q(x') Q(W')^T - x W^T)^2, with weights rounded to the nearest code.
 *
 * `weights` are the linears, or pieces of their rows, one after another.
 */
export async function outputErrors(
  device: Device,
  { inputs, weights, maps, precision, signal }: {
    readonly inputs: Matrix;
    readonly weights: AsyncIterable<Matrix>;
    readonly maps: readonly ChannelMap[];
    readonly precision: SearchPrecision;
    readonly signal: AbortSignal;
  },
): Promise<Float64Array<ArrayBuffer>> {
  const errors = new Float64Array(maps.length);
  const kept: Matrix[] = [];
  const keep = maps.length * inputs.values.byteLength <= KEPT_BYTES;
  const given = (i: number): Matrix => {
    if (kept[i]) return kept[i];
    const x = mapInputs(inputs, maps[i]!);
    const made = precision.quantizeInputs ? quantizeTokens(x) : x;
    if (keep) kept[i] = made;
    return made;
  };
  for await (const weight of weights) {
    const expected = await product(device, inputs, weight);
    for (const [i, map] of maps.entries()) {
      signal.throwIfAborted();
      const changed = mapColumns(weight, map);
      const got = await codedProduct(device, given(i), changed, precision.weights);
      errors[i]! += squaredDistance(got, expected);
    }
  }
  return errors;
}

/** Sum of squared differences. */
export function squaredDistance(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum;
}

/** The matrix by signed 8-bit codes with one f16 scale a row, as values. */
function quantizeTokens({ rows, columns, values }: Matrix): Matrix {
  const quantized = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const from = values.subarray(row * columns, (row + 1) * columns);
    let largest = 0;
    for (let c = 0; c < columns; c++) largest = Math.max(largest, Math.abs(from[c]!));
    const scale = scaleOf(largest, MOST_INPUT_CODE, "f16");
    const to = quantized.subarray(row * columns, (row + 1) * columns);
    for (let c = 0; c < columns; c++) {
      const code = roundEven(Math.fround(from[c]! / scale));
      to[c] = clamp(code, -MOST_INPUT_CODE, MOST_INPUT_CODE) * scale;
    }
  }
  return { rows, columns, values: quantized };
}

function mapInputs(x: Matrix, { index, scale }: ChannelMap): Matrix {
  return mapped(x, index, scale && Float64Array.from(scale, (factor) => 1 / factor));
}

function mapColumns(weight: Matrix, { index, scale }: ChannelMap): Matrix {
  return mapped(weight, index, scale && Float64Array.from(scale));
}

function mapped(
  { rows, columns, values }: Matrix,
  index: Uint32Array | undefined,
  factor: Float64Array | undefined,
): Matrix {
  const changed = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const at = row * columns;
    for (let c = 0; c < columns; c++) {
      changed[at + c] = values[at + (index ? index[c]! : c)]! * (factor ? factor[c]! : 1);
    }
  }
  return { rows, columns, values: changed };
}

async function product(
  device: Device,
  inputs: Matrix,
  matrix: Matrix,
): Promise<Float32Array<ArrayBuffer>> {
  using x = device.upload(f32([inputs.rows, inputs.columns], inputs.values));
  using weight = device.upload(f32([matrix.rows, matrix.columns], matrix.values));
  using y = device.empty({ dtype: "f32", shape: [inputs.rows, matrix.rows] });
  device.run(matmul, { x, weight, y }, {});
  return await floats(device, y);
}

/** The product with a weight rounded to the nearest codes; the kernel expands them exactly. */
async function codedProduct(
  device: Device,
  inputs: Matrix,
  matrix: Matrix,
  scheme: WeightScheme,
): Promise<Float32Array<ArrayBuffer>> {
  const { rows, columns } = matrix;
  const { domain, grid } = gridOf(matrix, scheme);
  const { codes, bits, zero, group, scales, zeros } = plainCodes(
    roundToNearest(domain, grid),
    grid,
    scheme,
  );
  const words = packCodes(codes, bits);
  using x = device.upload(f32([inputs.rows, inputs.columns], inputs.values));
  using weight = device.upload(u32([rows, words.length / rows], words));
  using groups = device.upload(u32([rows, columns / group], halves(scales, zeros)));
  using y = device.empty({ dtype: "f32", shape: [inputs.rows, rows] });
  device.run(matmulCodes, { x, weight, groups, y }, { bits, zero, group });
  return await floats(device, y);
}

/** Codes of one level: those of two levels become the 8-bit integers they stand for. */
function plainCodes(codes: Int16Array<ArrayBuffer>, grid: WeightGrid, scheme: WeightScheme) {
  const { columns, group, scales, zeros, rowScales } = grid;
  const bits = scheme.bits === 8 ? 8 as const : 4 as const;
  if (!rowScales) return { codes, bits, zero: scheme.zero, group, scales, zeros };
  const integers = codes.map((code, at) => {
    const place = Math.floor(at / group);
    return valueOf(code, scales[place]!, zeros[place]!, scheme.zero);
  });
  const none = new Float32Array(rowScales.length);
  return {
    codes: integers,
    bits: 8 as const,
    zero: "none" as const,
    group: columns,
    scales: rowScales,
    zeros: none,
  };
}

/** Scales in the low and zeros in the high halves of words, both f16-valued. */
function halves(scales: Float32Array, zeros: Float32Array): Uint32Array<ArrayBuffer> {
  const pairs = new Float16Array(2 * scales.length);
  for (let at = 0; at < scales.length; at++) {
    pairs[2 * at] = scales[at]!;
    pairs[2 * at + 1] = zeros[at]!;
  }
  return new Uint32Array(pairs.buffer);
}

async function floats(device: Device, tensor: TensorRef): Promise<Float32Array<ArrayBuffer>> {
  return (await device.read(tensor)).data as Float32Array<ArrayBuffer>;
}
