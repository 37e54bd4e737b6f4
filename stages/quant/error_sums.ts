/** A squared error beside the square of what it is of. */
interface Share {
  error: number;
  size: number;
}

/**
 * What codes cost, added up over the rows of a weight: in one order, so that it does not tell in which
 * pieces they came.
 */
export class ErrorSums {
  readonly #weight: Share = { error: 0, size: 0 };
  #outputs: Share | undefined;
  #rtnRows: number | undefined;

  /** Adds values as codes have them, and as they should be. */
  addWeight(got: Float32Array, expected: Float32Array): void {
    let { error, size } = this.#weight;
    for (let i = 0; i < expected.length; i++) {
      error += (got[i]! - expected[i]!) ** 2;
      size += expected[i]! ** 2;
    }
    Object.assign(this.#weight, { error, size });
  }

  /** Adds the squared errors of outputs, a number a row, and the squares of the outputs. */
  addOutputs(errors: readonly number[], outputs: readonly number[]): void {
    const sums = this.#outputs ??= { error: 0, size: 0 };
    for (const error of errors) sums.error += error;
    for (const size of outputs) sums.size += size;
  }

  /** Counts rows that rounding to nearest served better than GPTQ. */
  addNearest(rows: number): void {
    this.#rtnRows = (this.#rtnRows ?? 0) + rows;
  }

  /** Squared error relative to the weight. */
  get weightError(): number {
    return ratio(this.#weight);
  }

  /** Squared error of the outputs relative to the outputs; undefined where none were added. */
  get outputError(): number | undefined {
    return this.#outputs && ratio(this.#outputs);
  }

  /** Rows that rounding to nearest served better than GPTQ; undefined where nobody counted. */
  get rtnRows(): number | undefined {
    return this.#rtnRows;
  }
}

function ratio({ error, size }: Share): number {
  return size === 0 ? 0 : error / size;
}
