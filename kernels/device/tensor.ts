/** Element type in device memory. Codes below 32 bits travel packed in `u32`, `f16` two to a word. */
export type DType = "f32" | "f16" | "i32" | "u32";

/** What a tensor is, without its data. Row-major, outermost axis first. */
export interface TensorSpec {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** A tensor you may read but do not own. Kernels take these. */
export interface TensorRef extends TensorSpec {
  /** The same memory under another shape with equally many elements. */
  view(shape: readonly number[]): TensorRef;
}

/** A tensor you own: bind it with `using`, or return it to someone who will. */
export interface Tensor extends TensorRef, Disposable {}

/** A tensor in host memory: what references compute on and `read` returns. */
export interface HostTensor extends TensorSpec {
  readonly data: Float32Array | Float16Array | Int32Array | Uint32Array;
}

const BYTES: Readonly<Record<DType, number>> = { f32: 4, f16: 2, i32: 4, u32: 4 };

const ARRAYS = {
  f32: Float32Array,
  f16: Float16Array,
  i32: Int32Array,
  u32: Uint32Array,
} as const;

const NO_VALUES = {
  f32: new Float32Array(0),
  f16: new Float16Array(0),
  i32: new Int32Array(0),
  u32: new Uint32Array(0),
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

/** A host tensor whose values are made when somebody looks at them. */
export function lazyTensor(
  { dtype, shape }: TensorSpec,
  make: () => HostTensor["data"],
): HostTensor {
  let made: HostTensor["data"] | undefined;
  return {
    dtype,
    shape,
    get data() {
      return made ??= make();
    },
  };
}

/** A host tensor of zeros, which are made when somebody looks at them. */
export function zeros(spec: TensorSpec): HostTensor {
  return lazyTensor(spec, () => hostTensor(spec).data);
}

/** A tensor of which type and shape are known but no value, for a device that computes nothing. */
export function withoutValues({ dtype, shape }: TensorSpec): HostTensor {
  return { dtype, shape, data: NO_VALUES[dtype] };
}

/** Throws where a tensor has fewer values than its shape says. */
export function assertValues(host: HostTensor): void {
  if (host.data.length >= elements(host.shape)) return;
  throw new RangeError(
    `Cannot use ${describe(host)}: it has ${host.data.length} values, expected ${
      elements(host.shape)
    }`,
  );
}

/** A host tensor of floats; like those below without values if there are none. */
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
  if (data.length !== count && data.length > 0) {
    throw new RangeError(
      `Cannot make a tensor of shape [${
        shape.join(", ")
      }]: got ${data.length} values, expected ${count}`,
    );
  }
  return data;
}

/** Thrown where a tensor has more bytes than a launch can see of one; what asks for less may do. */
export class TensorTooLarge extends RangeError {
  override readonly name = "TensorTooLarge";
}
