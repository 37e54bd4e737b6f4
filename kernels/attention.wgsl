// Causal attention with online softmax: y = softmax(scale * q k^T) v, a head at a time.
// A workgroup makes QUERIES queries of one head and stages KEYS
// keys, then their values, in workgroup memory; 8 threads share a query.
// Expects: parts/soft_cap.wgsl and what it expects, SIZE (u32, head size, a multiple of 4), QUERIES (u32),
// KEYS (u32, a multiple of 8).

struct Params {
  queries: u32,
  keys: u32,
  heads: u32,
  kv_heads: u32,
  window: u32,
  scale: f32,
  cap: f32,
}

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> k: array<vec4f>;
@group(0) @binding(2) var<storage, read> v: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

const SHARE = 8u;
const THREADS = QUERIES * SHARE;
const QUADS = SIZE / 4u;
const MINE = (QUADS + SHARE - 1u) / SHARE;
const SCORES = KEYS / SHARE;
// One more than the quads of a head keeps neighbouring rows out of each other's banks.
const STRIDE = QUADS + 1u;
const LOWEST = -3.4028234e38;

var<workgroup> q_tile: array<vec4f, QUERIES * STRIDE>;
var<workgroup> kv_tile: array<vec4f, KEYS * STRIDE>;
var<workgroup> weights: array<f32, QUERIES * (KEYS + 1u)>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first = group.x * QUERIES;
  let head = group.y;
  let kv_head = head / (params.heads / params.kv_heads);
  let row = thread / SHARE;
  let part = thread % SHARE;
  let offset = params.keys - params.queries;
  let place = offset + first + row;
  let end = min(offset + first + QUERIES, params.keys);
  let start = (max(offset + first + 1u, params.window) - params.window) / KEYS * KEYS;
  for (var i = thread; i < QUERIES * QUADS; i += THREADS) {
    let index = min(first + i / QUADS, params.queries - 1u);
    q_tile[i / QUADS * STRIDE + i % QUADS] = q[(index * params.heads + head) * QUADS + i % QUADS];
  }
  var sum: array<vec4f, MINE>;
  var denominator = 0f;
  var largest = LOWEST;
  for (var block = start; block < end; block += KEYS) {
    workgroupBarrier();
    for (var i = thread; i < KEYS * QUADS; i += THREADS) {
      let index = min(block + i / QUADS, params.keys - 1u);
      let at = (index * params.kv_heads + kv_head) * QUADS + i % QUADS;
      kv_tile[i / QUADS * STRIDE + i % QUADS] = k[at];
    }
    workgroupBarrier();
    for (var i = 0u; i < SCORES; i++) {
      let at = part + SHARE * i;
      let index = block + at;
      var score = 0f;
      for (var d = 0u; d < QUADS; d++) {
        score += dot(q_tile[row * STRIDE + d], kv_tile[at * STRIDE + d]);
      }
      let seen = index <= place && index + params.window > place;
      weights[row * (KEYS + 1u) + at] = select(LOWEST, soft_capped(score * params.scale, params.cap), seen);
    }
    workgroupBarrier();
    var higher = largest;
    for (var i = 0u; i < KEYS; i++) { higher = max(higher, weights[row * (KEYS + 1u) + i]); }
    let fade = exp(largest - higher);
    largest = higher;
    denominator *= fade;
    workgroupBarrier();
    for (var i = 0u; i < SCORES; i++) {
      let at = row * (KEYS + 1u) + part + SHARE * i;
      // A query whose keys are all hidden so far would otherwise count them as equals.
      let weight = select(exp(weights[at] - largest), 0f, weights[at] == LOWEST);
      weights[at] = weight;
      denominator += weight;
    }
    for (var i = thread; i < KEYS * QUADS; i += THREADS) {
      let index = min(block + i / QUADS, params.keys - 1u);
      let at = (index * params.kv_heads + kv_head) * QUADS + i % QUADS;
      kv_tile[i / QUADS * STRIDE + i % QUADS] = v[at];
    }
    workgroupBarrier();
    for (var c = 0u; c < MINE; c++) { sum[c] *= fade; }
    for (var i = 0u; i < KEYS; i++) {
      let weight = weights[row * (KEYS + 1u) + i];
      for (var c = 0u; c < MINE; c++) {
        sum[c] += weight * kv_tile[i * STRIDE + min(part + SHARE * c, QUADS - 1u)];
      }
    }
  }
  workgroupBarrier();
  weights[thread] = denominator;
  workgroupBarrier();
  var total = 0f;
  for (var i = 0u; i < SHARE; i++) { total += weights[row * SHARE + i]; }
  if (first + row >= params.queries) { return; }
  for (var c = 0u; c < MINE; c++) {
    let quad = part + SHARE * c;
    if (quad < QUADS) { y[((first + row) * params.heads + head) * QUADS + quad] = sum[c] / total; }
  }
}
