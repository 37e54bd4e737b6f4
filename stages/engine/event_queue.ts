/** Values that one side adds and the other takes as they come, in order. */
export class EventQueue<T> implements AsyncIterable<T> {
  readonly #values: T[] = [];
  #failure: { readonly reason: unknown } | undefined;
  #wake: (() => void) | undefined;

  /** Adds a value. */
  push(value: T): void {
    this.#values.push(value);
    this.#wake?.();
  }

  /** Ends the queue: what was added before is lost, the taker gets the reason thrown. */
  fail(reason: unknown): void {
    this.#failure ??= { reason };
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      if (this.#failure) throw this.#failure.reason;
      if (this.#values.length > 0) {
        yield this.#values.shift()!;
        continue;
      }
      await new Promise<void>((resolve) => this.#wake = resolve);
      this.#wake = undefined;
    }
  }
}
