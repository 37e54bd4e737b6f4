import { groupColumns, schemeKind, type WeightScheme } from "./schemes.ts";
import type { Matrix } from "./weight_grid.ts";

/** Half the distance between the smallest halves: so far off may a small scale be. */
const HALF_STEP = 2 ** -25;
/** The share of a weight's squares that its scales may lose; those of usual weights lose 2^-22. */
const MOST = 2 ** -14;

/**
 * What half precision, which holds the scales of a weight, loses of it where they are small: such
 * weights come out wrong or as zeros.
 */
export class ScaleLosses {
  readonly #scheme: WeightScheme;
  #lost = 0;
  #size = 0;
  #small = 0;
  #scales = 0;

  constructor(scheme: WeightScheme) {
    this.#scheme = scheme;
  }

  /** Takes whole rows. */
  add({ rows, columns, values }: Matrix): void {
    const scheme = this.#scheme;
    const two = schemeKind(scheme) === "two_level";
    const group = two ? columns : groupColumns(scheme, columns);
    const steps = two ? 127 : 2 ** (scheme.bits - 1);
    let [lost, size, small] = [0, 0, 0];
    for (let from = 0; from < values.length; from += group) {
      let [most, squares] = [0, 0];
      for (let i = from; i < from + group; i++) {
        const value = Math.abs(values[i]!);
        if (value > most) most = value;
        squares += value * value;
      }
      if (most === 0) continue;
      const share = Math.min(1, (HALF_STEP * steps / most) ** 2);
      if (share > MOST) small++;
      lost += share * squares;
      size += squares;
    }
    this.#lost += lost;
    this.#size += size;
    this.#small += small;
    this.#scales += rows * columns / group;
  }

  /** Throws where more is lost than rounding to codes loses. */
  finish(name: string): void {
    if (this.#lost <= MOST * this.#size) return;
    throw new RangeError(
      `Cannot quantize "${name}": ${this.#small} of its ${this.#scales} scales are too small for half precision, expected larger weights; put fold or rotate before ` +
        `quantize, which multiply weights by the gains of norms`,
    );
  }
}
