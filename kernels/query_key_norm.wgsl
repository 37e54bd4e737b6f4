// x = x / sqrt(mean(x * x) + eps) * gain, in place, for every query and key head of a token: one gain
// for all query heads, one for all key heads. One workgroup a head.

struct Params {
  heads: u32,
  kv_heads: u32,
  quads: u32,
  eps: f32,
}

@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> gains: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

// A head is at most some hundred channels.
const THREADS = 32u;

var<workgroup> squares: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let quads = params.quads;
  let all = params.heads + 2u * params.kv_heads;
  let first = (group.y * all + group.x) * quads;
  let gain = select(quads, 0u, group.x < params.heads);
  var sum = 0f;
  for (var i = thread; i < quads; i += THREADS) {
    let value = x[first + i];
    sum += dot(value, value);
  }
  squares[thread] = sum;
  workgroupBarrier();
  for (var half_way = THREADS / 2u; half_way > 0u; half_way /= 2u) {
    if (thread < half_way) { squares[thread] += squares[thread + half_way]; }
    workgroupBarrier();
  }
  let normal = inverseSqrt(squares[0] / f32(4u * quads) + params.eps);
  for (var i = thread; i < quads; i += THREADS) {
    x[first + i] = x[first + i] * normal * gains[gain + i];
  }
}
