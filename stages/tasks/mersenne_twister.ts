const [N, M] = [624, 397];

/**
 * Python's `random.Random` of a whole number: the Mersenne Twister MT19937 (Matsumoto and Nishimura
 * 1998), seeded by `init_by_array` as CPython does, `Lib/random.py` above it.
 */
export class PythonRandom {
  readonly #state = new Uint32Array(N);
  #at = N;

  /** Throws a `RangeError` for a seed that is no whole number from 0. */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new RangeError(`Cannot seed with ${seed}: expected a whole number from 0`);
    }
    const key = seed < 2 ** 32 ? [seed] : [seed % 2 ** 32, Math.floor(seed / 2 ** 32)];
    const state = this.#state;
    fill(state, 19650218);
    let [i, j] = [1, 0];
    const next = () => {
      if (++i < N) return;
      state[0] = state[N - 1]!;
      i = 1;
    };
    const mixed = (factor: number) => {
      const before = state[i - 1]!;
      return state[i]! ^ Math.imul(before ^ (before >>> 30), factor);
    };
    for (let k = Math.max(N, key.length); k > 0; k--) {
      state[i] = mixed(1664525) + key[j]! + j;
      next();
      j = (j + 1) % key.length;
    }
    for (let k = N - 1; k > 0; k--) {
      state[i] = mixed(1566083941) - i;
      next();
    }
    state[0] = 0x80000000;
  }

  /** So many random bits, 1 to 32. */
  bits(count: number): number {
    return this.#word() >>> (32 - count);
  }

  /** A whole number from 0 to below `end`: drawn again until it is. */
  below(end: number): number {
    const count = 32 - Math.clz32(end);
    let drawn = this.bits(count);
    while (drawn >= end) drawn = this.bits(count);
    return drawn;
  }

  /** Chooses `count` of so many places, as `random.sample` does of a list; throws where there are too few. */
  sample(places: number, count: number): number[] {
    if (count > places) throw new RangeError(`Cannot draw ${count} of ${places}: expected fewer`);
    // Python copies the list where that takes less room than a set of the places drawn.
    const room = 21 + (count > 5 ? 4 ** Math.ceil(Math.log(count * 3) / Math.log(4)) : 0);
    if (places <= room) {
      const pool = Array.from({ length: places }, (_, place) => place);
      return Array.from({ length: count }, (_, i) => {
        const drawn = this.below(places - i);
        const found = pool[drawn]!;
        pool[drawn] = pool[places - i - 1]!;
        return found;
      });
    }
    const taken = new Set<number>();
    return Array.from({ length: count }, () => {
      let drawn = this.below(places);
      while (taken.has(drawn)) drawn = this.below(places);
      taken.add(drawn);
      return drawn;
    });
  }

  #word(): number {
    if (this.#at >= N) this.#twist();
    let word = this.#state[this.#at++]!;
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  #twist(): void {
    const state = this.#state;
    for (let k = 0; k < N; k++) {
      const joined = (state[k]! & 0x80000000) | (state[(k + 1) % N]! & 0x7fffffff);
      state[k] = state[(k + M) % N]! ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
    }
    this.#at = 0;
  }
}

function fill(state: Uint32Array, seed: number): void {
  state[0] = seed;
  for (let i = 1; i < N; i++) {
    const before = state[i - 1]!;
    state[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i;
  }
}
