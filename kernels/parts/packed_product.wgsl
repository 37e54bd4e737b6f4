// Sizes of a product with packed weights: rows of x, its inner size, columns made, where they begin in
// y, the first weight row, columns of y, inner indices that share a scale, and the first expert.

struct Params {
  rows: u32,
  inner: u32,
  columns: u32,
  column: u32,
  row: u32,
  stride: u32,
  group: u32,
  expert: u32,
}
