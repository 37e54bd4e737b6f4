// Sizes of a product with packed weights: rows of x, its inner size, columns made, where they begin in
// y, the first weight row, columns of y, and inner indices that share a scale.

struct Params {
  rows: u32,
  inner: u32,
  columns: u32,
  column: u32,
  row: u32,
  stride: u32,
  group: u32,
}
