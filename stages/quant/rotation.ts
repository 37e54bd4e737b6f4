import { scramble } from "./counter_hash.ts";
import { applyHadamard, type HadamardFactor } from "./hadamard.ts";

/**
 * An orthogonal matrix R = diag(signs) kron(L^T, S) / sqrt(size); without signs their diagonal is 1. One
 * that keeps means is P R, with P the reflection that makes all of (1, ..., 1) stay.
 */
export interface Rotation {
  readonly factor: HadamardFactor;
  /** The unit vector across which vectors are reflected first. */
  readonly mirror?: Float64Array;
  /** 1 or -1 for each of the factor's `size` channels. */
  readonly signs?: Int8Array;
  /** What they were drawn from. */
  readonly drawn?: { readonly seed: number; readonly place: RotationPlace };
}

/** What is rotated: the residual stream, or the channels of each head. */
export type RotationPlace = "residual" | "head";

/**
 * A rotation of a factor's size: the same for everybody without a seed, else behind signs drawn
 * from the seed. Different places have unrelated signs.
 */
export function rotationOf(
  factor: HadamardFactor,
  { seed, place }: { readonly seed: number | undefined; readonly place: RotationPlace },
): Rotation {
  if (seed === undefined) return { factor };
  return { factor, signs: randomSigns(factor.size, seed, place), drawn: { seed, place } };
}

/**
 * A rotation like another after which every vector has the mean that it had: what takes means away
 * commutes with it.
 *
 * R maps the unit vector u of equal values to v = R u; reflecting v onto u before R leaves u where it is.
 */
export function keepingMeans({ factor, signs, drawn }: Rotation): Rotation {
  const { size } = factor;
  const u = 1 / Math.sqrt(size);
  const image = new Float64Array(size).fill(u);
  applyHadamard(image, factor, { transposed: true });
  const across = image.map((value, i) => value * (signs?.[i] ?? 1) - u);
  const length = Math.hypot(...across);
  const turned = { factor, ...signs && { signs }, ...drawn && { drawn } };
  // A rotation that leaves u where it is needs no mirror.
  return length < 1e-9 ? turned : { ...turned, mirror: across.map((value) => value / length) };
}

/**
 * Turns each vector v of an array into v R, in place, in double precision.
 *
 * With `inner` 1 the vectors are consecutive values, so a matrix W becomes W R; with the columns of
 * a matrix as `inner` they run down its columns, so W becomes R^T W, block by block of R's size.
 */
export function rotateVectors(values: Float32Array, rotation: Rotation, inner = 1): void {
  reflect(values, rotation, inner);
  flip(values, rotation, inner);
  applyHadamard(values, rotation.factor, { inner });
}

/** Takes from each vector twice its part along the mirror's. */
function reflect(
  values: Float32Array,
  { factor: { size }, mirror }: Rotation,
  inner: number,
): void {
  if (!mirror) return;
  const along = new Float64Array(inner);
  for (let block = 0; block < values.length; block += size * inner) {
    along.fill(0);
    for (let i = 0; i < size; i++) {
      for (let w = 0; w < inner; w++) along[w]! += values[block + i * inner + w]! * mirror[i]!;
    }
    for (let i = 0; i < size; i++) {
      for (let w = 0; w < inner; w++) values[block + i * inner + w]! -= 2 * along[w]! * mirror[i]!;
    }
  }
}

function flip(values: Float32Array, { factor, signs }: Rotation, inner: number): void {
  if (!signs) return;
  for (let start = 0, i = 0; start < values.length; start += inner, i = (i + 1) % factor.size) {
    if (signs[i] === 1) continue;
    for (let at = start; at < start + inner; at++) values[at] = -values[at]!;
  }
}

const STREAMS: Readonly<Record<RotationPlace, number>> = { residual: 1, head: 2 };

/** Signs by counter, so that each depends on the seed, the place and its index alone. */
function randomSigns(size: number, seed: number, place: RotationPlace): Int8Array {
  const stream = scramble(scramble(seed) + STREAMS[place]);
  return Int8Array.from({ length: size }, (_, i) => scramble(stream ^ scramble(i)) >>> 31 ? -1 : 1);
}
