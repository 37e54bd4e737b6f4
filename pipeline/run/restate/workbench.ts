/** An order in work. */
export interface Work<T> {
  /** Whoever ordered can wait for it any number of times. */
  readonly result: Promise<T>;
  /** Asks it to stop at the next good moment. */
  stop(reason: unknown): void;
  /** Nobody waits any more; the work stops unless somebody comes back for it. */
  letGo(): void;
}

interface Held<T> extends Work<T> {
  readonly signal: AbortSignal;
  waiting: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/**
 * How long work goes on that nobody waits for.
 *
 * The connection to the server breaks when the server starts again, which takes a second or, with its
 * machine, some minutes; stopping costs at most what a stage's journal does not hold yet.
 */
const GRACE_MS = 120_000;

/** The one place of a worker where orders are worked at: one at a time, since they share a device. */
export class Workbench<T> {
  readonly #works = new Map<string, Held<T>>();
  readonly #grace: number;
  #last: Promise<unknown> = Promise.resolve();

  constructor({ grace = GRACE_MS }: { readonly grace?: number } = {}) {
    this.#grace = grace;
  }

  /** The work at an order: what is going on already, or what is begun when the bench is free. */
  take(id: string, begin: (signal: AbortSignal) => Promise<T>): Work<T> {
    const known = this.#works.get(id);
    const work = known && !known.signal.aborted ? known : this.#begin(id, begin);
    work.waiting++;
    clearTimeout(work.timer);
    return work;
  }

  /** Asks all work to stop at the next good moment, and waits until it has. */
  async clear(reason: unknown): Promise<void> {
    for (const work of this.#works.values()) work.stop(reason);
    await this.#last;
  }

  #begin(id: string, begin: (signal: AbortSignal) => Promise<T>): Held<T> {
    const controller = new AbortController();
    const { signal } = controller;
    const result = this.#last.then(() => {
      signal.throwIfAborted();
      return begin(signal);
    });
    let over = false;
    const forget = () => {
      over = true;
      if (work.waiting === 0) this.#remove(id, work);
    };
    this.#last = result.then(forget, forget);
    const work: Held<T> = {
      result,
      signal,
      waiting: 0,
      timer: undefined,
      stop: (reason) => controller.abort(reason),
      letGo: () => {
        work.waiting--;
        if (work.waiting > 0) return;
        if (over) return this.#remove(id, work);
        work.timer = setTimeout(() => controller.abort(unwanted(id)), this.#grace);
      },
    };
    this.#works.set(id, work);
    return work;
  }

  #remove(id: string, work: Held<T>): void {
    clearTimeout(work.timer);
    if (this.#works.get(id) === work) this.#works.delete(id);
  }
}

function unwanted(id: string): DOMException {
  return new DOMException(`Cannot go on with order ${id}: nobody waits for it`, "AbortError");
}
