/** Tokens of a draft at first, and at most once drafts prove right. */
const FIRST = 4;
const LONGEST = 32;
/** Tokens before a place that must be those before the end of a sequence. */
const LEAST_ALIKE = 3;
/** Tokens compared, and places looked at: those with more alike come first, then the latest. */
const MOST_ALIKE = 16;
const MOST_PLACES = 16;
/** Most steps without a draft once drafts prove wrong. */
const MOST_PAUSE = 64;
/** Ids are below it, so that two of them are one number. */
const IDS = 2 ** 26;

/**
 * Guesses how a sequence goes on from what it said before: behind the longest row of tokens that is
 * also its end (prompt lookup, Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding). Guesses
 * become longer where they were right, and rarer where they were wrong.
 */
export class PromptLookup {
  /** By two tokens, where they stood last: the place of the second. */
  readonly #places = new Map<number, number>();
  /** By place, where the same two stood before it; -1 for nowhere. */
  readonly #earlier: number[] = [];
  #length = FIRST;
  #pause = 0;
  #nextPause = 1;

  /** Up to `most` tokens that may follow; none where nothing like it was said. */
  draft(tokens: readonly number[], most: number): number[] {
    const last = tokens.length - 1;
    // The end itself is looked for, not found.
    for (let at = Math.max(1, this.#earlier.length); at < last; at++) {
      const pair = pairAt(tokens, at);
      this.#earlier[at] = this.#places.get(pair) ?? -1;
      this.#places.set(pair, at);
    }
    if (this.#pause > 0) {
      this.#pause--;
      return [];
    }
    const length = Math.min(this.#length, most);
    const place = length > 0 && last > 0 ? this.#find(tokens) : undefined;
    if (place === undefined) return [];
    const draft: number[] = [];
    for (let at = place + 1; draft.length < length; at++) {
      // What repeats without end goes on in the draft itself.
      draft.push(at <= last ? tokens[at]! : draft[at - last - 1]!);
    }
    return draft;
  }

  /** Says how many tokens of a draft were right. */
  tell(drafted: number, right: number): void {
    if (right === drafted) {
      this.#length = Math.min(LONGEST, 2 * this.#length);
      this.#nextPause = 1;
    } else if (right > 0) {
      this.#length = Math.max(1, right);
      this.#nextPause = 1;
    } else {
      this.#length = Math.max(1, this.#length >> 1);
      this.#pause = this.#nextPause;
      this.#nextPause = Math.min(MOST_PAUSE, 2 * this.#nextPause);
    }
  }

  /** The place before which most is alike; undefined where nothing is. */
  #find(tokens: readonly number[]): number | undefined {
    const last = tokens.length - 1;
    let [found, most] = [undefined as number | undefined, LEAST_ALIKE - 1];
    let place = this.#places.get(pairAt(tokens, last)) ?? -1;
    for (let looked = 0; place >= 0 && looked < MOST_PLACES; looked++) {
      let alike = 2;
      while (
        alike < MOST_ALIKE && alike <= place && tokens[place - alike] === tokens[last - alike]
      ) {
        alike++;
      }
      if (alike > most) [found, most] = [place, alike];
      place = this.#earlier[place]!;
    }
    return found;
  }
}

function pairAt(tokens: readonly number[], at: number): number {
  return tokens[at - 1]! * IDS + tokens[at]!;
}

/** The tokens of a row that stand: those of a draft that were drawn as it says, and the next one. */
export function standing<T extends { readonly token: number }>(
  draft: readonly number[],
  drawn: readonly T[],
): T[] {
  const wrong = draft.findIndex((token, at) => drawn[at]?.token !== token);
  return drawn.slice(0, wrong < 0 ? draft.length + 1 : wrong + 1);
}
