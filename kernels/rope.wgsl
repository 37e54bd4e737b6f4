// Turns each pair (x[d], x[d + SIZE / 2]) of every head by the angle of its position, in place.
// The table holds, for each position, SIZE / 2 cosines and then SIZE / 2 sines. One thread a pair.
// Expects: THREADS (u32).

struct Params {
  heads: u32,
  half: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read> positions: array<u32>;
@group(0) @binding(2) var<storage, read> angles: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.heads * params.half) { return; }
  let pair = id.x % params.half;
  let at = (id.y * params.heads + id.x / params.half) * 2u * params.half + pair;
  let angle = positions[id.y] * 2u * params.half + pair;
  let cosine = angles[angle];
  let sine = angles[angle + params.half];
  let low = x[at];
  let high = x[at + params.half];
  x[at] = low * cosine - high * sine;
  x[at + params.half] = high * cosine + low * sine;
}
