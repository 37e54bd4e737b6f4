import type { Device } from "../../kernels/device/device.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { hadamardFactor } from "../quant/hadamard.ts";
import {
  keepingMeans,
  rotateVectors,
  type Rotation,
  rotationOf,
  type RotationPlace,
} from "../quant/rotation.ts";
import { singleWeight } from "./weight.ts";

/**
 * How the vectors on one side of a linear changed: first permuted, new[j] = old[index[j]], then
 * multiplied, new[j] * factor[j], then turned, in blocks of each turn's size.
 */
export interface VectorChange {
  readonly index?: Uint32Array<ArrayBuffer>;
  readonly factor?: Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;
  /** Names of turns, the first one first. */
  readonly turns?: readonly string[];
}

/**
 * How a linear's weight changed: `inputs` what became of its rows, which vectors of inputs are multiplied
 * with, `outputs` of its columns.
 */
export interface LinearChange {
  readonly inputs?: VectorChange;
  readonly outputs?: VectorChange;
}

/** Changes of linears, by their names. */
export type LinearChanges = ReadonlyMap<string, LinearChange>;

/** What vectors are multiplied with, from the right: a rotation that can be made anew, or a matrix that is kept. */
export type BasisTurn =
  | {
    readonly size: number;
    /** Of the signs; without one there are none. */
    readonly seed?: number;
    readonly place?: RotationPlace;
    readonly keepsMeans?: true;
  }
  | { readonly size: number; readonly kept: true };

/** How a rotation can be made anew. */
export function turnOf({ factor: { size }, drawn, mirror }: Rotation): BasisTurn {
  return { size, ...drawn, ...mirror && { keepsMeans: true } };
}

/** Turns by their names. */
export type BasisTurns = Readonly<Record<string, BasisTurn>>;

/** Matrices of turns that are kept, f32 [size, size], by their names. */
export type TurnMatrices = ReadonlyMap<string, Float32Array<ArrayBuffer>>;

/** The linears' changes of one step, as its file has them. */
export interface BasisStep {
  readonly turns: BasisTurns;
  readonly linears: LinearChanges;
  readonly matrices: TurnMatrices;
}

/**
 * Takes vectors [rows, size], one behind the other, through what a step did to the side of a linear; in
 * place.
 */
export async function changeVectors(
  device: Device,
  vectors: Float32Array<ArrayBuffer>,
  { index, factor, turns: names = [] }: VectorChange,
  { turns, matrices }: Pick<BasisStep, "turns" | "matrices">,
): Promise<void> {
  const size = index?.length ?? factor?.length ?? 1;
  for (let at = 0; at < vectors.length && (index || factor); at += size) {
    const old = vectors.slice(at, at + size);
    for (let j = 0; j < size; j++) {
      vectors[at + j] = old[index?.[j] ?? j]! * (factor?.[j] ?? 1);
    }
  }
  for (const name of names) await turnVectors(device, vectors, turns[name]!, matrices.get(name));
}

async function turnVectors(
  device: Device,
  vectors: Float32Array<ArrayBuffer>,
  turn: BasisTurn,
  matrix: Float32Array<ArrayBuffer> | undefined,
): Promise<void> {
  const { size } = turn;
  if (!("kept" in turn)) {
    const { seed, place = "residual", keepsMeans } = turn;
    const rotation = rotationOf(hadamardFactor(size), { seed, place });
    return rotateVectors(vectors, keepsMeans ? keepingMeans(rotation) : rotation);
  }
  using weight = await singleWeight(device, turnedOver(matrix!, size), [size, size]);
  using x = device.upload(f32([vectors.length / size, size], vectors));
  using turned = weight.apply(device, x);
  vectors.set((await device.read(turned)).data);
}

/** A matrix of so many columns, turned over. */
export function turnedOver(
  values: Float32Array<ArrayBuffer>,
  columns: number,
): Float32Array<ArrayBuffer> {
  const rows = values.length / columns;
  return Float32Array.from(values, (_, at) => values[at % rows * columns + Math.floor(at / rows)]!);
}
