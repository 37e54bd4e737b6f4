import type { Vocabulary } from "./grammar.ts";

/** A byte from one to another, and where a text stands behind it. */
type Step = readonly [first: number, last: number, then: number];

/**
 * Where a text of bytes stands: between characters, or within one (table 3-7 of the Unicode Standard,
 * chapter 3). Left out are the no-break space (C2 A0), the separators of lines and paragraphs (E2 80 A8,
 * A9) and the byte order mark (EF BB BF), which classes of the library cannot leave out.
 */
const STATES: readonly (readonly Step[])[] = [
  // 0: between characters.
  [
    [0x00, 0x7f, 0],
    [0xc2, 0xc2, 8],
    [0xc3, 0xdf, 1],
    [0xe0, 0xe0, 4],
    [0xe1, 0xe1, 2],
    [0xe2, 0xe2, 9],
    [0xe3, 0xec, 2],
    [0xed, 0xed, 5],
    [0xee, 0xee, 2],
    [0xef, 0xef, 11],
    [0xf0, 0xf0, 6],
    [0xf1, 0xf3, 3],
    [0xf4, 0xf4, 7],
  ],
  // 1 to 3: so many more bytes.
  [[0x80, 0xbf, 0]],
  [[0x80, 0xbf, 1]],
  [[0x80, 0xbf, 2]],
  // Behind E0, ED, F0, F4.
  [[0xa0, 0xbf, 1]],
  [[0x80, 0x9f, 1]],
  [[0x90, 0xbf, 2]],
  [[0x80, 0x8f, 2]],
  // Behind C2, E2, E2 80, EF, EF BB.
  [[0x80, 0x9f, 0], [0xa1, 0xbf, 0]],
  [[0x80, 0x80, 10], [0x81, 0xbf, 1]],
  [[0x80, 0xa7, 0], [0xaa, 0xbf, 0]],
  [[0x80, 0xba, 1], [0xbb, 0xbb, 12], [0xbc, 0xbf, 1]],
  [[0x80, 0xbe, 0]],
];

/** Where a text stands behind a byte; undefined where there is no such text. */
function behind(state: number, byte: number): number | undefined {
  return STATES[state]!.find(([first, last]) => byte >= first && byte <= last)?.[2];
}

/** Keeps texts of a vocabulary UTF-8, which grammars of the library do not. */
export class Utf8Masks {
  readonly #vocabulary: Vocabulary;
  /** By state, which tokens go on with it, a bit each. */
  readonly #masks: readonly Uint32Array[];

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
    const tokens = vocabulary.offsets.length - 1;
    this.#masks = STATES.map((_, state) => {
      const mask = new Uint32Array(Math.ceil(tokens / 32));
      for (let token = 0; token < tokens; token++) {
        if (this.next(state, token) !== undefined) mask[token >>> 5]! |= 1 << (token & 31);
      }
      // Nothing ends within a character.
      const ends = state === 0 ? [] : vocabulary.ends;
      for (const token of ends) mask[token >>> 5]! &= ~(1 << (token & 31));
      return mask;
    });
  }

  /** Where a text stands behind a token; the first is 0. */
  next(state: number, token: number): number | undefined {
    const { bytes, offsets } = this.#vocabulary;
    let at: number | undefined = state;
    for (let i = offsets[token]!; i < offsets[token + 1]! && at !== undefined; i++) {
      at = behind(at, bytes[i]!);
    }
    return at;
  }

  /** Leaves of some tokens those that go on with a text; says whether there are any. */
  narrow(allowed: Uint32Array, state: number): boolean {
    const mask = this.#masks[state]!;
    let any = 0;
    for (let word = 0; word < allowed.length; word++) any |= allowed[word]! &= mask[word] ?? 0;
    return any !== 0;
  }
}
