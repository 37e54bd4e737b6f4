import type { HostTensor, TensorSpec } from "../../kernels/device/device.ts";
import { elements, f16, f32, u32 } from "../../kernels/device/tensor.ts";

/*
 * Random inputs that are the same in every run: `randomTensor()` and `randomRows()` for what kernels
 * take, `normals()` and `words()` for values one by one. Seeds are texts; take one a tensor.
 */

/** Words of 32 random bits that are the same for the same seed (Marsaglia's xorshift). */
export function* words(seed: string): Generator<number, never> {
  let state = [...seed].reduce((hash, char) => (hash * 31 + char.charCodeAt(0)) | 0, 0x9e3779b9) ||
    1;
  for (;;) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    yield state >>> 0;
  }
}

/** Normally distributed numbers that are the same for the same seed (Box-Muller). */
export function* normals(seed: string): Generator<number, never> {
  const source = words(seed);
  const uniform = () => source.next().value / 2 ** 32;
  for (;;) {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    yield radius * Math.cos(2 * Math.PI * uniform());
  }
}

/** A tensor of normally distributed floats, or of random words. */
export function randomTensor({ dtype, shape }: TensorSpec, seed: string): HostTensor {
  if (dtype === "u32" || dtype === "i32") {
    const source = words(seed);
    const bits = Uint32Array.from({ length: elements(shape) }, () => source.next().value);
    return dtype === "u32" ? u32(shape, bits) : { dtype, shape, data: new Int32Array(bits.buffer) };
  }
  const source = normals(seed);
  const values = Float32Array.from({ length: elements(shape) }, () => source.next().value);
  return dtype === "f16" ? f16(shape, values) : f32(shape, values);
}

/** Rows of normally distributed floats. */
export function randomRows(count: number, columns: number, seed: string): HostTensor {
  return randomTensor({ dtype: "f32", shape: [count, columns] }, seed);
}
