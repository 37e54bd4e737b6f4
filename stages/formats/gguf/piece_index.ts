/** Of rolling hashes: odd, so that no bits are lost. */
const BASE = 0x2c1b3c6d;
/** Spreads hashes over places (Knuth, The Art of Computer Programming 3, section 6.4). */
const SPREAD = 0x9e3779b1;

/** What is found of a piece that is cut in two. */
export interface Cut {
  readonly left: number;
  readonly right: number;
}

/**
 * Pieces of a vocabulary, to be found where another piece is cut in two: hashes of all its beginnings and
 * ends follow from one another, so that only what is found is compared.
 */
export class PieceIndex {
  readonly #tokens: readonly string[];
  /** Ids, less -1, at the place of a piece's hash or behind it. */
  readonly #table: Int32Array;
  readonly #hashes: Int32Array;
  /** Bits of a hash that do not choose its place. */
  readonly #shift: number;
  /** Hashes of a text's beginnings by their lengths. */
  #beginnings = new Int32Array(256);

  /** Of several equal pieces, the last one is found. */
  constructor(tokens: readonly string[], ids: readonly number[]) {
    this.#tokens = tokens;
    const bits = Math.ceil(Math.log2(2 * ids.length + 2));
    this.#table = new Int32Array(2 ** bits);
    this.#shift = 32 - bits;
    this.#hashes = new Int32Array(tokens.length);
    for (const id of ids) {
      this.#hashes[id] = this.#hash(tokens[id]!);
      let at = this.#place(this.#hashes[id]!);
      while (this.#table[at] !== 0 && tokens[this.#table[at]! - 1] !== tokens[id]) {
        at = at + 1 & this.#table.length - 1;
      }
      this.#table[at] = id + 1;
    }
  }

  /** The ways to cut a piece between two characters into two pieces, the shortest beginning first. */
  cuts(token: string): Cut[] {
    const whole = this.#hash(token);
    const hashes = this.#beginnings;
    const found: Cut[] = [];
    for (let at = 1; at < token.length; at++) {
      if (splitsPair(token, at)) continue;
      const left = this.#find(hashes[at]!, token, { from: 0, to: at });
      if (left < 0) continue;
      const rest = whole - Math.imul(hashes[at]!, power(token.length - at)) | 0;
      const right = this.#find(rest, token, { from: at, to: token.length });
      if (right >= 0) found.push({ left, right });
    }
    return found;
  }

  /** The id of the piece that a part of a text is; -1 where it is none. */
  #find(
    hash: number,
    text: string,
    { from, to }: { readonly from: number; readonly to: number },
  ): number {
    for (let at = this.#place(hash);; at = at + 1 & this.#table.length - 1) {
      const id = this.#table[at]! - 1;
      if (id < 0 || this.#hashes[id] === hash && this.#isAt(id, text, { from, to })) return id;
    }
  }

  #isAt(
    id: number,
    text: string,
    { from, to }: { readonly from: number; readonly to: number },
  ): boolean {
    const piece = this.#tokens[id]!;
    return piece.length === to - from && text.startsWith(piece, from);
  }

  #place(hash: number): number {
    return Math.imul(hash, SPREAD) >>> this.#shift;
  }

  /** The hash of a text; leaves those of its beginnings behind. */
  #hash(text: string): number {
    if (this.#beginnings.length <= text.length) {
      this.#beginnings = new Int32Array(2 * text.length);
    }
    let hash = 0;
    for (let at = 0; at < text.length; at++) {
      hash = Math.imul(hash, BASE) + text.charCodeAt(at) | 0;
      this.#beginnings[at + 1] = hash;
    }
    return hash;
  }
}

const POWERS = [1];

/** The factor that a hash has of so many units behind it. */
function power(units: number): number {
  while (POWERS.length <= units) POWERS.push(Math.imul(POWERS.at(-1)!, BASE));
  return POWERS[units]!;
}

/** Whether a place lies between both halves of a character. */
function splitsPair(text: string, at: number): boolean {
  return text.codePointAt(at - 1)! > 0xffff;
}
