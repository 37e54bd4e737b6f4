import type { Device } from "../../kernels/device/device.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { addScaled } from "../../kernels/mod.ts";
import { orthonormalRows } from "../quant/orthonormal.ts";
import { Products } from "./products.ts";

/** Fixed-point steps that stand for the inverse in a Cayley transform. */
const TURNS = 5;
const TINY = 1e-8;

/** One step of a square matrix of `size` rows. */
export interface CayleyStep {
  readonly size: number;
  /** What the loss loses by it, like the matrix. */
  readonly gradient: Float32Array<ArrayBuffer>;
  /** Largest step. */
  readonly rate: number;
  /** Whether rows are made orthogonal first, which is now and then done against rounding. */
  readonly retract: boolean;
}

/**
 * Moves an orthogonal matrix along the descent of a loss so that it stays one: Cayley SGD without
 * momentum (Li et al. 2020, algorithm 1), as Liu et al. 2024 (SpinQuant, section 3.2) learn rotations.
 *
 * R's rows have length 1 first. With V = -G^T and B = V R, the direction is the skew matrix A = W - W^T of
 * W = B - R^T (R B) / 2, the step the smaller of `rate` and 1 / |A|_1, the largest sum of a column. From Y = R^T + step V, five
 * times Y = R^T + step A (R^T + Y) / 2, the fixed point of which is the Cayley transform of R^T; Y^T is
 * the new matrix.
 */
export async function cayleyStep(
  device: Device,
  matrix: Float32Array<ArrayBuffer>,
  { size, gradient, rate, retract }: CayleyStep,
): Promise<Float32Array<ArrayBuffer>> {
  const shape = [size, size];
  const unit = unitRows(matrix, size);
  using work = new Products(device);
  const r = work.upload(f32(shape, retract ? orthonormalRows(unit, size) : unit), "rotation");
  const inverse = work.transposed(r);
  const g = work.transposed(work.upload(f32(shape, gradient)));
  // B and W change their signs: both are linear in V.
  const b = work.times(g, inverse);
  const rb = work.times(r, work.transposed(b));
  const w = work.times(inverse, work.transposed(rb));
  device.run(addScaled, { x: w, sum: b }, { factor: -0.5 });
  const skew = skewOf((await device.read(b)).data as Float32Array, size);
  const step = Math.min(rate, 1 / (largestColumn(skew, size) + TINY));
  const a = work.upload(f32(shape, skew));
  const start = await device.read(inverse);
  let y = work.upload(start);
  device.run(addScaled, { x: g, sum: y }, { factor: -step });
  for (let turn = 0; turn < TURNS; turn++) {
    device.run(addScaled, { x: inverse, sum: y }, { factor: 1 });
    const next = work.upload(start);
    const x = work.times(a, work.transposed(y));
    device.run(addScaled, { x, sum: next }, { factor: step / 2 });
    y = next;
  }
  return (await device.read(work.transposed(y))).data as Float32Array<ArrayBuffer>;
}

/** The same with rows of length 1. */
function unitRows(matrix: Float32Array<ArrayBuffer>, size: number): Float32Array<ArrayBuffer> {
  const unit = matrix.slice();
  for (let at = 0; at < unit.length; at += size) {
    let squares = 0;
    for (let c = at; c < at + size; c++) squares += unit[c]! ** 2;
    for (let c = at; c < at + size; c++) unit[c]! /= Math.sqrt(squares) + TINY;
  }
  return unit;
}

/** W - W^T of the negative of W. */
function skewOf(negative: Float32Array, size: number): Float32Array<ArrayBuffer> {
  const skew = new Float32Array(negative.length);
  for (let at = 0; at < skew.length; at++) {
    const [i, j] = [Math.floor(at / size), at % size];
    skew[at] = negative[j * size + i]! - negative[at]!;
  }
  return skew;
}

/** The largest sum of the magnitudes of a column. */
function largestColumn(matrix: Float32Array, size: number): number {
  const sums = new Float64Array(size);
  matrix.forEach((value, at) => sums[at % size]! += Math.abs(value));
  return sums.reduce((a, b) => Math.max(a, b), 0);
}
