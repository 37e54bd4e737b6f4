/** Largest integer scale of a group with two levels. */
const LARGEST_FACTOR = 127;

/** Scales of a row's groups as products of an f16 value for the row and an integer for each group. */
export interface RowFactors {
  readonly row: number;
  readonly groups: readonly number[];
}

/** Takes the scales of a row apart into the two levels they are exact products of, if they are. */
export function factorsOf(scales: ArrayLike<number>): RowFactors | undefined {
  const given = Array.from(scales);
  if (!given.every((scale) => scale > 0 && scale < Infinity)) return undefined;
  const least = given.reduce((a, b) => Math.min(a, b));
  // In units of this every scale is an integer, for none has more than 24 binary digits.
  const unit = 2 ** (Math.floor(Math.log2(least)) - 24);
  const counts = given.map((scale) => scale / unit);
  const common = counts.reduce(greatestDivisor);
  const most = counts.reduce((a, b) => Math.max(a, b)) / common;
  for (let share = 1; most * share <= LARGEST_FACTOR; share++) {
    const row = common * unit / share;
    if (Math.f16round(row) !== row || row * share !== common * unit) continue;
    return { row, groups: counts.map((count) => count / common * share) };
  }
  return undefined;
}

function greatestDivisor(a: number, b: number): number {
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}
