// Takes rows of query, key and value heads apart, and turns each pair (x[d], x[d + SIZE / 2]) of the
// query and key heads by the angle of its position. The table holds, for each position, SIZE / 2
// cosines and then SIZE / 2 sines. One thread a pair.
// Expects: THREADS (u32).

struct Params {
  heads: u32,
  kv_heads: u32,
  half: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> positions: array<u32>;
@group(0) @binding(2) var<storage, read> angles: array<f32>;
@group(0) @binding(3) var<storage, read_write> q: array<f32>;
@group(0) @binding(4) var<storage, read_write> k: array<f32>;
@group(0) @binding(5) var<storage, read_write> v: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let token = id.y;
  let half = params.half;
  let head = id.x / half;
  let pair = id.x % half;
  let keys_from = params.heads;
  let values_from = keys_from + params.kv_heads;
  let all = values_from + params.kv_heads;
  if (head >= all) { return; }
  let at = (token * all + head) * 2u * half + pair;
  let low = x[at];
  let high = x[at + half];
  if (head >= values_from) {
    let to = (token * params.kv_heads + head - values_from) * 2u * half + pair;
    v[to] = low;
    v[to + half] = high;
    return;
  }
  let angle = positions[token] * 2u * half + pair;
  let cosine = angles[angle];
  let sine = angles[angle + half];
  if (head < keys_from) {
    let to = (token * params.heads + head) * 2u * half + pair;
    q[to] = low * cosine - high * sine;
    q[to + half] = high * cosine + low * sine;
  } else {
    let to = (token * params.kv_heads + head - keys_from) * 2u * half + pair;
    k[to] = low * cosine - high * sine;
    k[to + half] = high * cosine + low * sine;
  }
}
