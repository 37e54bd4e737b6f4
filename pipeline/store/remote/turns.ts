/** A turn that was taken; dispose it to let the next one go. */
export type Turn = Disposable;

/** Lets only so many go at once. */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(width: number) {
    this.#free = width;
  }

  async take(): Promise<Turn> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let taken = true;
    return {
      [Symbol.dispose]: () => {
        if (!taken) return;
        taken = false;
        const next = this.#waiting.shift();
        if (next) next();
        else this.#free++;
      },
    };
  }
}

/**
 * Works at all items, so many at once, in their order.
 *
 * What is thrown first is passed on when nothing is at work any more; nothing is begun after it.
 */
export async function together<Item>(
  items: readonly Item[],
  width: number,
  work: (item: Item, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const controller = new AbortController();
  const { signal } = controller;
  const rest = items[Symbol.iterator]();
  const workers = Array.from({ length: Math.min(width, items.length) }, async () => {
    try {
      for (const item of rest) {
        if (signal.aborted) return;
        await work(item, signal);
      }
    } catch (error) {
      controller.abort(error);
    }
  });
  await Promise.all(workers);
  signal.throwIfAborted();
}
