import type { HostTensor, TensorSpec } from "../kernels/device/device.ts";
import { elements, f16, f32 } from "../kernels/device/tensor.ts";

/** Normally distributed numbers that are the same for the same seed (Marsaglia's xorshift, Box-Muller). */
export function* normals(seed: string): Generator<number, never> {
  let state = [...seed].reduce((hash, char) => (hash * 31 + char.charCodeAt(0)) | 0, 0x9e3779b9) ||
    1;
  const uniform = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  for (;;) {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    yield radius * Math.cos(2 * Math.PI * uniform());
  }
}

/** A tensor of normally distributed floats. */
export function randomTensor({ dtype, shape }: TensorSpec, seed: string): HostTensor {
  const source = normals(seed);
  const values = Float32Array.from({ length: elements(shape) }, () => source.next().value);
  if (dtype === "f16") return f16(shape, values);
  if (dtype === "f32") return f32(shape, values);
  throw new TypeError(`Cannot fill a tensor of ${dtype} at random: expected f16 or f32`);
}
