/** Values of little-endian half-precision numbers. */
export function widenF16(bytes: Uint8Array): Float32Array<ArrayBuffer> {
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
export function widenF32(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  return new Float32Array(aligned(bytes, 4), 0, bytes.length / 4);
}

function aligned(bytes: Uint8Array, size: number): ArrayBuffer {
  const whole = bytes.byteOffset === 0 && bytes.byteLength % size === 0;
  return whole && bytes.buffer instanceof ArrayBuffer ? bytes.buffer : bytes.slice().buffer;
}
