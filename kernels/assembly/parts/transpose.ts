/** Four rows of four words at these places become four columns, rows of which lie `next` apart. */
export function transposeFour(
  row0: usize,
  row1: usize,
  row2: usize,
  row3: usize,
  to: usize,
  next: usize,
): void {
  const a = v128.load(row0);
  const b = v128.load(row1);
  const c = v128.load(row2);
  const d = v128.load(row3);
  const lowAb = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
  const lowCd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const highAb = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const highCd = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f32>(lowAb, lowCd, 0, 1, 4, 5));
  v128.store(to + next, v128.shuffle<f32>(lowAb, lowCd, 2, 3, 6, 7));
  v128.store(to + 2 * next, v128.shuffle<f32>(highAb, highCd, 0, 1, 4, 5));
  v128.store(to + 3 * next, v128.shuffle<f32>(highAb, highCd, 2, 3, 6, 7));
}
