/** Where lines of small integers lie among values, and where the words they are packed into. */
export interface BitLines {
  /** 2, 3, 4 or 8. */
  readonly bits: number;
  readonly lines: number;
  /** Values of a line. */
  readonly length: number;
  /** From a line's first value to the next line's, and from a value to the next. */
  readonly values: readonly [line: number, step: number];
  /** The same of words. */
  readonly words: readonly [line: number, step: number];
  /** Whether values are signed: what is stored is unsigned, the least value as 0. */
  readonly signed?: boolean;
}

/** Words of 32 bits that a line takes. */
export function wordsOf(length: number, bits: number): number {
  return Math.ceil(length * bits / 32);
}

/**
 * Packs values as GPTQ and compressed-tensors do: a line is a stream of bits, the first value lowest,
 * so that values of 3 bits go on in the next word.
 */
export function packLines(
  values: Uint8Array | Int8Array,
  { bits, lines, length, values: from, words: to, signed = false }: BitLines,
): Int32Array<ArrayBuffer> {
  const words = new Int32Array(lines * wordsOf(length, bits));
  const mask = 2 ** bits - 1;
  const offset = signed ? 2 ** (bits - 1) : 0;
  for (let line = 0; line < lines; line++) {
    let at = line * from[0];
    let out = line * to[0];
    let [word, filled] = [0, 0];
    for (let i = 0; i < length; i++, at += from[1]) {
      const value = values[at]! + offset & mask;
      word |= value << filled;
      filled += bits;
      if (filled < 32) continue;
      words[out] = word;
      out += to[1];
      filled -= 32;
      word = filled === 0 ? 0 : value >>> bits - filled;
    }
    if (filled > 0) words[out] = word;
  }
  return words;
}

/** The values that `packLines()` packed; throws where bits are left over behind a line. */
export function unpackLines(
  words: Int32Array,
  { bits, lines, length, values: to, words: from, signed = false }: BitLines,
): Uint8Array<ArrayBuffer> | Int8Array<ArrayBuffer> {
  const values = signed ? new Int8Array(lines * length) : new Uint8Array(lines * length);
  const mask = 2 ** bits - 1;
  const offset = signed ? 2 ** (bits - 1) : 0;
  for (let line = 0; line < lines; line++) {
    let at = line * from[0];
    let out = line * to[0];
    let first = 0;
    for (let i = 0; i < length; i++, out += to[1]) {
      let value = words[at]! >>> first;
      if (first + bits > 32) value |= words[at + from[1]]! << 32 - first;
      values[out] = (value & mask) - offset;
      first += bits;
      if (first < 32) continue;
      first -= 32;
      at += from[1];
    }
    if (first > 0 && words[at]! >>> first !== 0) {
      const word = (at - line * from[0]) / from[1];
      throw new RangeError(
        `word ${word} of row ${line} has bits behind its last value, expected none`,
      );
    }
  }
  return values;
}
