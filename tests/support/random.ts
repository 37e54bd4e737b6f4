import type { HostTensor, TensorSpec } from "../../kernels/device/device.ts";
import { elements, f16, f32, u32 } from "../../kernels/device/tensor.ts";

/*
 * Random inputs that are the same in every run: `randomTensor()` and `randomRows()` for what kernels
 * take, `normals()` and `words()` for values one by one, `normalSource()` for millions. Seeds are texts; take one a tensor.
 */

/** What gives words of 32 random bits that are the same for the same seed (Marsaglia's xorshift). */
function wordSource(seed: string): () => number {
  let state = [...seed].reduce((hash, char) => (hash * 31 + char.charCodeAt(0)) | 0, 0x9e3779b9) ||
    1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** What gives normally distributed numbers that are the same for the same seed (Box-Muller). */
export function normalSource(seed: string): () => number {
  const next = wordSource(seed);
  return () => {
    const radius = Math.sqrt(-2 * Math.log(1 - next() / 2 ** 32));
    return radius * Math.cos(2 * Math.PI * next() / 2 ** 32);
  };
}

/** Words of 32 random bits, one after another. */
export function* words(seed: string): Generator<number, never> {
  for (const next = wordSource(seed);;) yield next();
}

/** Normally distributed numbers, one after another. */
export function* normals(seed: string): Generator<number, never> {
  for (const next = normalSource(seed);;) yield next();
}

/** A tensor of normally distributed floats, or of random words. */
export function randomTensor({ dtype, shape }: TensorSpec, seed: string): HostTensor {
  const count = elements(shape);
  if (dtype === "u32" || dtype === "i32") {
    const bits = filled(new Uint32Array(count), wordSource(seed));
    return dtype === "u32" ? u32(shape, bits) : { dtype, shape, data: new Int32Array(bits.buffer) };
  }
  const values = filled(new Float32Array(count), normalSource(seed));
  return dtype === "f16" ? f16(shape, values) : f32(shape, values);
}

/** An array with the next values of a source: test data comes by the million, one call a value. */
function filled<Values extends Float32Array | Uint32Array>(
  values: Values,
  next: () => number,
): Values {
  for (let i = 0; i < values.length; i++) values[i] = next();
  return values;
}

/** Rows of normally distributed floats. */
export function randomRows(count: number, columns: number, seed: string): HostTensor {
  return randomTensor({ dtype: "f32", shape: [count, columns] }, seed);
}
