import { type GgmlBlock, IQ4_VALUES, type ReadBlock } from "./block_values.ts";

/** Types whose blocks have 32 elements, as ggml-common.h lays them out. */
export const SMALL_BLOCKS: Readonly<Record<string, ReadBlock>> = {
  Q8_0: q8_0,
  Q4_0: q4_0,
  Q4_1: q4_1,
  Q5_0: q5_0,
  Q5_1: q5_1,
  IQ4_NL: iq4_nl,
  MXFP4: mxfp4,
};

function q8_0({ bytes, halves, at, values, to }: GgmlBlock): void {
  const scale = halves[at >> 1]!;
  for (let i = 0; i < 32; i++) values[to + i] = scale * (bytes[at + 2 + i]! << 24 >> 24);
}

function q4_0({ bytes, halves, at, values, to }: GgmlBlock): void {
  const scale = halves[at >> 1]!;
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 2 + i]!;
    values[to + i] = scale * ((pair & 15) - 8);
    values[to + 16 + i] = scale * ((pair >> 4) - 8);
  }
}

function q4_1({ bytes, halves, at, values, to }: GgmlBlock): void {
  const scale = halves[at >> 1]!;
  const least = halves[(at >> 1) + 1]!;
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 4 + i]!;
    values[to + i] = scale * (pair & 15) + least;
    values[to + 16 + i] = scale * (pair >> 4) + least;
  }
}

function q5_0({ bytes, halves, at, values, to }: GgmlBlock): void {
  const scale = halves[at >> 1]!;
  const fifth = fifthBits(bytes, at + 2);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 6 + i]!;
    values[to + i] = scale * ((pair & 15 | (fifth >>> i & 1) << 4) - 16);
    values[to + 16 + i] = scale * ((pair >> 4 | (fifth >>> i + 16 & 1) << 4) - 16);
  }
}

function q5_1({ bytes, halves, at, values, to }: GgmlBlock): void {
  const scale = halves[at >> 1]!;
  const least = halves[(at >> 1) + 1]!;
  const fifth = fifthBits(bytes, at + 4);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 8 + i]!;
    values[to + i] = scale * (pair & 15 | (fifth >>> i & 1) << 4) + least;
    values[to + 16 + i] = scale * (pair >> 4 | (fifth >>> i + 16 & 1) << 4) + least;
  }
}

/** The highest bits of 32 codes, that of the first one lowest. */
function fifthBits(bytes: Uint8Array, at: number): number {
  return bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24;
}

function iq4_nl({ bytes, halves, at, values, to }: GgmlBlock): void {
  const scale = halves[at >> 1]!;
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 2 + i]!;
    values[to + i] = scale * IQ4_VALUES[pair & 15]!;
    values[to + 16 + i] = scale * IQ4_VALUES[pair >> 4]!;
  }
}

/** Twice the values of a code of E2M1: `kvalues_mxfp4`. */
const E2M1_VALUES = Int8Array.of(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);

/** One byte is the exponent of the scale (E8M0), halved for what the values are twice of. */
function mxfp4({ bytes, at, values, to }: GgmlBlock): void {
  const scale = 2 ** (bytes[at]! - 128);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 1 + i]!;
    values[to + i] = scale * E2M1_VALUES[pair & 15]!;
    values[to + 16 + i] = scale * E2M1_VALUES[pair >> 4]!;
  }
}
