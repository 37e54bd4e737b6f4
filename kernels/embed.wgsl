// y[t, :] = table[tokens[t] - first, :], for the tokens whose row is in this part of the table.
// One thread copies 4 values of one token.
// Expects: HALF (bool, the table is f16), SCALED (bool, values are multiplied), THREADS (u32).

struct Params {
  columns: u32,
  first: u32,
  rows: u32,
  count: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> tokens: array<u32>;
@group(0) @binding(1) var<storage, read> embeddings: array<vec2u>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let quads = params.columns / 4u;
  let token = id.z * groups.y + id.y;
  if (id.x >= quads || token >= params.count) { return; }
  let row = tokens[token] - params.first;
  // A token before `first` wraps to a large row.
  if (row >= params.rows) { return; }
  let source = row * quads + id.x;
  let to = token * quads + id.x;
  var value: vec4f;
  if (HALF) {
    let packed = embeddings[source];
    value = vec4f(unpack2x16float(packed.x), unpack2x16float(packed.y));
  } else {
    value = bitcast<vec4f>(vec4u(embeddings[2u * source], embeddings[2u * source + 1u]));
  }
  if (SCALED) { value *= params.scale; }
  y[to] = value;
}
