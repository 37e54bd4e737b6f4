import { ggmlType, ggmlTypeNumber } from "./ggml_types.ts";

/** Values of a block, in every type that codes can be put into. */
const BLOCK = 32;

/** Types of ggml whose blocks are codes with a scale, and in `Q4_1` a least value. */
export type CodeType = "Q8_0" | "Q4_0" | "Q4_1";

/** Codes with their scales: in `Q4_1` unsigned, from a least value up, else signed. */
export interface GgmlCodes {
  readonly codes: Int8Array | Uint8Array;
  /** Codes that share a scale, a multiple of 32. */
  readonly group: number;
  /** Half-precision numbers, a scale a group. */
  readonly scales: Float16Array;
  /** In `Q4_1`: what is taken from code times scale, a number a group. */
  readonly zeros?: Float16Array;
}

/**
 * The blocks of codes, exactly: block_q8_0, block_q4_0, block_q4_1 of ggml-common.h.
 *
 * The scale of a group stands in each of its blocks. Codes must fit: -8 to 7 in `Q4_0`, 0 to 15 in
 * `Q4_1`.
 */
export function codeBlocks(
  type: CodeType,
  { codes, group, scales, zeros }: GgmlCodes,
): Uint8Array<ArrayBuffer> {
  const blocks = codes.length / BLOCK;
  const size = ggmlType(ggmlTypeNumber(type))!.bytes;
  const out = new Uint8Array(blocks * size);
  const scaleBits = bitsOf(scales);
  const zeroBits = zeros && bitsOf(zeros);
  const per = group / BLOCK;
  const bias = type === "Q4_0" ? 8 : 0;
  for (let block = 0, at = 0, from = 0; block < blocks; block++, at += size, from += BLOCK) {
    const g = Math.floor(block / per);
    const scale = scaleBits[g]!;
    out[at] = scale;
    out[at + 1] = scale >> 8;
    if (type === "Q8_0") {
      for (let i = 0; i < BLOCK; i++) out[at + 2 + i] = codes[from + i]!;
      continue;
    }
    let to = at + 2;
    if (zeroBits) {
      const zero = zeroBits[g]!;
      const least = (zero & 0x7fff) === 0 ? 0 : zero ^ 0x8000;
      out[to++] = least;
      out[to++] = least >> 8;
    }
    for (let i = 0; i < 16; i++) {
      out[to + i] = codes[from + i]! + bias & 15 | codes[from + 16 + i]! + bias << 4;
    }
  }
  return out;
}

/** The codes of blocks, a scale for each 32: the inverse of `codeBlocks()`. */
export function blockCodes(type: CodeType, bytes: Uint8Array): {
  readonly codes: Int8Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;
  readonly scales: Float16Array<ArrayBuffer>;
  readonly zeros?: Float16Array<ArrayBuffer>;
} {
  const size = ggmlType(ggmlTypeNumber(type))!.bytes;
  const blocks = bytes.length / size;
  const codes = new Uint8Array(blocks * BLOCK);
  const scales = new Uint16Array(blocks);
  const zeros = new Uint16Array(type === "Q4_1" ? blocks : 0);
  const bias = type === "Q4_0" ? 8 : 0;
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += size, to += BLOCK) {
    scales[block] = bytes[at]! | bytes[at + 1]! << 8;
    if (type === "Q8_0") {
      codes.set(bytes.subarray(at + 2, at + 2 + BLOCK), to);
      continue;
    }
    let from = at + 2;
    if (type === "Q4_1") {
      const least = bytes[from]! | bytes[from + 1]! << 8;
      zeros[block] = least === 0 ? 0 : least ^ 0x8000;
      from += 2;
    }
    for (let i = 0; i < 16; i++) {
      const pair = bytes[from + i]!;
      codes[to + i] = (pair & 15) - bias;
      codes[to + 16 + i] = (pair >> 4) - bias;
    }
  }
  return {
    codes: type === "Q4_1" ? codes : new Int8Array(codes.buffer),
    scales: new Float16Array(scales.buffer),
    ...type === "Q4_1" && { zeros: new Float16Array(zeros.buffer) },
  };
}

function bitsOf({ buffer, byteOffset, length }: Float16Array): Uint16Array {
  return new Uint16Array(buffer, byteOffset, length);
}
