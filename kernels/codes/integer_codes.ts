/** Integers that stand for values, one by one: signed ones without a zero point, else from 0 on. */
export type CodeValues = Int8Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;

/** Codes in 32-bit words, the first one lowest: nibbles or bytes, in two's complement where signed. */
export type CodeWords = Uint32Array<ArrayBuffer>;

/** How many codes of so many bits lie in a word. */
export function wordCodes(bits: number): 8 | 4 {
  return bits <= 4 ? 8 : 4;
}

/** Bits that a code of so many takes in a word. */
export function heldBits(bits: number): 4 | 8 {
  return wordCodes(bits) === 8 ? 4 : 8;
}

/** Room for so many codes. */
export function emptyCodes(count: number, { signed }: { readonly signed: boolean }): CodeValues {
  return signed ? new Int8Array(count) : new Uint8Array(count);
}

/** Puts codes, whole words of them, into words. */
export function packCodes(codes: CodeValues, bits: number): CodeWords {
  const bytes = new Uint8Array(codes.buffer, codes.byteOffset, codes.length);
  if (heldBits(bits) === 8) return new Uint32Array(bytes.slice().buffer);
  const packed = new Uint8Array(codes.length / 2);
  for (let i = 0; i < packed.length; i++) {
    packed[i] = bytes[2 * i]! & 15 | bytes[2 * i + 1]! << 4;
  }
  return new Uint32Array(packed.buffer);
}

/** Takes codes out of words. */
export function unpackCodes(
  words: Uint32Array,
  { bits, signed }: { readonly bits: number; readonly signed: boolean },
): CodeValues {
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  if (heldBits(bits) === 8) {
    const own = bytes.slice();
    return signed ? new Int8Array(own.buffer) : own;
  }
  const codes = emptyCodes(2 * bytes.length, { signed });
  // A nibble moved to the top of a word and back takes its sign along.
  const back = signed ? 28 : 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    codes[2 * i] = (byte & 15) << back >> back;
    codes[2 * i + 1] = byte >> 4 << back >> back;
  }
  return codes;
}
