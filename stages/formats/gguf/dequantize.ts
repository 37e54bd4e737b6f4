import { WIDEN } from "../widen.ts";

/** Values of whole blocks of one type, in order. */
type Dequantize = (bytes: Uint8Array) => Float32Array<ArrayBuffer>;

/** Types whose values can be read, with the function that reads them; blocks as ggml defines them. */
const DEQUANTIZE: Readonly<Record<string, Dequantize>> = {
  ...WIDEN,
  Q8_0: (bytes) => blocks(bytes, { elements: 32, size: 34, block: q8_0 }),
  Q4_0: (bytes) => blocks(bytes, { elements: 32, size: 18, block: q4_0 }),
  Q4_1: (bytes) => blocks(bytes, { elements: 32, size: 20, block: q4_1 }),
  Q4_K: (bytes) => blocks(bytes, { elements: 256, size: 144, block: q4_k }),
  Q6_K: (bytes) => blocks(bytes, { elements: 256, size: 210, block: q6_k }),
};

/** Names of the ggml types whose values can be read. */
export const READABLE: readonly string[] = Object.keys(DEQUANTIZE);

/** Values of whole blocks of a readable ggml type, bit for bit what ggml computes. */
export function dequantizeBlocks(type: string, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const read = DEQUANTIZE[type];
  if (read === undefined) {
    throw new TypeError(`Cannot dequantize ${type}: expected one of ${READABLE.join(", ")}`);
  }
  return read(bytes);
}

/** Where a block lies and where its values go; `halves` are the same bytes as half precision. */
interface Block {
  readonly bytes: Uint8Array;
  readonly halves: Float16Array;
  readonly at: number;
  readonly values: Float32Array;
  readonly to: number;
}

function blocks(
  bytes: Uint8Array,
  { elements, size, block }: {
    readonly elements: number;
    readonly size: number;
    readonly block: (block: Block) => void;
  },
): Float32Array<ArrayBuffer> {
  const own = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  const halves = new Float16Array(own.buffer, own.byteOffset, own.length >> 1);
  const values = new Float32Array(own.length / size * elements);
  for (let at = 0, to = 0; at < own.length; at += size, to += elements) {
    block({ bytes: own, halves, at, values, to });
  }
  return values;
}

function q8_0({ bytes, halves, at, values, to }: Block): void {
  const scale = halves[at >> 1]!;
  for (let i = 0; i < 32; i++) values[to + i] = scale * (bytes[at + 2 + i]! << 24 >> 24);
}

function q4_0({ bytes, halves, at, values, to }: Block): void {
  const scale = halves[at >> 1]!;
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 2 + i]!;
    values[to + i] = scale * ((pair & 15) - 8);
    values[to + 16 + i] = scale * ((pair >> 4) - 8);
  }
}

function q4_1({ bytes, halves, at, values, to }: Block): void {
  const scale = halves[at >> 1]!;
  const least = halves[(at >> 1) + 1]!;
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 4 + i]!;
    values[to + i] = scale * (pair & 15) + least;
    values[to + 16 + i] = scale * (pair >> 4) + least;
  }
}

/**
 * Eight groups of 32, each with a 6-bit scale and a 6-bit minimum in twelve bytes: groups 0-3 have
 * theirs in the low bits of bytes 0-3 and 4-7; groups 4-7 have low nibbles in bytes 8-11 and the
 * two high bits on top of bytes 0-3 and 4-7.
 */
function q4_k({ bytes, halves, at, values, to }: Block): void {
  const scale = halves[at >> 1]!;
  const least = halves[(at >> 1) + 1]!;
  const packed = at + 4;
  for (let group = 0; group < 8; group++) {
    const low = bytes[packed + group % 4]!;
    const high = bytes[packed + 4 + group % 4]!;
    const both = bytes[packed + 4 + group]!;
    const groupScale = scale * (group < 4 ? low & 63 : (both & 15) | low >> 6 << 4);
    const groupLeast = least * (group < 4 ? high & 63 : both >> 4 | high >> 6 << 4);
    const codes = at + 16 + (group >> 1) * 32;
    const shift = group % 2 * 4;
    for (let i = 0; i < 32; i++) {
      values[to + group * 32 + i] = groupScale * (bytes[codes + i]! >> shift & 15) - groupLeast;
    }
  }
}

/**
 * Two halves of 128, each four rows of 32: low nibbles of rows 0 and 1, then high nibbles for rows
 * 2 and 3, are 4 bits of a code; the other two come from the row's pair of bits in `high`. Every
 * 16 values share an 8-bit scale.
 */
function q6_k({ bytes, halves, at, values, to }: Block): void {
  const scale = halves[(at + 208) >> 1]!;
  for (let half = 0; half < 2; half++) {
    for (let row = 0; row < 4; row++) {
      const low = at + half * 64 + row % 2 * 32;
      const high = at + 128 + half * 32;
      const scales = at + 192 + half * 8 + row * 2;
      const out = to + half * 128 + row * 32;
      for (let i = 0; i < 32; i++) {
        const code = (bytes[low + i]! >> (row >> 1) * 4 & 15) |
          (bytes[high + i]! >> row * 2 & 3) << 4;
        const groupScale = bytes[scales + (i >> 4)]! << 24 >> 24;
        values[out + i] = scale * groupScale * (code - 32);
      }
    }
  }
}
