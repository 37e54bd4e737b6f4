const LARGEST_HALF = 65504;

/** Values in half precision; throws a `RangeError` that names the tensor where one is too large. */
export function toHalf(values: Float32Array, name: string, file: string): Float16Array {
  let at = 0;
  while (at < values.length && !(Math.abs(values[at]!) > LARGEST_HALF)) at++;
  if (at === values.length) return new Float16Array(values);
  throw new RangeError(
    `Cannot keep tensor "${name}" of ${file} in half precision: a value is ${
      values[at]
    }, expected at most ${LARGEST_HALF}; set dtype to float32 where it is loaded`,
  );
}

/** The bytes of values of a stored element type, `F16` or `F32`. */
export function storedBytes(
  values: Float32Array,
  { name, dtype, file }: { readonly name: string; readonly dtype: string; readonly file: string },
): Uint8Array {
  return bytesOf(dtype === "F16" ? toHalf(values, name, file) : values);
}

/** Floating-point element types by their names in manifests and in PyTorch. */
export const DTYPES = { float16: "F16", bfloat16: "BF16", float32: "F32" } as const;

/** The bytes of values of a floating-point element type, rounded to nearest with ties to even. */
export function denseBytes(
  values: Float32Array<ArrayBuffer>,
  place: { readonly name: string; readonly dtype: string; readonly file: string },
): Uint8Array {
  return place.dtype === "BF16" ? bytesOf(toBrain(values)) : storedBytes(values, place);
}

/** Finite values as bfloat16: the upper halves of their single-precision bits, rounded. */
export function toBrain(values: Float32Array<ArrayBuffer>): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(words.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    halves[i] = word + 0x7fff + (word >>> 16 & 1) >>> 16;
  }
  return halves;
}

/** All values of some arrays, one array after another. */
export function joined(parts: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The memory of a typed array as bytes. */
export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}
