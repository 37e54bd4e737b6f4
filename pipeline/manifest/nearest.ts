/** Names that a message lists. */
const LISTED = 40;

/** The end of a message about an unknown name: the nearest known one, or all of them. */
export function suggestion(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  if (near !== undefined) return `did you mean "${near}"?`;
  if (known.length === 0) return "there is none";
  const more = known.length > LISTED ? ` and ${known.length - LISTED} more` : "";
  return `expected one of ${known.slice(0, LISTED).join(", ")}${more}`;
}

/** The known name that a misspelt one most likely means, or undefined when none is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const folded = name.toLowerCase();
  let best: { readonly candidate: string; readonly edits: number } | undefined;
  for (const candidate of known) {
    const near = Math.max(1, Math.floor(candidate.length / 3));
    // Only what is nearer than the best so far, which keeps thousands of names quick.
    const limit = Math.min(near, (best?.edits ?? Infinity) - 1);
    const edits = distance(folded, candidate.toLowerCase(), limit);
    if (edits <= limit) best = { candidate, edits };
    if (edits === 0) break;
  }
  return best?.candidate;
}

/**
 * Insertions, deletions, replacements and swaps of neighbours that turn one word into another.
 *
 * Infinity where there are more than `limit`.
 */
function distance(from: string, to: string, limit: number): number {
  // Words this long are no typing errors.
  if (from.length > 64 || Math.abs(from.length - to.length) > limit) return Infinity;
  if (limit < 1) return from === to ? 0 : Infinity;
  const width = to.length + 1;
  let [before, last, row] = [0, 1, 2].map(() => new Array<number>(width).fill(Infinity));
  for (let j = 0; j <= Math.min(limit, to.length); j++) last![j] = j;
  for (let i = 1; i <= from.length; i++) {
    const start = Math.max(1, i - limit);
    const end = Math.min(to.length, i + limit);
    let least = row![start - 1] = start === 1 ? i : Infinity;
    for (let j = start; j <= end; j++) {
      const same = from.charCodeAt(i - 1) === to.charCodeAt(j - 1);
      let edits = Math.min(last![j]! + 1, row![j - 1]! + 1, last![j - 1]! + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && from.charCodeAt(i - 1) === to.charCodeAt(j - 2) &&
        from.charCodeAt(i - 2) === to.charCodeAt(j - 1);
      if (swapped) edits = Math.min(edits, before![j - 2]! + 1);
      row![j] = edits;
      least = Math.min(least, edits);
    }
    if (least > limit) return Infinity;
    if (end < to.length) row![end + 1] = Infinity;
    [before, last, row] = [last, row, before];
  }
  return last![to.length]!;
}
