// Gradients of keys and values of causal attention, a workgroup a key of a kv head: dv = sum of p dy and
// dk = scale * sum of p (dy v - along) q over the queries behind it. Each thread makes the weights of
// some queries, then some channels of the sums.
// Expects: SIZE (u32, head size, a multiple of 4), THREADS (u32).

struct Params {
  tokens: u32,
  heads: u32,
  kv_heads: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> k: array<f32>;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
// Of each query of a head the logarithm of the sum of exponentials, and along = y dy.
@group(0) @binding(4) var<storage, read> rows: array<f32>;
@group(0) @binding(5) var<storage, read_write> dk: array<f32>;
@group(0) @binding(6) var<storage, read_write> dv: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

const MINE = (SIZE + THREADS - 1u) / THREADS;

// Of every query of a block its slope and its weight.
var<workgroup> shares: array<vec2f, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let key = group.x;
  let own = (key * params.kv_heads + group.y) * SIZE;
  let sharers = params.heads / params.kv_heads;
  var made_k: array<f32, MINE>;
  var made_v: array<f32, MINE>;
  for (var i = 0u; i < sharers; i++) {
    let head = group.y * sharers + i;
    for (var block = key; block < params.tokens; block += THREADS) {
      let query = block + thread;
      var share = vec2f();
      if (query < params.tokens) {
        let row = query * params.heads + head;
        var score = 0f;
        var product = 0f;
        for (var d = 0u; d < SIZE; d++) {
          score += q[row * SIZE + d] * k[own + d];
          product += dy[row * SIZE + d] * v[own + d];
        }
        let weight = exp(score * params.scale - rows[2u * row]);
        share = vec2f(weight * (product - rows[2u * row + 1u]) * params.scale, weight);
      }
      workgroupBarrier();
      shares[thread] = share;
      workgroupBarrier();
      for (var j = 0u; j < min(THREADS, params.tokens - block); j++) {
        let row = ((block + j) * params.heads + head) * SIZE;
        for (var c = 0u; c < MINE; c++) {
          let at = row + min(thread + c * THREADS, SIZE - 1u);
          made_k[c] += shares[j].x * q[at];
          made_v[c] += shares[j].y * dy[at];
        }
      }
    }
  }
  for (var c = 0u; c < MINE; c++) {
    let d = thread + c * THREADS;
    if (d < SIZE) {
      dk[own + d] = made_k[c];
      dv[own + d] = made_v[c];
    }
  }
}
