/** Draws of one story, the same on every machine. */
export interface Random {
  /** A whole number from 0 up to, not including, `limit`. */
  below(limit: number): number;
  /** One of the choices. */
  pick<T>(choices: readonly T[]): T;
  /** The choices in another order. */
  shuffle<T>(choices: readonly T[]): T[];
}

/** Starts a stream of draws; different seeds give unrelated streams. */
export function seededRandom(seed: number): Random {
  let state = mix(seed);
  const next = () => mix(state = (state + GOLDEN) >>> 0);
  // The high half of a 32 by 32 bit product: unbiased enough for lists of at most a few dozen.
  const below = (limit: number) => Math.floor(next() * limit / 2 ** 32);
  const pick = <T>(choices: readonly T[]) => choices[below(choices.length)] as T;
  const shuffle = <T>(choices: readonly T[]) => {
    const rest = [...choices];
    return choices.map(() => rest.splice(below(rest.length), 1)[0] as T);
  };
  return { below, pick, shuffle };
}

/** 2^32 divided by the golden ratio: steps of a Weyl sequence that visits every state once. */
const GOLDEN = 0x9e3779b9;

/** Scrambles 32 bits; the multipliers are the low-bias pair found by hash-prospector. */
function mix(value: number): number {
  let bits = value >>> 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x21f0aaad);
  bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
  return (bits ^ (bits >>> 15)) >>> 0;
}
