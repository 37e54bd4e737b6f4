// Which rows of x and y meet which rows of a weight: all of them from `row` on, or those of one expert,
// from bounds[e] to bounds[e + 1], the weights it has among those that lie one below the other.
// Expects: Params with rows, columns, row and expert; bounds; EXPERTS (bool).

struct Span {
  first: u32,
  rows: u32,
  weight: u32,
}

fn span_of(expert: u32) -> Span {
  if (!EXPERTS) { return Span(0u, params.rows, params.row); }
  let first = bounds[params.expert + expert];
  let end = bounds[params.expert + expert + 1u];
  return Span(first, end - first, params.row + expert * params.columns);
}
