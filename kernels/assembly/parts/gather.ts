/** Values of a row in an order, 4 bytes each. */
export function gatherRow(row: usize, order: usize, count: u32, to: usize): void {
  for (let at: usize = 0; at < <usize> count * 4; at += 4) {
    store<f32>(to + at, load<f32>(row + <usize> load<u32>(order + at) * 4));
  }
}
