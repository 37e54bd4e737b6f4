import type { DType, HostTensor, TensorSpec } from "./device.ts";

const BYTES: Readonly<Record<DType, number>> = { f32: 4, f16: 2, i32: 4, u32: 4 };

const ARRAYS = {
  f32: Float32Array,
  f16: Float16Array,
  i32: Int32Array,
  u32: Uint32Array,
} as const;

/** Number of elements of a shape. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((product, axis) => product * axis, 1);
}

/** Bytes of a tensor without padding. */
export function byteLength({ dtype, shape }: TensorSpec): number {
  return elements(shape) * BYTES[dtype];
}

/** A spec as people write it, such as `f32[2, 64]`. */
export function describe({ dtype, shape }: TensorSpec): string {
  return `${dtype}[${shape.join(", ")}]`;
}

/** A host tensor over a copy of `bytes`, or of zeros. */
export function hostTensor({ dtype, shape }: TensorSpec, bytes?: ArrayBuffer): HostTensor {
  const count = elements(shape);
  const data = bytes ? new ARRAYS[dtype](bytes, 0, count) : new ARRAYS[dtype](count);
  return { dtype, shape, data };
}

/** A host tensor of floats. */
export function f32(shape: readonly number[], values?: Iterable<number>): HostTensor {
  return { dtype: "f32", shape, data: checked(shape, values, Float32Array) };
}

/** A host tensor of half-precision floats; values are rounded to nearest, ties to even. */
export function f16(shape: readonly number[], values?: Iterable<number>): HostTensor {
  return { dtype: "f16", shape, data: checked(shape, values, Float16Array) };
}

/** A host tensor of unsigned integers. */
export function u32(shape: readonly number[], values?: Iterable<number>): HostTensor {
  return { dtype: "u32", shape, data: checked(shape, values, Uint32Array) };
}

/** The same data under another shape. */
export function reshape<T extends TensorSpec>(tensor: T, shape: readonly number[]): T {
  if (elements(shape) !== elements(tensor.shape)) {
    throw new RangeError(
      `Cannot view ${describe(tensor)} as [${shape.join(", ")}]: it has ${
        elements(tensor.shape)
      } elements, expected ${elements(shape)}`,
    );
  }
  return { ...tensor, shape };
}

function checked<A extends Float32Array | Float16Array | Uint32Array>(
  shape: readonly number[],
  values: Iterable<number> | undefined,
  array: { new (count: number): A; from(values: Iterable<number>): A },
): A {
  const count = elements(shape);
  if (values === undefined) return new array(count);
  const data = values instanceof array ? values : array.from(values);
  if (data.length !== count) {
    throw new RangeError(
      `Cannot make a tensor of shape [${
        shape.join(", ")
      }]: got ${data.length} values, expected ${count}`,
    );
  }
  return data;
}
