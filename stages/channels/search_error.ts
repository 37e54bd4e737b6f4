import { heldBits } from "../../kernels/codes/integer_codes.ts";
import { floatLayout } from "../../kernels/codes/layout.ts";
import { codeOf, INPUT_CODES, scaleOf, valueOf } from "../../kernels/codes/quantizer.ts";
import type { Device, TensorRef } from "../../kernels/device/device.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { matmul, matmulCodes } from "../../kernels/mod.ts";
import { plainRows } from "../quant/coded_weight.ts";
import { groupColumns, type WeightScheme } from "../quant/schemes.ts";
import { packWeight } from "../quant/stored_weight.ts";
import { gridOf, type Matrix, roundToNearest } from "../quant/weight_grid.ts";

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
    const scale = scaleOf(largest, INPUT_CODES.high, "f16");
    const to = quantized.subarray(row * columns, (row + 1) * columns);
    for (let c = 0; c < columns; c++) {
      to[c] = valueOf(codeOf(from[c]!, scale, 0, INPUT_CODES), scale, 0, "none");
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
  const plain = plainRows(roundToNearest(domain, grid));
  const { codes, groups } = floatLayout(packWeight(plain));
  const { bits, zero } = plain.scheme;
  const group = groupColumns(plain.scheme, columns);
  using x = device.upload(f32([inputs.rows, inputs.columns], inputs.values));
  using weight = device.upload(u32([rows, codes.length / rows], codes));
  using grouped = device.upload(u32([rows, columns / group], groups));
  using y = device.empty({ dtype: "f32", shape: [inputs.rows, rows] });
  const options = { bits: heldBits(bits), zero, group };
  device.run(matmulCodes, { x, weight, groups: grouped, y }, options);
  return await floats(device, y);
}

async function floats(device: Device, tensor: TensorRef): Promise<Float32Array<ArrayBuffer>> {
  return (await device.read(tensor)).data as Float32Array<ArrayBuffer>;
}
