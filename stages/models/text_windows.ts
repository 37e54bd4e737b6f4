import { z } from "zod";

/** Where a stage puts the model's first token; nowhere where it is undefined. */
export const firstTokenPlace = z.enum(["none", "window", "text"]).optional()
  .transform((bos) => bos === "none" ? undefined : bos).describe(
    "Put the model's first token before every window, which has one token less of the text then, or before the text; none unless said.",
  );

/** Which pieces of a text are run, and where the model's first token stands. */
export interface WindowChoice {
  /** Tokens a window, the first token among them where each has one. */
  readonly context: number;
  /** How many, from the start of the text or behind the first ones; all that are whole. */
  readonly windows: number | "all" | { readonly first: number; readonly count: number };
  /** Before every window, or once before the text; nowhere unless said. */
  readonly bos?: "window" | "text" | undefined;
}

/** How many windows are run of a text of so many tokens, and how many are left out before them. */
export function windowCount(
  tokens: number,
  { context, windows, bos }: WindowChoice,
): { readonly first: number; readonly count: number; readonly whole: number } {
  const whole = bos === "window"
    ? Math.floor(tokens / (context - 1))
    : Math.floor((tokens + (bos === "text" ? 1 : 0)) / context);
  if (typeof windows === "object") return { ...windows, whole };
  return { first: 0, count: windows === "all" ? whole : windows, whole };
}

/**
 * The tokens of the windows to run, one behind the other. A text that begins with the first token
 * already does not get it twice.
 *
 * Throws a `RangeError` where the text has fewer windows.
 */
export function cutWindows(
  text: Uint32Array<ArrayBuffer>,
  choice: WindowChoice,
  first: number | undefined,
): Uint32Array<ArrayBuffer> {
  const { context, bos } = choice;
  const own = bos !== undefined && text[0] === first ? text.subarray(1) : text;
  const { first: left, count, whole } = windowCount(own.length, choice);
  if (count < 1 || left + count > whole) {
    const behind = left > 0 ? ` behind the first ${left}` : "";
    const needed = (left + Math.max(1, count)) * (bos === "window" ? context - 1 : context) -
      (bos === "text" ? 1 : 0);
    throw new RangeError(
      `Cannot cut ${count} windows of ${context} tokens${behind}: the text has ${own.length} tokens, expected at least ${needed}; lower windows or context`,
    );
  }
  if (bos === undefined) return own.subarray(left * context, (left + count) * context);
  const cut = new Uint32Array(count * context);
  if (bos === "text") {
    // The first token stands before window 0 alone.
    const from = left * context - 1;
    cut.set(own.subarray(Math.max(0, from), from + cut.length), from < 0 ? 1 : 0);
    if (from < 0) cut[0] = first!;
    return cut;
  }
  for (let window = 0; window < count; window++) {
    const from = (left + window) * (context - 1);
    cut[window * context] = first!;
    cut.set(own.subarray(from, from + context - 1), window * context + 1);
  }
  return cut;
}
