// Causal attention with online softmax: y = softmax(scale * q k^T) v, a head at a time.
// For the software adapter, which pays for loads and barriers: a workgroup is one subgroup of 8
// lanes and makes 8 queries by 64 channels of one head. A block is 64 keys; of each query's scores
// a lane holds those of keys lane + 8 * (0 to 7), of its outputs quads of channels lane and lane + 8.
// The queries stand one by one, for the driver turns arrays indexed in loops into memory.
// Expects: parts/lanes.wgsl, SIZE (u32, head size, a multiple of 16).

struct Params {
  queries: u32,
  keys: u32,
  heads: u32,
  kv_heads: u32,
  window: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> q: array<vec2f>;
@group(0) @binding(1) var<storage, read> k: array<vec4f>;
@group(0) @binding(2) var<storage, read> v: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

const QUERIES = 8u;
const BLOCK = 64u;
const CHANNELS = 64u;
const LOWEST = -3.4028234e38;

// What a lane knows of one query: sums of its channels, its share of the denominator, the maximum.
struct Query {
  sum: array<vec4f, 2>,
  denominator: f32,
  largest: f32,
}

// Channels 8 * at to 8 * at + 7 of a key.
fn key(index: u32, head: u32, at: u32) -> array<vec4f, 2> {
  let from_quad = (min(index, params.keys - 1u) * params.kv_heads + head) * (SIZE / 4u) + 2u * at;
  return array(k[from_quad], k[from_quad + 1u]);
}

fn keys(first: u32, head: u32, at: u32) -> Weights {
  let k0 = key(first + 0u * LANES, head, at);
  let k1 = key(first + 1u * LANES, head, at);
  let k2 = key(first + 2u * LANES, head, at);
  let k3 = key(first + 3u * LANES, head, at);
  let k4 = key(first + 4u * LANES, head, at);
  let k5 = key(first + 5u * LANES, head, at);
  let k6 = key(first + 6u * LANES, head, at);
  let k7 = key(first + 7u * LANES, head, at);
  return Weights(
    array(mat4x4f(k0[0], k1[0], k2[0], k3[0]), mat4x4f(k4[0], k5[0], k6[0], k7[0])),
    array(mat4x4f(k0[1], k1[1], k2[1], k3[1]), mat4x4f(k4[1], k5[1], k6[1], k7[1])),
  );
}

// A lane's 8 channels of the values of one key.
fn value(index: u32, head: u32, quad: u32) -> array<vec4f, 2> {
  let row = (min(index, params.keys - 1u) * params.kv_heads + head) * (SIZE / 4u);
  return array(v[row + min(quad, SIZE / 4u - 1u)], v[row + min(quad + LANES, SIZE / 4u - 1u)]);
}

// The values of keys first + 8 * (0 to 7): one key a matrix column.
fn values(first: u32, head: u32, quad: u32) -> Weights {
  let v0 = value(first + 0u * LANES, head, quad);
  let v1 = value(first + 1u * LANES, head, quad);
  let v2 = value(first + 2u * LANES, head, quad);
  let v3 = value(first + 3u * LANES, head, quad);
  let v4 = value(first + 4u * LANES, head, quad);
  let v5 = value(first + 5u * LANES, head, quad);
  let v6 = value(first + 6u * LANES, head, quad);
  let v7 = value(first + 7u * LANES, head, quad);
  return Weights(
    array(mat4x4f(v0[0], v1[0], v2[0], v3[0]), mat4x4f(v0[1], v1[1], v2[1], v3[1])),
    array(mat4x4f(v4[0], v5[0], v6[0], v7[0]), mat4x4f(v4[1], v5[1], v6[1], v7[1])),
  );
}

// A lane's 2 of the 16 channels of a query from channel d.
fn query(index: u32, head: u32, d: u32, lane: u32) -> vec2f {
  return q[((min(index, params.queries - 1u) * params.heads + head) * SIZE + d) / 2u + lane];
}

// Hides keys behind the query's own place, and those its window has left.
fn mask(scores: vec4f, first: u32, place: u32) -> vec4f {
  let index = vec4u(first) + vec4u(0u, 1u, 2u, 3u) * LANES;
  let seen = (index <= vec4u(place)) & (index + params.window > vec4u(place));
  return select(vec4f(LOWEST), scores * params.scale, seen);
}

// Turns scores into weights under the new maximum, and brings the query's sums under it.
fn soften(state: ptr<function, Query>, scores: array<vec4f, 2>, first: u32, place: u32) -> array<vec4f, 2> {
  let low = mask(scores[0], first, place);
  let high = mask(scores[1], first + 4u * LANES, place);
  let most = max(low, high);
  let here = subgroupMax(max(max(most.x, most.y), max(most.z, most.w)));
  let largest = max((*state).largest, here);
  let fade = exp((*state).largest - largest);
  // A query whose keys are all hidden so far would otherwise count them as equals.
  let weights = array(
    select(exp(low - largest), vec4f(), low == vec4f(LOWEST)),
    select(exp(high - largest), vec4f(), high == vec4f(LOWEST)),
  );
  (*state).largest = largest;
  (*state).denominator = (*state).denominator * fade + dot(weights[0] + weights[1], vec4f(1));
  (*state).sum = array((*state).sum[0] * fade, (*state).sum[1] * fade);
  return weights;
}

fn blend(sum: array<vec4f, 2>, weights: array<vec4f, 2>, lane: u32, w: Weights) -> array<vec4f, 2> {
  let low = subgroupShuffle(weights[0], lane);
  let high = subgroupShuffle(weights[1], lane);
  return add(sum, array(w.low[0] * low + w.high[0] * high, w.low[1] * low + w.high[1] * high));
}

fn write(index: u32, head: u32, quad: u32, state: Query) {
  let scale = 1f / subgroupAdd(state.denominator);
  if (index >= params.queries) { return; }
  let row = (index * params.heads + head) * (SIZE / 4u);
  if (quad < SIZE / 4u) { y[row + quad] = state.sum[0] * scale; }
  if (quad + LANES < SIZE / 4u) { y[row + quad + LANES] = state.sum[1] * scale; }
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = group.x * QUERIES;
  let head = group.y;
  let kv_head = head / (params.heads / params.kv_heads);
  let quad = group.z * CHANNELS / 4u + lane;
  let place = params.keys - params.queries + index;
  let end = min(place + QUERIES, params.keys);
  let start = (max(place + 1u, params.window) - params.window) / BLOCK * BLOCK;
  var q0 = Query(array(vec4f(), vec4f()), 0f, LOWEST);
  var q1 = Query(array(vec4f(), vec4f()), 0f, LOWEST);
  var q2 = Query(array(vec4f(), vec4f()), 0f, LOWEST);
  var q3 = Query(array(vec4f(), vec4f()), 0f, LOWEST);
  var q4 = Query(array(vec4f(), vec4f()), 0f, LOWEST);
  var q5 = Query(array(vec4f(), vec4f()), 0f, LOWEST);
  var q6 = Query(array(vec4f(), vec4f()), 0f, LOWEST);
  var q7 = Query(array(vec4f(), vec4f()), 0f, LOWEST);
  for (var block = start; block < end; block += BLOCK) {
    var s0 = array(vec4f(), vec4f());
    var s1 = array(vec4f(), vec4f());
    var s2 = array(vec4f(), vec4f());
    var s3 = array(vec4f(), vec4f());
    var s4 = array(vec4f(), vec4f());
    var s5 = array(vec4f(), vec4f());
    var s6 = array(vec4f(), vec4f());
    var s7 = array(vec4f(), vec4f());
    for (var d = 0u; d < SIZE; d += 16u) {
      let a = keys(block + lane, kv_head, d / 8u);
      let b = keys(block + lane, kv_head, d / 8u + 1u);
      let p0 = query(index + 0u, head, d, lane);
      s0 = add(s0, add(first_half(p0, a), second_half(p0, b)));
      let p1 = query(index + 1u, head, d, lane);
      s1 = add(s1, add(first_half(p1, a), second_half(p1, b)));
      let p2 = query(index + 2u, head, d, lane);
      s2 = add(s2, add(first_half(p2, a), second_half(p2, b)));
      let p3 = query(index + 3u, head, d, lane);
      s3 = add(s3, add(first_half(p3, a), second_half(p3, b)));
      let p4 = query(index + 4u, head, d, lane);
      s4 = add(s4, add(first_half(p4, a), second_half(p4, b)));
      let p5 = query(index + 5u, head, d, lane);
      s5 = add(s5, add(first_half(p5, a), second_half(p5, b)));
      let p6 = query(index + 6u, head, d, lane);
      s6 = add(s6, add(first_half(p6, a), second_half(p6, b)));
      let p7 = query(index + 7u, head, d, lane);
      s7 = add(s7, add(first_half(p7, a), second_half(p7, b)));
    }
    let w0 = soften(&q0, s0, block + lane, place + 0u);
    let w1 = soften(&q1, s1, block + lane, place + 1u);
    let w2 = soften(&q2, s2, block + lane, place + 2u);
    let w3 = soften(&q3, s3, block + lane, place + 3u);
    let w4 = soften(&q4, s4, block + lane, place + 4u);
    let w5 = soften(&q5, s5, block + lane, place + 5u);
    let w6 = soften(&q6, s6, block + lane, place + 6u);
    let w7 = soften(&q7, s7, block + lane, place + 7u);
    for (var from_lane = 0u; from_lane < LANES; from_lane++) {
      let w = values(block + from_lane, kv_head, quad);
      q0.sum = blend(q0.sum, w0, from_lane, w);
      q1.sum = blend(q1.sum, w1, from_lane, w);
      q2.sum = blend(q2.sum, w2, from_lane, w);
      q3.sum = blend(q3.sum, w3, from_lane, w);
      q4.sum = blend(q4.sum, w4, from_lane, w);
      q5.sum = blend(q5.sum, w5, from_lane, w);
      q6.sum = blend(q6.sum, w6, from_lane, w);
      q7.sum = blend(q7.sum, w7, from_lane, w);
    }
  }
  write(index + 0u, head, quad, q0);
  write(index + 1u, head, quad, q1);
  write(index + 2u, head, quad, q2);
  write(index + 3u, head, quad, q3);
  write(index + 4u, head, quad, q4);
  write(index + 5u, head, quad, q5);
  write(index + 6u, head, quad, q6);
  write(index + 7u, head, quad, q7);
}
