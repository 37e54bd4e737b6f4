// Takes rows of query, key and value heads apart, and turns the first pairs of the query and key heads,
// (x[d], x[d + pairs]) or neighbours, by the angles of their position. The table holds, for each position, so many
// cosines and then as many sines. One thread a pair; behind those that turn, neighbours are one.
// Expects: NEIGHBOURS (bool), THREADS (u32).

struct Params {
  heads: u32,
  kv_heads: u32,
  half: u32,
  pairs: u32,
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
  let turns = pair < params.pairs;
  let halves = turns && !NEIGHBOURS;
  let first = select(2u * pair, pair, halves);
  let second = select(1u, params.pairs, halves);
  let at = (token * all + head) * 2u * half + first;
  let given = vec2f(x[at], x[at + second]);
  if (head >= values_from) {
    let to = (token * params.kv_heads + head - values_from) * 2u * half + first;
    v[to] = given.x;
    v[to + second] = given.y;
    return;
  }
  var turned = given;
  if (turns) {
    let angle = positions[token] * 2u * params.pairs + pair;
    let cosine = angles[angle];
    let sine = angles[angle + params.pairs];
    turned = vec2f(given.x * cosine - given.y * sine, given.y * cosine + given.x * sine);
  }
  if (head < keys_from) {
    let to = (token * params.heads + head) * 2u * half + first;
    q[to] = turned.x;
    q[to + second] = turned.y;
  } else {
    let to = (token * params.kv_heads + head - keys_from) * 2u * half + first;
    k[to] = turned.x;
    k[to + second] = turned.y;
  }
}
