/** How the floating-point types that models come in are widened. */
export const WIDEN: Readonly<Record<string, (bytes: Uint8Array) => Float32Array<ArrayBuffer>>> = {
  F32: widenF32,
  F16: widenF16,
  BF16: widenBf16,
};

/** How 8-bit floats are widened; scales lie beside them. */
export const FLOAT8: typeof WIDEN = { F8_E4M3: widenE4m3, F8_E5M2: widenE5m2 };

/** Values of a tensor by its type; throws for one that is not among `known`. */
export function widenTensor(
  bytes: Uint8Array,
  { name, dtype, file }: { readonly name: string; readonly dtype: string; readonly file: string },
  known = WIDEN,
): Float32Array<ArrayBuffer> {
  const widen = known[dtype];
  if (widen) return widen(bytes);
  throw new TypeError(
    `Cannot read tensor "${name}" of "${file}": its dtype is ${dtype}, expected one of ${
      Object.keys(known).join(", ")
    }`,
  );
}

/** Values of little-endian half-precision numbers. */
function widenF16(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const halves = new Float16Array(aligned(bytes, 2), 0, bytes.length / 2);
  const values = new Float32Array(halves.length);
  for (let i = 0; i < values.length; i++) values[i] = halves[i]!;
  return values;
}

/** Values of little-endian bfloat16 numbers, the upper halves of single-precision ones. */
export function widenBf16(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const halves = new Uint16Array(aligned(bytes, 2), 0, bytes.length / 2);
  const words = new Uint32Array(halves.length);
  for (let i = 0; i < words.length; i++) words[i] = halves[i]! << 16;
  return new Float32Array(words.buffer);
}

/** Values of little-endian single-precision numbers; shares their memory where it can. */
function widenF32(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  return new Float32Array(aligned(bytes, 4), 0, bytes.length / 4);
}

function aligned(bytes: Uint8Array, size: number): ArrayBuffer {
  const whole = bytes.byteOffset === 0 && bytes.byteLength % size === 0;
  return whole && bytes.buffer instanceof ArrayBuffer ? bytes.buffer : bytes.slice().buffer;
}

/** Values of E4M3 by their codes. */
const E4M3 = Float32Array.from({ length: 256 }, (_, code) => {
  const [exponent, fraction] = [code >> 3 & 15, code & 7];
  if ((code & 127) === 127) return NaN;
  const size = exponent === 0 ? fraction * 2 ** -9 : (8 + fraction) * 2 ** (exponent - 10);
  return code > 127 ? -size : size;
});

/**
 * Values of E4M3 as PyTorch has it (`float8_e4m3fn`): an exponent less 7, no infinities, NaN where all
 * bits but the sign are set. Micikevicius et al., "FP8 Formats for Deep Learning" (2022), section 3.
 */
function widenE4m3(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(bytes.length);
  for (let i = 0; i < values.length; i++) values[i] = E4M3[bytes[i]!]!;
  return values;
}

/** Values of E5M2, the upper bytes of half-precision numbers. */
function widenE5m2(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const halves = new Uint8Array(2 * bytes.length);
  for (let i = 0; i < bytes.length; i++) halves[2 * i + 1] = bytes[i]!;
  return widenF16(halves);
}
