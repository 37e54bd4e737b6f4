// rows[row + r, c] = source[source_row + r, c], a word a thread, a row r of the grid a row.
// Expects: THREADS (u32).

struct Params {
  columns: u32,
  source_row: u32,
  row: u32,
}

@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> rows: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.columns) { return; }
  let to = (params.row + id.y) * params.columns + id.x;
  rows[to] = source[(params.source_row + id.y) * params.columns + id.x];
}
