// to[row, c] = from[c], a value a thread.
// Expects: THREADS (u32).

struct Params {
  columns: u32,
  row: u32,
}

@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> rows: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < params.columns) { rows[params.row * params.columns + id.x] = source[id.x]; }
}
