import { bytesOf } from "../formats/half.ts";
import { hadamardFactor } from "../quant/hadamard.ts";
import { rotateVectors, type Rotation, rotationOf, type RotationPlace } from "../quant/rotation.ts";
import type { DecoderConfig } from "../models/config.ts";

/** The rotations of a model, row by row: R1 [hidden, hidden], and R2 [head size, head size] of each layer. */
export interface LearnedRotations {
  readonly residual: Float32Array<ArrayBuffer>;
  readonly heads: readonly Float32Array<ArrayBuffer>[];
}

/** Hadamard matrices, behind random signs where there is a seed: what learning begins with. */
export function firstRotations(
  { hidden, headSize, layers }: RotationSizes,
  seed: number | undefined,
): LearnedRotations {
  const residual = hadamardFactor(hidden, "hidden size");
  const head = hadamardFactor(headSize, "head size");
  const of = (factor: typeof head, place: RotationPlace, layer: number) => {
    const own = seed === undefined ? undefined : (seed + layer) >>> 0;
    return denseRotation(rotationOf(factor, { seed: own, place }));
  };
  return {
    residual: of(residual, "residual", 0),
    heads: Array.from({ length: layers }, (_, layer) => of(head, "head", layer)),
  };
}

/** A rotation as a matrix. */
function denseRotation(rotation: Rotation): Float32Array<ArrayBuffer> {
  const { size } = rotation.factor;
  const rows = new Float32Array(size * size);
  for (let i = 0; i < size; i++) rows[i * size + i] = 1;
  rotateVectors(rows, rotation);
  return rows;
}

/** How far learning is: rotations behind some steps, and the loss before each of them. */
export interface LearningState {
  readonly losses: readonly number[];
  readonly rotations: LearnedRotations;
}

/** Sizes of a model's rotations. */
type RotationSizes = Pick<DecoderConfig, "hidden" | "headSize" | "layers">;

/** Rotations of which only sizes matter, for a device that computes nothing. */
export function noRotations({ layers }: RotationSizes): LearnedRotations {
  return { residual: new Float32Array(0), heads: Array(layers).fill(new Float32Array(0)) };
}

/** Bytes of a state behind so many steps. */
export function stateSize({ hidden, headSize, layers }: RotationSizes, steps: number): number {
  return 8 + 8 * steps + 4 * (hidden ** 2 + layers * headSize ** 2);
}

/** A state as bytes: losses in double precision behind their number, then R1 and all R2. */
export function stateBytes({ losses, rotations }: LearningState): Uint8Array<ArrayBuffer> {
  const parts = [
    new Float64Array([losses.length, ...losses]),
    rotations.residual,
    ...rotations.heads,
  ].map((part) => bytesOf(part));
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The state in bytes, of a model with such rotations; undefined where it cannot be one. */
export function readState(
  bytes: Uint8Array,
  sizes: RotationSizes,
): LearningState | undefined {
  // A copy, since numbers begin at multiples of their size.
  const { buffer } = bytes.slice();
  if (buffer.byteLength < 8) return undefined;
  const [count = 0] = new Float64Array(buffer, 0, 1);
  if (buffer.byteLength !== stateSize(sizes, count)) return undefined;
  let at = 8 + 8 * count;
  const { hidden, headSize, layers } = sizes;
  const next = (size: number) => {
    const values = new Float32Array(buffer, at, size ** 2);
    at += values.byteLength;
    return values;
  };
  return {
    losses: [...new Float64Array(buffer, 8, count)],
    rotations: {
      residual: next(hidden),
      heads: Array.from({ length: layers }, () => next(headSize)),
    },
  };
}
