// x = x / sqrt(mean(x * x) + eps) * gain, in place, centered or not, of every run of query and key
// channels of a token: a head, or all of them. One workgroup a run.
// Expects: CENTERED (bool).

struct Params {
  queries: u32,
  keys: u32,
  query_quads: u32,
  key_quads: u32,
  quads: u32,
  query_gain: u32,
  key_gain: u32,
  keys_from: u32,
  eps: f32,
}

@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> gains: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

// A head is at most some hundred channels.
const THREADS = 32u;

var<workgroup> squares: array<f32, THREADS>;

fn sum_of(thread: u32, value: f32) -> f32 {
  squares[thread] = value;
  workgroupBarrier();
  for (var half_way = THREADS / 2u; half_way > 0u; half_way /= 2u) {
    if (thread < half_way) { squares[thread] += squares[thread + half_way]; }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&squares[0]);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let run = group.x;
  let key = run - params.queries;
  let is_query = run < params.queries;
  let quads = select(params.key_quads, params.query_quads, is_query);
  let before = params.queries * params.query_quads;
  let first = group.y * params.quads +
    select(before + key * params.key_quads, run * params.query_quads, is_query);
  let gain = select(params.keys_from + key * params.key_gain, run * params.query_gain, is_query);
  let count = f32(4u * quads);
  var mean = 0f;
  if (CENTERED) {
    var plain = 0f;
    for (var i = thread; i < quads; i += THREADS) { plain += dot(x[first + i], vec4f(1f)); }
    mean = sum_of(thread, plain) / count;
  }
  var sum = 0f;
  for (var i = thread; i < quads; i += THREADS) {
    let value = x[first + i] - mean;
    sum += dot(value, value);
  }
  let normal = inverseSqrt(sum_of(thread, sum) / count + params.eps);
  for (var i = thread; i < quads; i += THREADS) {
    x[first + i] = (x[first + i] - mean) * normal * gains[gain + i];
  }
}
