// Puts gradients of query, key and value heads side by side and turns those of queries and keys back.
// One thread a value.
// Expects: THREADS (u32).

struct Params {
  heads: u32,
  kv_heads: u32,
  size: u32,
  turned: u32,
}

@group(0) @binding(0) var<storage, read> dq: array<f32>;
@group(0) @binding(1) var<storage, read> dk: array<f32>;
@group(0) @binding(2) var<storage, read> dv: array<f32>;
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<storage, read> angles: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let token = id.y;
  let size = params.size;
  let head = id.x / size;
  let d = id.x % size;
  let values_from = params.heads + params.kv_heads;
  let all = values_from + params.kv_heads;
  if (head >= all) { return; }
  let to = (token * all + head) * size + d;
  if (head >= values_from) {
    dx[to] = dv[(token * params.kv_heads + head - values_from) * size + d];
    return;
  }
  let half = params.turned / 2u;
  let partner = select(d, (d + half) % params.turned, d < params.turned);
  var value = 0f;
  var other = 0f;
  if (head < params.heads) {
    let source = (token * params.heads + head) * size;
    value = dq[source + d];
    other = dq[source + partner];
  } else {
    let source = (token * params.kv_heads + head - params.heads) * size;
    value = dk[source + d];
    other = dk[source + partner];
  }
  if (d < params.turned) {
    let table = positions[token] * params.turned + d % half;
    value = value * angles[table] + select(-other, other, d < half) * angles[table + half];
  }
  dx[to] = value;
}
