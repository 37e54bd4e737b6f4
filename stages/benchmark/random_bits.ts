/**
 * Fills words with random bits (Marsaglia's xorshift) and gives the state behind them, to go on from.
 *
 * The same state gives the same bits; 0 is no state, it would stay 0.
 */
export function fillRandom(words: Uint32Array, state: number): number {
  let next = state;
  for (let i = 0; i < words.length; i++) {
    next ^= next << 13;
    next ^= next >>> 17;
    next ^= next << 5;
    words[i] = next;
  }
  return next;
}

/** A state of its own for each seed and number. */
export function stateOf(seed: number, number: number): number {
  return (Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b)) || 1;
}
