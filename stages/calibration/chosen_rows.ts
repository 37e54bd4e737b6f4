/** Rows that are evenly spread over those of all windows, as many as asked for at most, by window. */
export function chosenRows(
  { windows, context, rows }: {
    readonly windows: number;
    /** Rows of a window. */
    readonly context: number;
    readonly rows: number;
  },
): number[][] {
  const all = windows * context;
  const count = Math.min(rows, all);
  const chosen = Array.from({ length: windows }, (): number[] => []);
  for (let i = 0; i < count; i++) {
    const at = Math.floor((i + 0.5) * all / count);
    chosen[Math.floor(at / context)]!.push(at % context);
  }
  return chosen;
}
