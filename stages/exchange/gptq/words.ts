/** Lines of small values that are packed one after another into 32-bit words. */
export interface PackedLines {
  /** 2, 3, 4 or 8; a line's values fill whole words. */
  readonly bits: number;
  readonly lines: number;
  /** Values of a line. */
  readonly length: number;
  /** From a line's first value to the next line's, and from a value to the next. */
  readonly values: readonly [line: number, step: number];
  /** The same of words. */
  readonly words: readonly [line: number, step: number];
}

/**
 * Packs values as GPTQ does: a line is a stream of bits, the first value lowest, so that values of 3
 * bits go on in the next word.
 *
 * `flip` inverts bits of every value: the highest one makes signed codes unsigned.
 */
export function packLines(
  values: Uint8Array | Int8Array,
  { bits, lines, length, values: from, words: to }: PackedLines,
  flip = 0,
): Int32Array<ArrayBuffer> {
  const words = new Int32Array(lines * length * bits / 32);
  const mask = 2 ** bits - 1;
  for (let line = 0; line < lines; line++) {
    let at = line * from[0];
    let out = line * to[0];
    let [word, filled] = [0, 0];
    for (let i = 0; i < length; i++, at += from[1]) {
      const value = (values[at]! ^ flip) & mask;
      word |= value << filled;
      filled += bits;
      if (filled < 32) continue;
      words[out] = word;
      out += to[1];
      filled -= 32;
      word = filled === 0 ? 0 : value >>> bits - filled;
    }
  }
  return words;
}

/** The values of packed lines. */
export function unpackLines(
  words: Int32Array,
  { bits, lines, length, values: to, words: from }: PackedLines,
): Uint8Array<ArrayBuffer> {
  const values = new Uint8Array(lines * length);
  const mask = 2 ** bits - 1;
  for (let line = 0; line < lines; line++) {
    let at = line * from[0];
    let out = line * to[0];
    let [word, shift] = [words[at]!, 0];
    for (let i = 0; i < length; i++, out += to[1]) {
      let value = word >>> shift;
      shift += bits;
      if (shift >= 32) {
        shift -= 32;
        at += from[1];
        word = i + 1 < length ? words[at]! : 0;
        if (shift > 0) value |= word << bits - shift;
      }
      values[out] = value & mask;
    }
  }
  return values;
}
