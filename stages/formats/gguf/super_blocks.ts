import { type GgmlBlock, IQ4_VALUES, type ReadBlock } from "./block_values.ts";

/** Types whose blocks have 256 elements in groups with scales of their own, as ggml-common.h lays them out. */
export const SUPER_BLOCKS: Readonly<Record<string, ReadBlock>> = {
  Q2_K: q2_k,
  Q3_K: q3_k,
  Q4_K: q4_k,
  Q5_K: q5_k,
  Q6_K: q6_k,
  IQ4_XS: iq4_xs,
};

/**
 * Sixteen groups of 16, each with a 4-bit scale and a 4-bit minimum in a byte. Two halves of 128 have
 * four rows of 32 each; a row's codes are one pair of bits of the half's 32 bytes.
 */
function q2_k({ bytes, halves, at, values, to }: GgmlBlock): void {
  const scale = halves[(at + 80) >> 1]!;
  const least = halves[(at + 82) >> 1]!;
  for (let group = 0; group < 16; group++) {
    const both = bytes[at + group]!;
    const groupScale = scale * (both & 15);
    const groupLeast = least * (both >> 4);
    const { codes, shift } = pairsOf(group);
    for (let i = 0; i < 16; i++) {
      const code = bytes[at + 16 + codes + i]! >> shift & 3;
      values[to + group * 16 + i] = groupScale * code - groupLeast;
    }
  }
}

/**
 * Groups and pairs of bits as in `Q2_K`. A third bit comes from a byte for each column of 32, a bit for
 * each row of both halves; where it is not set, 4 is taken away. Scales are of 6 bits less 32: low
 * nibbles of the first eight, then of the others, in bytes 0-7, and two high bits in bytes 8-11.
 */
function q3_k({ bytes, halves, at, values, to }: GgmlBlock): void {
  const scale = halves[(at + 108) >> 1]!;
  const packed = at + 96;
  for (let group = 0; group < 16; group++) {
    const low = bytes[packed + group % 8]! >> (group >> 3) * 4 & 15;
    const high = bytes[packed + 8 + group % 4]! >> (group >> 2) * 2 & 3;
    const groupScale = scale * ((low | high << 4) - 32);
    const { codes, shift, column, row } = pairsOf(group);
    for (let i = 0; i < 16; i++) {
      const third = bytes[at + column + i]! >> row & 1;
      const code = (bytes[at + 32 + codes + i]! >> shift & 3) - (third === 1 ? 0 : 4);
      values[to + group * 16 + i] = groupScale * code;
    }
  }
}

/** Where the pairs of bits of a group of 16 begin, and its column of 32 and row of 8. */
function pairsOf(group: number) {
  const [half, row, column] = [group >> 3, group >> 1 & 3, (group & 1) * 16];
  return { codes: half * 32 + column, shift: row * 2, column, row: half * 4 + row };
}

/** Eight groups of 32; groups 2n and 2n + 1 are the low and the high nibbles of 32 bytes. */
function q4_k(block: GgmlBlock): void {
  const { bytes, at, values, to } = block;
  for (let group = 0; group < 8; group++) {
    const { scale, least } = sixBits(block, group);
    const codes = at + 16 + (group >> 1) * 32;
    const shift = group % 2 * 4;
    for (let i = 0; i < 32; i++) {
      values[to + group * 32 + i] = scale * (bytes[codes + i]! >> shift & 15) - least;
    }
  }
}

/** As `Q4_K`, with a fifth bit in a byte for each column of 32, a bit for each group. */
function q5_k(block: GgmlBlock): void {
  const { bytes, at, values, to } = block;
  for (let group = 0; group < 8; group++) {
    const { scale, least } = sixBits(block, group);
    const codes = at + 48 + (group >> 1) * 32;
    const shift = group % 2 * 4;
    for (let i = 0; i < 32; i++) {
      const fifth = bytes[at + 16 + i]! >> group & 1;
      const code = bytes[codes + i]! >> shift & 15 | fifth << 4;
      values[to + group * 32 + i] = scale * code - least;
    }
  }
}

/**
 * Scale and minimum of a group of `Q4_K` and `Q5_K`, of 6 bits each in twelve bytes: groups 0-3 have
 * theirs in the low bits of bytes 0-3 and 4-7; groups 4-7 have low nibbles in bytes 8-11 and the two
 * high bits on top of bytes 0-3 and 4-7.
 */
function sixBits({ bytes, halves, at }: GgmlBlock, group: number) {
  const packed = at + 4;
  const low = bytes[packed + group % 4]!;
  const high = bytes[packed + 4 + group % 4]!;
  const both = bytes[packed + 4 + group]!;
  return {
    scale: halves[at >> 1]! * (group < 4 ? low & 63 : (both & 15) | low >> 6 << 4),
    least: halves[(at >> 1) + 1]! * (group < 4 ? high & 63 : both >> 4 | high >> 6 << 4),
  };
}

/**
 * Two halves of 128, each four rows of 32: low nibbles of rows 0 and 1, then high nibbles for rows
 * 2 and 3, are 4 bits of a code; the other two come from the row's pair of bits in `high`. Every
 * 16 values share an 8-bit scale.
 */
function q6_k({ bytes, halves, at, values, to }: GgmlBlock): void {
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

/** Eight groups of 32 in blocks as `IQ4_NL` has them; scales are of 6 bits less 32, 4 and 2 apart. */
function iq4_xs({ bytes, halves, at, values, to }: GgmlBlock): void {
  const scale = halves[at >> 1]!;
  for (let group = 0; group < 8; group++) {
    const low = bytes[at + 4 + (group >> 1)]! >> group % 2 * 4 & 15;
    const high = bytes[at + 2 + (group >> 2)]! >> group % 4 * 2 & 3;
    const groupScale = scale * ((low | high << 4) - 32);
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 8 + group * 16 + i]!;
      values[to + group * 32 + i] = groupScale * IQ4_VALUES[pair & 15]!;
      values[to + group * 32 + 16 + i] = groupScale * IQ4_VALUES[pair >> 4]!;
    }
  }
}
