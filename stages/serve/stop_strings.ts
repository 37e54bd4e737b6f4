/** Watches a text for strings that end it, and holds back what may become one. */
export interface StopWatch {
  /** What may be shown after more text has come; `stopped` once a string was found, and which. */
  push(text: string): { readonly text: string; readonly stopped: boolean; readonly stop?: string };
  /** What was held back, now that nothing comes any more. */
  end(): string;
}

/** Watches for strings, of which the earliest ends the text; with `keep` it is shown as well. */
export function watchForStops(
  stops: readonly string[],
  { keep = false }: { readonly keep?: boolean } = {},
): StopWatch {
  let held = "";
  return {
    push(text) {
      held += text;
      const found = earliest(held, stops);
      if (found) {
        const shown = held.slice(0, found.at + (keep ? found.stop.length : 0));
        held = "";
        return { text: shown, stopped: true, stop: found.stop };
      }
      const shown = held.slice(0, held.length - couldBegin(held, stops));
      held = held.slice(shown.length);
      return { text: shown, stopped: false };
    },
    end() {
      const rest = held;
      held = "";
      return rest;
    },
  };
}

/** Of strings that begin at the same place the one that was complete first, which is shorter. */
function earliest(text: string, stops: readonly string[]) {
  let best: { readonly at: number; readonly stop: string } | undefined;
  for (const stop of stops) {
    const at = text.indexOf(stop);
    if (at < 0 || (best && (best.at < at || (best.at === at && best.stop.length < stop.length)))) {
      continue;
    }
    best = { at, stop };
  }
  return best;
}

/** Length of the longest end of a text with which a string begins. */
function couldBegin(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length;
    }
  }
  return longest;
}
