// Gradients of the queries of causal attention, a workgroup a query of a head: scores twice, once for
// their softmax, once for dq = scale * sum of p (dy v - dy y) k. Each thread makes the scores of some
// keys, then some channels of their sum.
// Expects: SIZE (u32, head size, a multiple of 4), THREADS (u32, a power of two).

struct Params {
  tokens: u32,
  heads: u32,
  kv_heads: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> k: array<f32>;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read> y: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> dq: array<f32>;
@group(0) @binding(6) var<storage, read_write> rows: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

const MINE = (SIZE + THREADS - 1u) / THREADS;
const LOWEST = -3.4028234e38;

var<workgroup> largest: array<f32, THREADS>;
var<workgroup> sums: array<f32, THREADS>;
var<workgroup> slopes: array<f32, THREADS>;

fn score_of(own: u32, other: u32) -> f32 {
  var sum = 0f;
  for (var d = 0u; d < SIZE; d++) { sum += q[own + d] * k[other + d]; }
  return sum * params.scale;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.x * params.heads + group.y;
  let own = row * SIZE;
  let kv_head = group.y / (params.heads / params.kv_heads);
  let keys = group.x + 1u;
  var top = LOWEST;
  var sum = 0f;
  for (var key = thread; key < keys; key += THREADS) {
    let score = score_of(own, (key * params.kv_heads + kv_head) * SIZE);
    let higher = max(top, score);
    sum = sum * exp(top - higher) + exp(score - higher);
    top = higher;
  }
  largest[thread] = top;
  sums[thread] = sum;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) {
      let higher = max(largest[thread], largest[thread + half]);
      sums[thread] = sums[thread] * exp(largest[thread] - higher) +
        sums[thread + half] * exp(largest[thread + half] - higher);
      largest[thread] = higher;
    }
    workgroupBarrier();
  }
  let log_sum = largest[0] + log(sums[0]);
  var along = 0f;
  for (var d = 0u; d < SIZE; d++) { along += y[own + d] * dy[own + d]; }
  var made: array<f32, MINE>;
  for (var block = 0u; block < keys; block += THREADS) {
    let key = block + thread;
    var slope = 0f;
    if (key < keys) {
      let other = (key * params.kv_heads + kv_head) * SIZE;
      var product = 0f;
      for (var d = 0u; d < SIZE; d++) { product += dy[own + d] * v[other + d]; }
      slope = exp(score_of(own, other) - log_sum) * (product - along) * params.scale;
    }
    workgroupBarrier();
    slopes[thread] = slope;
    workgroupBarrier();
    for (var i = 0u; i < min(THREADS, keys - block); i++) {
      let other = ((block + i) * params.kv_heads + kv_head) * SIZE;
      for (var c = 0u; c < MINE; c++) {
        made[c] += slopes[i] * k[other + min(thread + c * THREADS, SIZE - 1u)];
      }
    }
  }
  for (var c = 0u; c < MINE; c++) {
    let d = thread + c * THREADS;
    if (d < SIZE) { dq[own + d] = made[c]; }
  }
  if (thread == 0u) {
    rows[2u * row] = log_sum;
    rows[2u * row + 1u] = along;
  }
}
