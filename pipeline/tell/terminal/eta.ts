/** Tells from the pace so far how long a step will still take. */
export class Eta {
  #start: { readonly at: number; readonly done: number } | undefined;

  /** Seconds left at a time in seconds, or undefined while nothing can be said. */
  left({ at, done, total }: {
    readonly at: number;
    readonly done: number;
    readonly total: number;
  }): number | undefined {
    // Work before the first word, such as opening a device, is not part of the pace.
    this.#start ??= { at, done };
    const work = done - this.#start.done;
    const left = (at - this.#start.at) / work * (total - done);
    return work > 0 && Number.isFinite(left) && left >= 0 ? left : undefined;
  }
}
