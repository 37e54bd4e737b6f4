/** The smallest value that half precision holds with all of its 11 bits. */
const SMALLEST = 2 ** -14;
/** What rounding to 11 bits costs at most, relative to a value. */
const ROUNDING = 2 ** -11;
/** A row below so much of its tensor's largest value is lost in rounding, whatever half it is multiplied by. */
const NOTHING = 2 ** -27;

/** What is kept in half precision. */
export interface HalfTensor {
  readonly name: string;
  /** Values of a row; all of a vector. */
  readonly columns: number;
  /** Whether each row counts by itself: the outputs of linears do, the tokens of a table do not. */
  readonly rowsCount: boolean;
}

/**
 * What half precision loses of a tensor's small values, which it keeps with fewer bits or as zero.
 *
 * Beside larger values of their row they do not matter. Where a row loses more than rounding costs at
 * most, 2^-11 of its norm, the tensor is refused, as one with values that are too large is; rows that
 * are all but zero are told of.
 */
export class HalfLosses {
  readonly #tensor: HalfTensor;
  /** Sums of squares: of all values, and of what is lost. */
  #norm = 0;
  #lost = 0;
  #most = 0;
  /** Of rows that lose more than rounding costs: how many, their largest value, and their small ones. */
  #rows = 0;
  #worst = 0;
  #small = 0;
  #zeros = 0;

  constructor(tensor: HalfTensor) {
    this.#tensor = tensor;
  }

  /** Takes whole rows, in any order. */
  add(values: Float32Array): void {
    const { columns } = this.#tensor;
    // With one value as large, no row of so many loses more than rounding costs.
    const enough = SMALLEST * Math.sqrt(columns);
    for (let from = 0; from < values.length; from += columns) {
      let [most, norm] = [0, 0];
      for (let i = from; i < from + columns; i++) {
        const value = values[i]!;
        norm += value * value;
        if (value > most) most = value;
        else if (-value > most) most = -value;
      }
      this.#norm += norm;
      if (most > this.#most) this.#most = most;
      if (most > 0 && most < enough) {
        this.#addSmall(values.subarray(from, from + columns), most, norm);
      }
    }
  }

  #addSmall(row: Float32Array, most: number, norm: number): void {
    let [lost, small, zeros] = [0, 0, 0];
    const halves = new Float16Array(row);
    for (let i = 0; i < row.length; i++) {
      const value = row[i]!;
      if (value === 0 || Math.abs(value) >= SMALLEST) continue;
      const kept = halves[i]!;
      lost += (value - kept) ** 2;
      small++;
      if (kept === 0) zeros++;
    }
    this.#lost += lost;
    if (lost <= ROUNDING ** 2 * norm) return;
    this.#rows++;
    this.#worst = Math.max(this.#worst, most);
    this.#small += small;
    this.#zeros += zeros;
  }

  /**
   * Throws a `RangeError` with counts where half precision loses more than rounding costs; says so where
   * that is of rows which are all but zero.
   */
  finish(): string | undefined {
    if (this.#rows === 0) return undefined;
    const { name, rowsCount } = this.#tensor;
    const all = this.#lost > ROUNDING ** 2 * this.#norm;
    if (all || rowsCount && this.#worst > NOTHING * this.#most) {
      throw new RangeError(
        `Cannot keep tensor "${name}" in half precision: ${this.#small} values lie below ` +
          `${SMALLEST} in ${this.#rows} rows without larger ones, ${this.#zeros} of them become 0, ` +
          `expected larger ones; set dtype to float32 where it is loaded`,
      );
    }
    return `${this.#rows} rows of "${name}" are all but zero; half precision keeps ${this.#zeros} of ` +
      `their values as 0 (set dtype to float32 to keep them)`;
  }
}
