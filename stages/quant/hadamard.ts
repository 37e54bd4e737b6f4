import type { HostTensor } from "../../kernels/device/device.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { constructionOf, isPowerOfTwo } from "./hadamard/orders.ts";

/** Larger left factors cost more than they spread: each value takes as many additions. */
const MOST_ORDER = 1024;

/**
 * A size as a Hadamard order times a power of two; it stands for the orthogonal matrix
 * kron(L^T, S) / sqrt(size) with S the Sylvester matrix of size / order.
 */
export interface HadamardFactor {
  readonly size: number;
  /** Rows and columns of L; 1 where the size is a power of two. */
  readonly order: number;
  /** The signs of L [order, order], row by row. */
  readonly signs: Int8Array;
}

/** How an array is seen as vectors. */
export interface HadamardAxis {
  /** Values between two neighbours of a vector: 1 for rows, the columns for columns of a matrix. */
  readonly inner?: number;
  /** Whether vectors are multiplied by the transpose, which is the inverse. */
  readonly transposed?: boolean;
}

/** Takes a size apart; throws where no matrix can be constructed, and names `what` and the factor. */
export function hadamardFactor(size: number, what = "size"): HadamardFactor {
  if (!Number.isInteger(size) || size < 1) {
    throw new RangeError(`Cannot rotate ${what} ${size}: expected a positive whole number`);
  }
  if (isPowerOfTwo(size)) return { size, order: 1, signs: Int8Array.of(1) };
  const odd = oddPart(size);
  for (const order of orders(size, odd)) {
    const construct = constructionOf(order);
    if (construct) return { size, order, signs: construct() };
  }
  const twos = Math.log2(size / odd);
  const lack = twos >= 2
    ? `has no Hadamard matrix that we can construct of an order ${odd} * 2^m up to ${MOST_ORDER}`
    : `stands beside ${2 ** twos} only, and Hadamard orders above 2 are multiples of 4`;
  throw new RangeError(
    `Cannot rotate ${what} ${size}: its factor ${odd} ${lack}, expected a size 2^m * k with k one of 1, 12, 20, 28, 36, 44, 52 and so on`,
  );
}

/**
 * Multiplies every vector in place: seen as a row [order, size / order], X becomes
 * L (X S) / sqrt(size), or L^T (X S) / sqrt(size) for the transpose; sums in double precision.
 */
export function applyHadamard(
  values: Float32Array | Float64Array,
  factor: HadamardFactor,
  { inner = 1, transposed = false }: HadamardAxis = {},
): void {
  const { size } = factor;
  const blockSize = size * inner;
  if (values.length % blockSize !== 0) {
    throw new RangeError(
      `Cannot rotate ${values.length} values: expected a multiple of ${size} * ${inner}`,
    );
  }
  const lanes = Math.min(inner, LANES);
  const scratch = { from: new Float64Array(size * lanes), to: new Float64Array(size * lanes) };
  const left = signRows(factor, transposed);
  for (let block = 0; block < values.length; block += blockSize) {
    for (let lane = 0; lane < inner; lane += lanes) {
      const width = Math.min(lanes, inner - lane);
      const start = block + lane;
      for (let i = 0; i < size; i++) {
        for (let w = 0; w < width; w++) {
          scratch.from[i * width + w] = values[start + i * inner + w]!;
        }
      }
      const done = transform(scratch, left, { size, width });
      for (let i = 0; i < size; i++) {
        for (let w = 0; w < width; w++) values[start + i * inner + w] = done[i * width + w]!;
      }
    }
  }
}

/** The transpose of L as the `hadamard` kernel takes it, f32 [order, order]; none for order 1. */
export function leftFactor({ order, signs }: HadamardFactor): HostTensor | undefined {
  if (order === 1) return undefined;
  const transposed = Float32Array.from(
    signs,
    (_, at) => signs[at % order * order + Math.floor(at / order)]!,
  );
  return f32([order, order], transposed);
}

/** Columns carried through a transform together, so that memory is read in runs. */
const LANES = 16;

/** The rows of L or its transpose; none for order 1. */
function signRows({ order, signs }: HadamardFactor, transposed: boolean): Float64Array[] {
  if (order === 1) return [];
  return Array.from({ length: order }, (_, i) =>
    Float64Array.from(
      { length: order },
      (_, j) => signs[transposed ? j * order + i : i * order + j]!,
    ));
}

function transform(
  { from, to }: { readonly from: Float64Array; readonly to: Float64Array },
  left: readonly Float64Array[],
  { size, width }: { readonly size: number; readonly width: number },
): Float64Array {
  const length = size * width;
  const run = length / Math.max(1, left.length);
  sylvester(from, length, { run, width, scale: 1 / Math.sqrt(size) });
  left.forEach((signs, i) => mixRuns(from, signs, { to, at: i * run, run }));
  return left.length === 0 ? from : to;
}

/**
 * Sums of runs times signs, run after run, `run` values from `at`: some at a time, which stay in
 * registers.
 */
function mixRuns(
  from: Float64Array,
  signs: Float64Array,
  { to, at, run }: { readonly to: Float64Array; readonly at: number; readonly run: number },
): void {
  let c = 0;
  for (; c + 4 <= run; c += 4) {
    let [s0, s1, s2, s3] = [0, 0, 0, 0];
    for (let j = 0, source = c; j < signs.length; j++, source += run) {
      const sign = signs[j]!;
      s0 += sign * from[source]!;
      s1 += sign * from[source + 1]!;
      s2 += sign * from[source + 2]!;
      s3 += sign * from[source + 3]!;
    }
    to[at + c] = s0;
    to[at + c + 1] = s1;
    to[at + c + 2] = s2;
    to[at + c + 3] = s3;
  }
  for (; c < run; c++) {
    let sum = 0;
    for (let j = 0, source = c; j < signs.length; j++, source += run) {
      sum += signs[j]! * from[source]!;
    }
    to[at + c] = sum;
  }
}

/** The fast Walsh-Hadamard transform of consecutive runs of run / width entries each. */
function sylvester(
  values: Float64Array,
  length: number,
  { run, width, scale }: { readonly run: number; readonly width: number; readonly scale: number },
): void {
  for (let at = 0; at < length; at++) values[at]! *= scale;
  for (let half = width; half < run; half *= 2) {
    for (let first = 0; first < length; first += 2 * half) {
      for (let at = first; at < first + half; at++) {
        const [a, b] = [values[at]!, values[at + half]!];
        values[at] = a + b;
        values[at + half] = a - b;
      }
    }
  }
}

/** Orders of left factors to try for a size, the wanted ones first. */
function orders(size: number, odd: number): number[] {
  const all: number[] = [];
  for (let order = 4 * odd; order <= MOST_ORDER && size % order === 0; order *= 2) all.push(order);
  // deepcompressor and QuaRot take 40 before 20.
  return odd === 5 && all.length > 1 ? [40, ...all.filter((order) => order !== 40)] : all;
}

function oddPart(size: number): number {
  let odd = size;
  while (odd % 2 === 0) odd /= 2;
  return odd;
}
