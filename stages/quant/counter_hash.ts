/** 32 bits by counters, which depend on all of them. */
export function hashOf(...counters: readonly number[]): number {
  return counters.reduce((bits, counter) => scramble(bits ^ scramble(counter)), 0);
}

/** The finalizer of MurmurHash3 behind an odd offset, without which 0 would stay 0. */
export function scramble(value: number): number {
  let bits = (value + 0x9e3779b9) >>> 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
