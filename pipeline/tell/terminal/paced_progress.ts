import type { RunEvent } from "../../event.ts";
import { Eta } from "./eta.ts";
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
