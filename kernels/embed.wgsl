// y[t, :] = table[tokens[t] - first, :], for the tokens whose row is in this part of the table.
// One thread copies 8 values of one token.
// Expects: HALF (bool, the table is f16), THREADS (u32).

struct Params {
  columns: u32,
  first: u32,
  rows: u32,
}

@group(0) @binding(0) var<storage, read> tokens: array<u32>;
@group(0) @binding(1) var<storage, read> embeddings: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let eights = params.columns / 8u;
  let row = tokens[id.y] - params.first;
  // A token before `first` wraps to a large row.
  if (id.x >= eights || row >= params.rows) { return; }
  let from_row = row * eights + id.x;
  let to_row = 2u * (id.y * eights + id.x);
  if (HALF) {
    let packed = embeddings[from_row];
    y[to_row] = vec4f(unpack2x16float(packed.x), unpack2x16float(packed.y));
    y[to_row + 1u] = vec4f(unpack2x16float(packed.z), unpack2x16float(packed.w));
  } else {
    y[to_row] = bitcast<vec4f>(embeddings[2u * from_row]);
    y[to_row + 1u] = bitcast<vec4f>(embeddings[2u * from_row + 1u]);
  }
}
