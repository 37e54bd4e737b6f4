import type { RunEvent } from "../../event.ts";
import { formatSeconds, plainText, progressWords } from "../../words.ts";

/** Between two lines of progress of a step. */
const PIPE_SECONDS = 10;
/** Between two lines of progress when the work has got on by a tenth. */
const TENTH_SECONDS = 2;

/** Tells progress now and then, as lines for a pipe; times are in seconds. */
export class PacedProgress {
  readonly #steps = new Map<string, { readonly eta: Eta; told: number; share: number }>();

  /** Begins a step. */
  start(step: string, now: number): void {
    this.#steps.set(step, { eta: new Eta(), told: now, share: 0 });
  }

  /** The line that is due, if one is. */
  line(
    { step, done, total, note }: RunEvent & { readonly type: "progress" },
    now: number,
  ): string | undefined {
    const pace = this.#steps.get(step);
    if (pace === undefined) return undefined;
    const share = total > 0 ? Math.min(1, Math.max(0, done / total)) : 0;
    const left = pace.eta.left({ at: now, done, total });
    const waited = now - pace.told;
    const due = waited >= PIPE_SECONDS || (share - pace.share >= 0.1 && waited >= TENTH_SECONDS);
    if (!due) return undefined;
    Object.assign(pace, { told: now, share });
    const words = [
      progressWords(share),
      ...left === undefined || share === 1 ? [] : [`about ${formatSeconds(left)} left`],
      ...note ? [plainText(note)] : [],
    ].join(", ");
    return `         ${step}: ${words}`;
  }
}

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
